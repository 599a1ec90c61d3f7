//! Reads seeds: JSON lines (plain, gzip, zstd) or CSV, one at a time.
//!
//! A line that is no usable seed becomes an invalid seed with its reason, so that it keeps its number and its job ends with that reason on
//! record. Only what makes the whole file unusable is an error: it cannot be read, or two seeds have one id.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use model::Seed;
use serde_json::{Map, Value};

use crate::DatasetError;

/// Longest line of a seeds file, in bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// Longest question that a queue message can carry, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;

/// The seeds of a file, in order.
pub struct Seeds {
    path: String,
    fields: BTreeMap<String, String>,
    lines: Lines,
    /// 64-bit hashes of ids → line, to refuse the second of two.
    seen: HashMap<u64, u64>,
}

enum Lines {
    Json { reader: Box<dyn BufRead + Send>, line: u64 },
    Csv { reader: csv::Reader<Box<dyn Read + Send>>, header: csv::StringRecord, line: u64 },
}

impl Seeds {
    /// Opens `path`. `fields` maps our name of a field to its name in the file.
    ///
    /// # Errors
    /// When the file cannot be opened, or is of no known kind.
    pub fn open(path: &str, fields: &BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let broken = |source| DatasetError::File { action: "open seeds", path: path.to_owned(), source };
        let file = File::open(path).map_err(broken)?;
        let name = Path::new(path).file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let (stem, bytes): (&str, Box<dyn Read + Send>) = if let Some(stem) = name.strip_suffix(".gz") {
            (stem, Box::new(flate2::read::MultiGzDecoder::new(file)))
        } else if let Some(stem) = name.strip_suffix(".zst") {
            (stem, Box::new(zstd::stream::read::Decoder::new(file).map_err(broken)?))
        } else {
            (&name, Box::new(file))
        };
        let lines = if stem.ends_with(".jsonl") || stem.ends_with(".json") || stem.ends_with(".ndjson") {
            Lines::Json { reader: Box::new(BufReader::new(bytes)), line: 0 }
        } else if stem.ends_with(".csv") {
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
            let header = reader.headers().map_err(|error| Self::unusable(path, error))?.clone();
            Lines::Csv { reader, header, line: 1 }
        } else {
            return Err(Self::unusable(path, "the name ends in none of .jsonl, .csv, with .gz or .zst behind it"));
        };
        Ok(Self { path: path.to_owned(), fields: fields.clone(), lines, seen: HashMap::new() })
    }

    fn unusable(path: &str, reason: impl ToString) -> DatasetError {
        DatasetError::Seeds { path: path.to_owned(), reason: reason.to_string() }
    }

    /// The next seed; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on, or an id stands twice.
    pub fn next_seed(&mut self) -> Result<Option<Seed>, DatasetError> {
        let Some((line, object)) = self.next_object()? else { return Ok(None) };
        let seed = match object {
            Ok(object) => seed_of(object, &self.fields, line),
            Err(reason) => invalid(line, reason),
        };
        let hash = model::Digest::of(seed.id.as_bytes());
        let hash = hash.as_str().get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        if let Some(first) = self.seen.insert(hash, line) {
            let reason = format!("lines {first} and {line} have the same id `{}`; ids name jobs and must be unique", seed.id);
            return Err(Self::unusable(&self.path, reason));
        }
        Ok(Some(seed))
    }

    /// The next line that is not blank, as an object or as the reason why it is none.
    #[expect(clippy::type_complexity, reason = "line number with an object or a reason; a named type would be read once")]
    fn next_object(&mut self) -> Result<Option<(u64, Result<Map<String, Value>, String>)>, DatasetError> {
        match &mut self.lines {
            Lines::Json { reader, line } => loop {
                let mut bytes = Vec::new();
                let broken = |source| DatasetError::File { action: "read seeds", path: self.path.clone(), source };
                let read = reader.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes).map_err(broken)?;
                if read == 0 {
                    return Ok(None);
                }
                *line += 1;
                if bytes.len() as u64 > LINE_BYTES_MAX {
                    skip_line(reader).map_err(broken)?;
                    return Ok(Some((*line, Err(format!("the line is longer than {LINE_BYTES_MAX} bytes")))));
                }
                if bytes.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some((*line, serde_json::from_slice(&bytes).map_err(|error| format!("no JSON object: {error}")))));
            },
            Lines::Csv { reader, header, line } => {
                let mut record = csv::StringRecord::new();
                *line += 1;
                match reader.read_record(&mut record) {
                    Ok(false) => Ok(None),
                    Ok(true) => {
                        let pairs = header.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
                        let object = pairs.map(|(name, value)| (name.trim().to_owned(), Value::String(value.to_owned()))).collect();
                        Ok(Some((*line, Ok(object))))
                    }
                    Err(error) if error.is_io_error() => Err(Self::unusable(&self.path, error)),
                    Err(error) => Ok(Some((*line, Err(error.to_string())))),
                }
            }
        }
    }
}

fn skip_line(reader: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if is_end {
            return Ok(());
        }
    }
}

fn invalid(line: u64, reason: String) -> Seed {
    let reason = format!("line {line}: {reason}");
    Seed {
        id: format!("line-{line}"),
        question: String::new(),
        answers: Vec::new(),
        gold_urls: Vec::new(),
        topic: None,
        language: None,
        invalid: Some(reason),
        extra: Map::new(),
    }
}

fn seed_of(mut object: Map<String, Value>, fields: &BTreeMap<String, String>, line: u64) -> Seed {
    let mut take = |ours: &str| object.shift_remove(fields.get(ours).map_or(ours, String::as_str)).filter(|value| !value.is_null());
    let id = take("id").and_then(text);
    let question = take("question").and_then(text);
    let mut answers = take("answers").map(texts).unwrap_or_default();
    answers.extend(take("answer").map(texts).unwrap_or_default());
    let gold_urls = take("gold_urls").map(texts).unwrap_or_default();
    let (topic, language) = (take("topic").and_then(text), take("language").and_then(text));
    let question = match question.map(|question| question.trim().to_owned()) {
        Some(question) if question.len() > QUESTION_BYTES_MAX => {
            return keep_id(invalid(line, format!("the question is longer than {QUESTION_BYTES_MAX} bytes")), id);
        }
        Some(question) if !question.is_empty() => question,
        _ => return keep_id(invalid(line, "there is no `question`; map its name with [campaign.fields]".into()), id),
    };
    let id = id.unwrap_or_else(|| format!("line-{line}"));
    Seed { id, question, answers, gold_urls, topic, language, invalid: None, extra: bounded(object) }
}

fn keep_id(seed: Seed, id: Option<String>) -> Seed {
    match id {
        Some(id) => Seed { id, ..seed },
        None => seed,
    }
}

/// Other fields are kept while a message has room for them.
fn bounded(object: Map<String, Value>) -> Map<String, Value> {
    const EXTRA_BYTES_MAX: usize = 4 << 10;
    let mut kept = Map::new();
    let mut bytes = 0;
    for (key, value) in object {
        bytes += key.len() + value.to_string().len();
        if bytes <= EXTRA_BYTES_MAX {
            kept.insert(key, value);
        }
    }
    kept
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.into_iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &str, fields: &[(&str, &str)]) -> Result<Vec<Seed>, DatasetError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let fields = fields.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect();
        let mut seeds = Seeds::open(&path.to_string_lossy(), &fields)?;
        let mut all = Vec::new();
        while let Some(seed) = seeds.next_seed()? {
            all.push(seed);
        }
        Ok(all)
    }

    #[test]
    fn a_bad_line_keeps_its_number_and_says_why() {
        let seeds = read("s.jsonl", "{\"id\":\"a\",\"question\":\"Q?\",\"answer\":\"A\",\"year\":3}\n\nrubbish\n{\"id\":\"c\"}\n", &[])
            .expect("readable");
        assert_eq!(seeds.len(), 3);
        assert_eq!((seeds[0].answers.as_slice(), &seeds[0].extra["year"]), (["A".to_owned()].as_slice(), &Value::from(3)));
        assert!(seeds[1].id == "line-3" && seeds[1].invalid.as_deref().is_some_and(|reason| reason.contains("line 3")));
        assert!(seeds[2].id == "c" && seeds[2].invalid.as_deref().is_some_and(|reason| reason.contains("question")));
    }

    #[test]
    fn two_seeds_with_one_id_are_refused_with_both_lines() {
        let error = read("s.jsonl", "{\"id\":1,\"question\":\"Q\"}\n{\"id\":\"1\",\"question\":\"R\"}\n", &[]).expect_err("a duplicate");
        assert!(error.to_string().contains("lines 1 and 2"), "{error}");
    }

    #[test]
    fn csv_and_other_names_of_fields_work() {
        let seeds =
            read("s.csv", "nr,q,a\n7,\"Who, then?\",Nobody\n", &[("id", "nr"), ("question", "q"), ("answer", "a")]).expect("readable");
        assert_eq!((seeds[0].id.as_str(), seeds[0].question.as_str(), seeds[0].answers[0].as_str()), ("7", "Who, then?", "Nobody"));
    }

    #[test]
    fn a_file_of_no_known_kind_is_refused() {
        assert!(read("s.parquet", "", &[]).expect_err("unknown").to_string().contains(".jsonl"));
    }
}
