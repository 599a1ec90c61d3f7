//! The answer cites pages that this trajectory was shown.
//!
//! Every marker in the answer must be accounted for: one that nobody tried to resolve counts as unresolved, so that a kind of marker we do
//! not know yet cannot pass unseen. In a report that is every ` [n] ` outside its references. A marker counts once, however often it stands in the answer, and once for each page or range it names.

use std::collections::{BTreeSet, HashSet};

use model::settings::CitationsRule;
use model::{Attribution, Finding, Trajectory};

use super::report::Report;
use super::{answer, hard, is_decompose, share};
use crate::plain;

const NAME: &str = "citations";
/// Markers quoted in a message; the rest are counted.
const QUOTED_MAX: usize = 5;

pub(super) fn check(rule: &CitationsRule, trajectory: &Trajectory) -> Vec<Finding> {
    if answer(trajectory).is_none() {
        return Vec::new();
    }
    let tally = Tally::of(trajectory);
    let mut findings = Vec::new();
    if tally.all() < rule.min {
        findings.push(hard(NAME, format!("{} citations, fewer than {}", tally.all(), rule.min)));
    }
    if tally.all() > 0 && tally.precision() < rule.resolved_share_min {
        let summary = format!(
            "{} of {} citations lead to lines that were shown: a share of {:.3}, below {}",
            tally.shown,
            tally.all(),
            tally.precision(),
            rule.resolved_share_min
        );
        let reasons = [
            ("the page was shown, but not the cited lines", &tally.lines_not_shown),
            ("no such page in this trajectory", &tally.unresolved),
            ("a marker of the answer that is not among its citations", &tally.unaccounted),
        ];
        for (reason, markers) in reasons {
            if !markers.is_empty() {
                findings.push(hard(NAME, format!("{summary}; {reason}: {}", quote(markers))));
            }
        }
    }
    findings
}

/// The distinct citations of an answer by what became of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    shown: u64,
    lines_not_shown: BTreeSet<String>,
    unresolved: BTreeSet<String>,
    unaccounted: BTreeSet<String>,
    failed: u64,
}

impl Tally {
    pub(crate) fn of(trajectory: &Trajectory) -> Self {
        let mut tally = Self::default();
        let mut known = HashSet::new();
        let mut distinct = HashSet::new();
        for citation in &trajectory.citations {
            known.insert(citation.marker.as_str());
            if !distinct.insert((&citation.marker, &citation.url, citation.lines)) {
                continue;
            }
            let failed = match citation.attribution {
                Attribution::Shown => {
                    tally.shown += 1;
                    continue;
                }
                Attribution::LinesNotShown => &mut tally.lines_not_shown,
                Attribution::Unresolved => &mut tally.unresolved,
            };
            failed.insert(citation.marker.clone());
            tally.failed += 1;
        }
        let answer = trajectory.answer.as_deref().unwrap_or_default();
        let unknown = plain::markers(answer).into_iter().filter_map(|range| answer.get(range)).filter(|marker| !known.contains(marker));
        let mut unaccounted: BTreeSet<String> = unknown.map(str::to_owned).collect();
        if is_decompose(trajectory) {
            let resolved: HashSet<u32> = known.iter().flat_map(|marker| numbers(marker)).collect();
            let cited = Report::of(answer).markers.into_iter().map(|marker| marker.number);
            unaccounted.extend(cited.filter(|number| !resolved.contains(number)).map(|number| format!("[{number}]")));
        }
        tally.failed += unaccounted.len() as u64;
        tally.unaccounted = unaccounted;
        tally
    }

    fn all(&self) -> u64 {
        self.shown + self.failed
    }

    /// Share of the citations that lead to shown lines; 0 when there are none.
    pub(crate) fn precision(&self) -> f64 {
        share(self.shown, self.all())
    }
}

/// The numbers in a marker: one marker may name several references.
fn numbers(marker: &str) -> impl Iterator<Item = u32> {
    marker.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

fn quote(markers: &BTreeSet<String>) -> String {
    let quoted = markers.iter().take(QUOTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match markers.len().saturating_sub(QUOTED_MAX) {
        0 => quoted,
        more => format!("{quoted} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use model::Citation;

    use super::*;
    use crate::sample;

    fn with(attributions: &[Attribution]) -> Trajectory {
        let mut trajectory = sample::trajectory();
        let template = trajectory.citations.remove(0);
        let mut answer = String::from("A tidal mill");
        for (n, attribution) in attributions.iter().enumerate() {
            let marker = format!("【{n}†L1】");
            answer.push_str(&marker);
            trajectory.citations.push(Citation { marker, attribution: *attribution, ..template.clone() });
        }
        trajectory.answer = Some(answer);
        trajectory
    }

    #[test]
    fn citations_that_were_shown_are_accepted() {
        assert_eq!(check(&CitationsRule::default(), &with(&[Attribution::Shown, Attribution::Shown])), []);
    }

    #[test]
    fn too_few_citations_are_rejected_unless_none_are_asked_for() {
        assert!(check(&CitationsRule::default(), &with(&[]))[0].message.contains("0 citations, fewer than 1"));
        assert_eq!(check(&CitationsRule { min: 0, ..CitationsRule::default() }, &with(&[])), []);
        let two = CitationsRule { min: 2, ..CitationsRule::default() };
        assert!(check(&two, &with(&[Attribution::Shown]))[0].message.contains("1 citations, fewer than 2"));
    }

    #[test]
    fn each_way_of_not_resolving_has_its_own_message() {
        let trajectory = with(&[Attribution::Shown, Attribution::LinesNotShown, Attribution::Unresolved]);
        let findings = check(&CitationsRule::default(), &trajectory);
        assert_eq!(findings.len(), 2);
        assert!(findings[0].message.contains("a share of 0.333, below 1; the page was shown, but not the cited lines: 【1†L1】"));
        assert!(findings[1].message.contains("no such page in this trajectory: 【2†L1】"));
        let lenient = CitationsRule { resolved_share_min: 0.3, ..CitationsRule::default() };
        assert_eq!(check(&lenient, &trajectory), []);
    }

    #[test]
    fn a_marker_that_nobody_resolved_counts_against_the_answer() {
        let mut trajectory = with(&[Attribution::Shown]);
        trajectory.answer = Some("Built in 1170【0†L1】【7†L4】, restored later[8†L2].".into());
        let findings = check(&CitationsRule::default(), &trajectory);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("1 of 3"), "{findings:?}");
        assert!(findings[0].message.contains("not among its citations: [8†L2], 【7†L4】"), "{findings:?}");
    }

    #[test]
    fn a_number_in_a_report_that_nobody_resolved_counts_against_it() {
        let mut report = sample::decompose();
        assert_eq!(check(&CitationsRule::default(), &report), []);
        assert_eq!(Tally::of(&report).all(), 2);
        let text = report.answer.take().unwrap_or_default();
        report.answer = Some(text.replace("## Conclusion", "It burnt down in 1790 [9] .\n\n## Conclusion"));
        let findings = check(&CitationsRule::default(), &report);
        assert!(findings[0].message.contains("2 of 3") && findings[0].message.ends_with("not among its citations: [9]"), "{findings:?}");
    }

    #[test]
    fn a_marker_used_twice_is_one_citation() {
        let mut trajectory = with(&[Attribution::Shown]);
        trajectory.answer = Some("One【0†L1】 and again【0†L1】.".into());
        assert!(check(&CitationsRule { min: 2, ..CitationsRule::default() }, &trajectory)[0].message.contains("1 citations"));
    }

    #[test]
    fn a_marker_that_names_two_pages_is_two_citations_and_neither_hides_the_other() {
        let mut trajectory = with(&[Attribution::Shown]);
        let mut second = trajectory.citations[0].clone();
        second.attribution = Attribution::Unresolved;
        second.url = None;
        trajectory.citations.insert(0, second);
        let findings = check(&CitationsRule::default(), &trajectory);
        assert!(findings[0].message.contains("1 of 2"), "{findings:?}");
    }
}
