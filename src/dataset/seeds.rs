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
/// Longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 16 << 10;
/// Longest id, in bytes.
const ID_BYTES_MAX: usize = 1 << 10;
/// Largest seed as it travels: a queue message has 64 KiB, and a part of the frozen seeds holds 2048 of them.
const SEED_BYTES_MAX: usize = 512 << 10;
/// Deepest nesting of a field that has no meaning to us. Readers of messages, objects and rows bound depth, and each wraps the seed once more.
const DEPTH_MAX: u32 = 32;
/// Longest reason of an invalid seed, in characters: parsers quote what they refuse, however long.
const REASON_CHARS_MAX: usize = 400;

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
    let reason = format!("line {line}: {reason}").chars().take(REASON_CHARS_MAX).collect();
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
    if id.as_ref().is_some_and(|id| id.len() > ID_BYTES_MAX) {
        return invalid(line, format!("the id is longer than {ID_BYTES_MAX} bytes"));
    }
    let question = match question.map(|question| question.trim().to_owned()) {
        Some(question) if question.len() > QUESTION_BYTES_MAX => {
            return keep_id(invalid(line, format!("the question is longer than {QUESTION_BYTES_MAX} bytes")), id);
        }
        Some(question) if !question.is_empty() => question,
        _ => return keep_id(invalid(line, "there is no `question`; map its name with [campaign.fields]".into()), id),
    };
    if let Some((name, _)) = object.iter().find(|(_, value)| is_deeper(value, DEPTH_MAX)) {
        let name: String = name.chars().take(60).collect();
        return keep_id(invalid(line, format!("the field `{name}` is nested deeper than {DEPTH_MAX} levels")), id);
    }
    let kept_id = id.clone().unwrap_or_else(|| format!("line-{line}"));
    let seed = Seed { id: kept_id, question, answers, gold_urls, topic, language, invalid: None, extra: bounded(object) };
    match model::wire::encode_message("a seed", &seed).map(|bytes| bytes.len()) {
        Ok(bytes) if bytes <= SEED_BYTES_MAX => seed,
        Ok(bytes) => keep_id(invalid(line, format!("the seed has {bytes} bytes; at most {SEED_BYTES_MAX} are researched")), id),
        Err(error) => keep_id(invalid(line, error.to_string()), id),
    }
}

/// Whether `value` has more than `levels` arrays or objects inside each other.
fn is_deeper(value: &Value, levels: u32) -> bool {
    let Some(below) = levels.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(values) => values.iter().any(|value| is_deeper(value, below)),
        Value::Object(fields) => fields.values().any(|value| is_deeper(value, below)),
        _ => false,
    }
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
    fn what_no_message_could_carry_is_an_invalid_seed_and_a_small_one() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let lines = [
            format!("{{\"id\":\"deep\",\"question\":\"Q\",\"meta\":{}}}", nested(100)),
            format!("{{\"id\":\"answers\",\"question\":\"Q\",\"answers\":[\"{}\"]}}", "a".repeat(700_000)),
            format!("{{\"id\":\"topic\",\"question\":\"Q\",\"topic\":\"{}\"}}", "a".repeat(700_000)),
            format!("{{\"id\":\"{}\",\"question\":\"Q\"}}", "a".repeat(70_000)),
            format!("\"{}\"", "a".repeat(70_000)),
            format!("{{\"id\":\"sound\",\"question\":\"Q\",\"meta\":{}}}", nested(32)),
        ];
        let seeds = read("s.jsonl", &(lines.join("\n") + "\n"), &[]).expect("readable");
        let ids: Vec<&str> = seeds.iter().map(|seed| seed.id.as_str()).collect();
        assert_eq!(ids, ["deep", "answers", "topic", "line-4", "line-5", "sound"]);
        for (seed, named) in seeds.iter().zip(["`meta`", "524288", "524288", "the id", "no JSON object"]) {
            assert!(seed.invalid.as_deref().is_some_and(|reason| reason.contains(named)), "{named}: {:?}", seed.invalid);
            assert!(model::wire::encode_message("a seed", seed).expect("encoded").len() < 4096, "{named}");
        }
        assert_eq!(seeds[5].invalid, None);
    }

    #[test]
    fn the_deepest_seed_is_read_back_from_a_message_a_verdict_deep_object_and_a_row_s_json() {
        let line = format!("{{\"question\":\"Q\",\"meta\":{}{}}}", "[".repeat(32), "]".repeat(32));
        let seed = read("s.jsonl", &line, &[]).expect("readable").remove(0);
        assert_eq!(seed.invalid, None);
        // A verdict object wraps a seed twice; eight levels are room to spare.
        let wrapped = (0..8).fold(serde_json::to_value(&seed).expect("JSON"), |inner, _| serde_json::json!({ "inner": inner }));
        let bytes = model::wire::encode_message("a seed", &wrapped).expect("encoded");
        assert_eq!(model::wire::decode_message::<Value>("a seed", &bytes).expect("decoded"), wrapped);
        assert_eq!(serde_json::from_str::<Value>(&wrapped.to_string()).expect("JSON"), wrapped);
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
