//! The answer is a report as O-Researcher asks for it: introduction, body, conclusion and references; every marker ` [n] ` has its reference,
//! every reference its marker, and the body cites.
//!
//! What a section is, `model::report` says. Whether what is cited was ever shown is the business of `citations`.

use std::collections::BTreeSet;

use model::references::{NumberedMarker, Reference, markers, split_references};
use model::report::Sections;
use model::settings::ReportRule;
use model::{Finding, Trajectory};

use super::{answer, hard};

const NAME: &str = "report";
/// Numbers that a message quotes.
const QUOTED_MAX: usize = 8;

pub(super) fn check(rule: &ReportRule, trajectory: &Trajectory) -> Vec<Finding> {
    let Some(answer) = answer(trajectory) else { return Vec::new() };
    Report::of(answer).problems(rule).into_iter().map(|message| hard(NAME, message)).collect()
}

/// A report, taken apart.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// All but its list of references.
    pub(crate) text: &'a str,
    /// The markers in `text`, in order.
    pub(crate) markers: Vec<NumberedMarker>,
    /// Its list of references.
    pub(crate) references: Vec<Reference>,
}

impl<'a> Report<'a> {
    pub(crate) fn of(answer: &'a str) -> Self {
        let (text, references) = split_references(answer);
        Self { text, markers: markers(text), references }
    }

    fn problems(&self, rule: &ReportRule) -> Vec<String> {
        let sections = Sections::of(self.text);
        let mut problems = sections.problems(self.text);
        problems.extend(self.mismatches());
        // Without sections there is no telling body from the rest.
        let body = sections.body.unwrap_or(0..self.text.len());
        let cited = self.markers.iter().filter(|marker| body.contains(&marker.range.start)).count() as u64;
        if cited < rule.min_citations {
            problems.push(format!("{cited} citations in the body, fewer than {}", rule.min_citations));
        }
        problems
    }

    /// Where markers and references do not answer to each other one to one.
    fn mismatches(&self) -> Vec<String> {
        if self.references.is_empty() {
            return vec!["no references".to_owned()];
        }
        let cited: BTreeSet<u32> = self.markers.iter().map(|marker| marker.number).collect();
        let listed: BTreeSet<u32> = self.references.iter().map(|reference| reference.number).collect();
        let twice = repeated(self.references.iter().map(|reference| (reference.number, reference.number)));
        let same = repeated(self.references.iter().map(|reference| (reference.url.as_str(), reference.number)));
        [
            ("markers without a reference", cited.difference(&listed).copied().collect()),
            ("references that nothing cites", listed.difference(&cited).copied().collect()),
            ("numbers that several references have", twice),
            ("references to a document that has another number", same),
        ]
        .into_iter()
        .filter(|(_, numbers): &(_, Vec<u32>)| !numbers.is_empty())
        .map(|(what, numbers)| format!("{what}: {}", quote(&numbers)))
        .collect()
    }
}

/// The numbers of those whose key was there before.
fn repeated<K: Ord>(keyed: impl Iterator<Item = (K, u32)>) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    keyed.filter_map(|(key, number)| (!seen.insert(key)).then_some(number)).collect()
}

fn quote(numbers: &[u32]) -> String {
    let quoted = numbers.iter().take(QUOTED_MAX).map(u32::to_string).collect::<Vec<_>>().join(", ");
    match numbers.len().saturating_sub(QUOTED_MAX) {
        0 => quoted,
        more => format!("{quoted} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const TEXT: &str =
        "# Mills\n\n## Introduction\nOld mills.\n\n## Findings\nBuilt in 1170 [1] , sold in 1540 [2] .\n\n## Conclusion\nOld.\n";

    fn report<'a>(text: &'a str, cited: &[u32], listed: &[(u32, &str)]) -> Report<'a> {
        let at = text.find("Built").unwrap_or(0);
        let markers = cited.iter().map(|number| NumberedMarker { number: *number, range: at..at + 3 }).collect();
        let references =
            listed.iter().map(|(number, url)| Reference { number: *number, url: (*url).to_owned(), title: String::new() }).collect();
        Report { text, markers, references }
    }

    fn problems(text: &str, cited: &[u32], listed: &[(u32, &str)]) -> Vec<String> {
        report(text, cited, listed).problems(&ReportRule { enabled: true, min_citations: 1 })
    }

    #[test]
    fn a_report_with_all_its_parts_passes() {
        assert_eq!(problems(TEXT, &[1, 2, 1], &[(1, "a"), (2, "b")]), Vec::<String>::new());
        let chinese = "## 一、引言\n磨坊。\n## 二、Built 正文\n内容。\n## 三、结论\n古老。";
        assert_eq!(problems(chinese, &[1], &[(1, "a")]), Vec::<String>::new());
    }

    #[test]
    fn a_section_that_is_missing_is_a_problem_by_itself() {
        for (heading, expected) in [("## Introduction\n", "no heading of introduction"), ("## Conclusion\n", "no heading of conclusion")] {
            assert_eq!(problems(&TEXT.replace(heading, ""), &[1], &[(1, "a")]), [expected]);
        }
    }

    #[test]
    fn markers_and_references_answer_to_each_other_one_to_one() {
        for (cited, listed, expected) in [
            (vec![1, 3], vec![(1, "a")], "markers without a reference: 3"),
            (vec![1], vec![(1, "a"), (2, "b"), (7, "c")], "references that nothing cites: 2, 7"),
            (vec![1], vec![(1, "a"), (1, "b")], "numbers that several references have: 1"),
            (vec![1, 2], vec![(1, "a"), (2, "a")], "references to a document that has another number: 2"),
            (vec![1], vec![], "no references"),
        ] {
            assert_eq!(problems(TEXT, &cited, &listed), [expected]);
        }
        let many: Vec<u32> = (1..=11).collect();
        assert_eq!(problems(TEXT, &many, &[(1, "a")]), ["markers without a reference: 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"]);
    }

    #[test]
    fn a_citation_in_the_introduction_is_none_in_the_body() {
        let mut report = report(TEXT, &[1], &[(1, "a")]);
        let rule = ReportRule { enabled: true, min_citations: 1 };
        assert_eq!(report.problems(&rule), Vec::<String>::new());
        assert_eq!(report.problems(&ReportRule { min_citations: 2, ..rule.clone() }), ["1 citations in the body, fewer than 2"]);
        let at = TEXT.find("Old mills").expect("in the introduction");
        report.markers[0].range = at..at + 3;
        assert_eq!(report.problems(&rule), ["0 citations in the body, fewer than 1"]);
    }

    #[test]
    fn a_report_as_it_is_written_is_taken_apart_and_another_answer_is_none() {
        let rule = ReportRule { enabled: true, min_citations: 2 };
        assert_eq!(check(&rule, &sample::decompose()), []);
        let findings = check(&rule, &sample::answering("It was 1170 [1] ."));
        assert!(findings.len() >= 4 && findings.iter().any(|finding| finding.message == "no references"), "{findings:?}");
    }
}
