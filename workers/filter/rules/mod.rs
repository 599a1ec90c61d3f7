//! The rules: plain functions over a trajectory, each with its own thresholds, in one array, cheapest first.
//!
//! A rule says what it found and the numbers that decided; it never changes a trajectory, asks a model or reads the corpus. All enabled rules
//! are asked even after one has rejected, so that a verdict names every reason; what a hard finding spares is the judge.

mod answer_length;
mod answered;
pub(crate) mod citations;
pub(crate) mod distinct_calls;
mod language;
mod length;
mod protocol;
mod protocol_leak;
pub(crate) mod repetition;
pub(crate) mod report;
pub(crate) mod steps;
pub(crate) mod thinking;
mod told;
pub(crate) mod tool_calls;
pub(crate) mod tool_errors;

use std::borrow::Cow;

use model::settings::FilterSettings;
use model::{Action, Finding, Observation, Severity, Trajectory};

use crate::candidate::Candidate;
use crate::plain;

/// Version of what the rules and the lexical judge mean. Raised whenever the same settings may give another verdict, so that verdicts of
/// two meanings are never mixed under one grade.
pub const RULES_VERSION: u32 = 3;

/// One rule.
pub struct Rule {
    /// Its name: the key of its table under `[filter]`, and `rule` in its findings.
    pub name: &'static str,
    ask: fn(&FilterSettings, &Candidate<'_>) -> Vec<Finding>,
}

macro_rules! rule {
    ($name:ident) => {
        Rule {
            name: stringify!($name),
            ask: |settings, candidate| {
                if settings.$name.enabled { $name::check(&settings.$name, candidate) } else { Vec::new() }
            },
        }
    };
}

/// All rules, cheapest first: counting, then reading arguments, then reading the answer, then reading all that was written. The length of
/// `decompose` is among the counted ones, since browsing is the common case.
pub const RULES: [Rule; 14] = [
    rule!(answered),
    rule!(tool_calls),
    rule!(tool_errors),
    rule!(steps),
    rule!(length),
    rule!(answer_length),
    rule!(citations),
    rule!(protocol_leak),
    rule!(thinking),
    rule!(distinct_calls),
    rule!(repetition),
    rule!(report),
    rule!(language),
    rule!(protocol),
];

/// What the enabled rules say, in their order.
pub(crate) fn check(settings: &FilterSettings, candidate: &Candidate<'_>) -> Vec<Finding> {
    RULES.iter().flat_map(|rule| (rule.ask)(settings, candidate)).collect()
}

/// A finding that rejects.
pub(crate) fn hard(rule: &str, message: String) -> Finding {
    Finding { rule: rule.to_owned(), severity: Severity::Hard, message }
}

/// A finding that is only noted.
fn note(rule: &str, message: String) -> Finding {
    Finding { rule: rule.to_owned(), severity: Severity::Note, message }
}

/// Every action of every thread with its observation. An action has none when the trajectory ended before it was carried out.
pub(crate) fn actions(trajectory: &Trajectory) -> impl Iterator<Item = (&Action, Option<&Observation>)> {
    let turns = trajectory.threads.iter().flat_map(|thread| &thread.turns);
    turns.flat_map(|turn| turn.actions.iter().enumerate().map(|(n, action)| (action, turn.observations.get(n))))
}

/// The answer, if it holds more than white space.
pub(crate) fn answer(trajectory: &Trajectory) -> Option<&str> {
    trajectory.answer.as_deref().filter(|answer| !answer.trim().is_empty())
}

/// The answer as it is read by whoever asks for its words: a report without its references and the markers that lead to them.
pub(crate) fn words(trajectory: &Trajectory) -> Option<Cow<'_, str>> {
    let answer = answer(trajectory)?;
    Some(if is_decompose(trajectory) { plain::without_references(answer).into() } else { answer.into() })
}

/// Whether the trajectory is of the recipe `decompose`, whose threads are merged into one trace and whose answer is a report.
pub(crate) fn is_decompose(trajectory: &Trajectory) -> bool {
    trajectory.recipe == "decompose"
}

/// `part` of `whole`; 0 of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn every_rule_of_the_campaign_file_is_in_the_array() {
        let settings = serde_json::to_value(FilterSettings::default()).expect("settings are plain data");
        let written: BTreeSet<&str> = settings.as_object().expect("a table").keys().map(String::as_str).collect();
        assert_eq!(written, RULES.iter().map(|rule| rule.name).collect());
    }

    #[test]
    fn a_good_trajectory_has_no_findings() {
        assert_eq!(check(&FilterSettings::default(), &Candidate::of(&sample::trajectory())), []);
    }

    #[test]
    fn good_research_in_depth_has_no_findings_under_either_preset() {
        for name in FilterSettings::PRESETS {
            let settings = FilterSettings::preset(name).expect("known");
            assert_eq!(check(&settings, &Candidate::of(&sample::decompose())), [], "{name}");
        }
    }

    #[test]
    fn browsing_is_no_research_in_depth() {
        let settings = FilterSettings::preset("o-researcher").expect("known");
        let findings = check(&settings, &Candidate::of(&sample::trajectory()));
        let names: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["steps", "distinct_calls", "thinking", "report", "protocol"]));
    }

    #[test]
    fn findings_come_in_the_order_of_the_rules_and_a_disabled_rule_is_silent() {
        let mut trajectory = sample::trajectory();
        trajectory.answer = Some("<think> no sources".into());
        trajectory.citations.clear();
        trajectory.threads.clear();
        let mut settings = FilterSettings::default();
        let names = |settings: &FilterSettings, trajectory: &Trajectory| -> Vec<String> {
            check(settings, &Candidate::of(trajectory)).into_iter().map(|finding| finding.rule).collect()
        };
        assert_eq!(names(&settings, &trajectory), ["tool_calls", "citations", "protocol_leak"]);
        settings.citations.enabled = false;
        assert_eq!(names(&settings, &trajectory), ["tool_calls", "protocol_leak"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_rule_panic(question in "\\PC{0,80}", answer in "(\\PC|[<>|【】†{}\\[\\]\n 0-9a-z]){0,400}", language in "[a-zA-Z-]{0,6}") {
            let mut settings = FilterSettings::preset("o-researcher").expect("known");
            settings.language.min_chars = 0;
            for mut trajectory in [sample::trajectory(), sample::decompose()] {
                trajectory.seed.question = question.clone();
                trajectory.seed.language = Some(language.clone());
                trajectory.threads[0].turns[0].text = answer.clone();
                trajectory.answer = Some(answer.clone());
                prop_assert!(check(&settings, &Candidate::of(&trajectory)).iter().all(|finding| !finding.message.is_empty()));
            }
        }
    }
}
