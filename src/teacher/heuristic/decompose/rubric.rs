//! A judge without a model: coherence, use of tools and grounding, counted from what it is shown.
//!
//! It knows no form but that of the reports: it counts calls by the names of the web tools, and statements by their markers.

use std::collections::HashSet;

use model::references::{markers, split_references};
use model::{Message, Role, protocol};
use serde_json::{Map, Value, json};

use super::part::SCORES;
use crate::heuristic::text::{sentences, words};

/// What a report is marked by, beside the research: how much it says, how well that is founded, its sections, and that it does not repeat itself.
const REPORT_SCORES: [&str; 4] = ["comprehensiveness", "insight", "instruction_following", "readability"];
/// The best of each score.
const SCORE_MAX: usize = 10;
/// Words of a sentence that states something.
const WORDS_MIN: usize = 4;
/// Searches, and pages, that are enough.
const CALLS_ENOUGH: usize = 5;
/// Headings of an introduction, a conclusion and a list of references, in lower case.
const HEADINGS: [&[&str]; 3] =
    [&["introduction", "引言", "はじめに"], &["conclusion", "结论", "結論"], &["references", "参考文献", "sources"]];

/// The scores as one JSON object.
pub(super) fn write(messages: &[Message]) -> String {
    let shown: Vec<&str> = messages.iter().filter(|message| message.role == Role::User).map(|message| message.text.as_str()).collect();
    let shown = shown.join("\n");
    let report = protocol::last_part(&shown, protocol::ProtocolTag::SuggestedAnswer).unwrap_or(&shown);
    let counts = Counts::of(report);
    let (searches, pages) = (shown.matches("web_search").count(), shown.matches("crawl_page").count());
    let coherence = 4 * counts.distinct / counts.all.max(1) + 2 * counts.headings;
    let tool_use = if searches + pages == 0 { CALLS_ENOUGH } else { 2 * searches.min(pages).min(CALLS_ENOUGH) };
    let grounding = SCORE_MAX * counts.cited / counts.all.max(1);
    let scores = SCORES.iter().zip([coherence, tool_use, grounding]);
    let mut object: Map<String, Value> = scores.map(|(name, score)| ((*name).to_owned(), json!(score.min(SCORE_MAX)))).collect();
    // Marks of the report itself, for a rubric that asks for them.
    let asks_for = |name: &str| messages.iter().any(|message| message.role == Role::System && message.text.contains(name));
    let readability = SCORE_MAX * counts.distinct / counts.all.max(1);
    let of_report = [counts.distinct, counts.cited, 3 * counts.headings, readability];
    for (name, mark) in REPORT_SCORES.into_iter().zip(of_report).filter(|(name, _)| asks_for(name)) {
        object.insert(name.to_owned(), json!(mark.min(SCORE_MAX)));
    }
    let reasons = format!(
        "{} of {} statements are cited and {} are distinct; {} of 3 headings are there; the tools are named {searches} and {pages} times.",
        counts.cited, counts.all, counts.distinct, counts.headings
    );
    object.insert("reasons".to_owned(), json!(reasons));
    Value::Object(object).to_string()
}

/// What a report consists of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Statements.
    all: usize,
    cited: usize,
    distinct: usize,
    headings: usize,
}

impl Counts {
    fn of(report: &str) -> Self {
        let mut counts = Self::default();
        let titles: Vec<String> = report.lines().filter(|line| line.starts_with('#')).map(str::to_lowercase).collect();
        counts.headings = HEADINGS.iter().filter(|names| titles.iter().any(|title| names.iter().any(|name| title.contains(name)))).count();
        let mut seen = HashSet::new();
        let mut ranges = Vec::new();
        for line in split_references(report).0.lines().filter(|line| !line.starts_with('#') && !line.starts_with("Exact Answer:")) {
            ranges.clear();
            sentences(line, 0..line.len(), &mut ranges);
            for range in &ranges {
                let said = line.get(range.clone()).unwrap_or_default();
                let words = words(said);
                if words.len() < WORDS_MIN {
                    continue;
                }
                let behind = line.get(range.end..).unwrap_or_default().trim_start();
                // A marker at the beginning belongs to the sentence before.
                let has_marker = markers(said).iter().any(|marker| marker.range.start > 0) || said.contains('【');
                let is_followed = markers(behind).first().is_some_and(|marker| marker.range.start == 0) || behind.starts_with('【');
                counts.all += 1;
                counts.cited += usize::from(has_marker || is_followed);
                counts.distinct += usize::from(seen.insert(words.iter().fold(0, |sum: u64, word| sum.rotate_left(5) ^ word.key)));
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounding_is_the_share_of_cited_statements() {
        let report = "# Light\n## Introduction\nThe light was lit in 1821. [1] It has nine floors above ground. [2] \nNobody knows who kept it.\n\
            ## Conclusion\nIt was lit in 1821 [1].\nExact Answer: 1821 or later than that\n## References\n[1]. https://a.example - A";
        let counts = Counts::of(report);
        assert_eq!(counts, Counts { all: 4, cited: 3, distinct: 4, headings: 3 });
    }
}
