//! Some of a campaign's seeds, spread evenly over all of them, in a file of their own; and a folder for what is only needed meanwhile.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use dataset::seeds::Seeds;
use model::Seed;
use model::settings::CampaignSettings;
use serde_json::{Map, Value, json};

use crate::exit::VerbError;

/// What was found, and what was chosen of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// All seeds that can be researched.
    pub(crate) usable: u64,
    /// Those that cannot: their jobs end with the reason, at no cost.
    pub(crate) unusable: u64,
    /// How many were chosen.
    pub(crate) chosen: u64,
}

/// Writes `count` of the campaign's usable seeds to `to`, the middle one of each of `count` equal stretches; all where there are not so many.
/// Always the same ones. The seeds are read twice, and never held.
///
/// # Errors
/// When the seeds cannot be read, there are none that could be researched, or `to` cannot be written.
pub(crate) fn spread(campaign: &CampaignSettings, count: u64, to: &Path) -> Result<Chosen, VerbError> {
    let mut found = Chosen::default();
    each(campaign, |seed| {
        found.usable += u64::from(seed.invalid.is_none());
        found.unusable += u64::from(seed.invalid.is_some());
        Ok(())
    })?;
    if found.usable == 0 {
        let message = format!("choose seeds of {}: none of its {} lines can be researched", campaign.seeds, found.unusable);
        return Err(VerbError::Usage(message));
    }
    found.chosen = count.min(found.usable);
    let cannot = |error: std::io::Error| VerbError::Unreachable(format!("write {}: {error}", to.display()));
    // Written beside and renamed, so that what stands under the name is always whole.
    let partial = to.with_extension("partial");
    let mut out = BufWriter::new(File::create(&partial).map_err(cannot)?);
    let (mut number, mut written) = (0, 0);
    each(campaign, |seed| {
        if seed.invalid.is_some() {
            return Ok(());
        }
        if written < found.chosen && number == middle(written, found) {
            writeln!(out, "{}", line(seed)).map_err(cannot)?;
            written += 1;
        }
        number += 1;
        Ok(())
    })?;
    out.flush().map_err(cannot)?;
    std::fs::rename(&partial, to).map_err(cannot)?;
    Ok(found)
}

fn each(campaign: &CampaignSettings, mut visit: impl FnMut(Seed) -> Result<(), VerbError>) -> Result<(), VerbError> {
    let mut seeds = Seeds::open(&campaign.seeds, &campaign.fields)?;
    let mut left = campaign.limit.unwrap_or(u64::MAX);
    while left > 0
        && let Some(seed) = seeds.next_seed()?
    {
        left -= 1;
        visit(seed)?;
    }
    Ok(())
}

/// The number of the seed in the middle of stretch `nth`.
fn middle(nth: u64, found: Chosen) -> u64 {
    let (nth, usable, chosen) = (u128::from(nth), u128::from(found.usable), u128::from(found.chosen.max(1)));
    u64::try_from((2 * nth + 1) * usable / (2 * chosen)).unwrap_or(u64::MAX)
}

/// A seed under our own names of its fields, as a seeds file without `[campaign.fields]` has it.
fn line(seed: Seed) -> Value {
    let Seed { id, question, answers, gold_urls, topic, language, invalid: _, extra } = seed;
    let mut object: Map<String, Value> = extra;
    for ours in ["id", "question", "answer", "answers", "gold_urls", "topic", "language"] {
        // What the campaign's fields had renamed means nothing to us, and must not begin to.
        object.shift_remove(ours);
    }
    object.insert("id".into(), json!(id));
    object.insert("question".into(), json!(question));
    object.insert("answers".into(), json!(answers));
    object.insert("gold_urls".into(), json!(gold_urls));
    object.extend(topic.map(|topic| ("topic".to_owned(), json!(topic))));
    object.extend(language.map(|language| ("language".to_owned(), json!(language))));
    Value::Object(object)
}

/// A folder among the system's temporary ones, readable by its user alone, and removed with all that is in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Meanwhile(PathBuf);

impl Meanwhile {
    /// A new one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn new() -> Result<Self, VerbError> {
        let path = std::env::temp_dir().join(format!("sluice-{}", runtime::random_id()?));
        let created = std::fs::DirBuilder::new().mode(0o700).create(&path);
        created.map_err(|error| VerbError::Unreachable(format!("create the folder {}: {error}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("sluice: {} is no longer needed and could not be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(folder: &Path, lines: &[String], more: &str) -> CampaignSettings {
        std::fs::write(folder.join("s.jsonl"), lines.join("\n")).expect("written");
        let text =
            format!("[campaign]\nname = \"a\"\nseeds = \"s.jsonl\"\n{more}\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n");
        let file = model::written::CampaignFile::parse(&text).expect("well-formed");
        file.resolve(folder).expect("valid").campaign
    }

    fn ids(path: &Path) -> Vec<String> {
        let mut seeds = Seeds::open(&path.to_string_lossy(), &Default::default()).expect("seeds");
        std::iter::from_fn(|| seeds.next_seed().expect("readable")).map(|seed| seed.id).collect()
    }

    #[test]
    fn seeds_are_spread_over_all_usable_ones_and_not_the_first() {
        let folder = Meanwhile::new().expect("a folder");
        let mut lines: Vec<String> = (0..100).map(|n| format!("{{\"id\": {n}, \"question\": \"Q{n}\"}}")).collect();
        lines.insert(0, "rubbish".into());
        let to = folder.path().join("chosen.jsonl");
        let all = campaign(folder.path(), &lines, "");
        let found = spread(&all, 4, &to).expect("chosen");
        assert_eq!(found, Chosen { usable: 100, unusable: 1, chosen: 4 });
        assert_eq!(ids(&to), ["12", "37", "62", "87"]);
        let found = spread(&campaign(folder.path(), &lines, "limit = 4"), 10, &to).expect("chosen");
        assert_eq!((found, ids(&to)), (Chosen { usable: 3, unusable: 1, chosen: 3 }, vec!["0".into(), "1".into(), "2".into()]));
    }

    #[test]
    fn a_chosen_seed_is_the_seed_whatever_its_fields_are_called() {
        let folder = Meanwhile::new().expect("a folder");
        let lines = [r#"{"nr": 7, "q": "Who?", "a": ["x", "y"], "answer": "no answer of ours", "gold_urls": ["u"], "hops": 2}"#.to_owned()];
        let fields = "[campaign.fields]\nid = \"nr\"\nquestion = \"q\"\nanswers = \"a\"\nanswer = \"b\"";
        let renamed = campaign(folder.path(), &lines, fields);
        let to = folder.path().join("chosen.jsonl");
        spread(&renamed, 1, &to).expect("chosen");
        let of = |path: &str, fields| Seeds::open(path, fields).expect("seeds").next_seed().expect("readable").expect("one");
        let (mut before, after) = (of(&renamed.seeds, &renamed.fields), of(&to.to_string_lossy(), &Default::default()));
        before.extra.shift_remove("answer");
        assert_eq!(before, after);
        assert_eq!((after.answers.len(), after.extra.len()), (2, 1));
    }

    #[test]
    fn nothing_that_could_be_researched_is_an_error_and_a_folder_is_removed() {
        let folder = Meanwhile::new().expect("a folder");
        let path = folder.path().to_owned();
        let broken = campaign(&path, &["rubbish".to_owned()], "");
        let error = spread(&broken, 3, &path.join("chosen.jsonl")).expect_err("no seed");
        assert!(error.to_string().contains("none of its 1 lines"), "{error}");
        drop(folder);
        assert!(!path.exists());
    }
}
