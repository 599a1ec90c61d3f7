//! The named numbers of a verdict: what reports sum, rewards are made of, and a reader sorts by.

use std::collections::BTreeMap;

use model::{GoldMet, Trajectory};

use crate::candidate::Candidate;
use crate::judge::lexical::Comparison;
use crate::rules::citations::Tally;
use crate::rules::report::Report;
use crate::rules::{self, distinct_calls, is_decompose, repetition, share, steps, thinking, tool_calls, tool_errors};

/// The scores of a trajectory, before any judge:
///
/// - `tool_calls`, `turns`, `steps`: how many, over all threads; calls that could not be read are not counted; a step is a turn that reasons or
///   plans;
/// - `distinct_calls`: the same tool with the same arguments counts once;
/// - `tool_error_share`, `repeated_share`: of all calls, what came to nothing, and what repeats an earlier call;
/// - `thinking_share`: of the researchers' turns with a call, those that begin with a thought; absent where there is none;
/// - `citation_precision`: of the distinct citations of the answer, the share that leads to lines shown in this trajectory; 0 without any;
/// - those of [`of_research`] for `decompose`, and those of [`of_retrieval`] when gold documents are known;
/// - `answer_contains`, `answer_f1`, `answer_lexical`, `answer_correct`, when reference answers are known: see [`Comparison`].
pub(crate) fn scores(candidate: &Candidate<'_>, comparison: Option<&Comparison>) -> BTreeMap<String, f64> {
    let turns: usize = candidate.threads.iter().map(|thread| thread.turns.len()).sum();
    let of = |(part, whole)| share(part, whole);
    let mut scores: Vec<(&str, f64)> = vec![
        ("tool_calls", tool_calls::count(candidate) as f64),
        ("turns", turns as f64),
        ("steps", steps::count(candidate) as f64),
        ("distinct_calls", distinct_calls::count(candidate) as f64),
        ("tool_error_share", of(tool_errors::count(candidate))),
        ("repeated_share", of(repetition::count(candidate))),
        ("citation_precision", Tally::of(candidate).precision()),
    ];
    let thoughtful = thinking::count(candidate);
    if thoughtful.1 > 0 {
        scores.push(("thinking_share", of(thoughtful)));
    }
    if is_decompose(candidate) {
        scores.extend(of_research(candidate));
    }
    if let Some(met) = gold(candidate) {
        scores.extend(of_retrieval(&met));
    }
    if let Some(comparison) = comparison {
        scores.extend([
            ("answer_contains", one_if(comparison.contains)),
            ("answer_f1", comparison.f1),
            ("answer_lexical", comparison.score),
            ("answer_correct", one_if(comparison.is_correct())),
        ]);
    }
    scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect()
}

fn one_if(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The scores of `decompose` alone:
///
/// - `subtasks`: how many were researched;
/// - `trace_tokens`: length of the merged trace;
/// - `n_calls_min`: calls of `web_search` or of `crawl_page`, whichever are fewer: what O-Researcher's reward counts;
/// - `references`: how many the report lists; `citations_per_1000_chars`: markers in the rest of it, repetitions included.
fn of_research(candidate: &Candidate<'_>) -> Vec<(&'static str, f64)> {
    let readable = || rules::actions(candidate).map(|(action, _)| action).filter(|action| action.unreadable.is_none());
    let calls = |tool: &str| readable().filter(|action| action.tool == tool).count();
    let report = Report::of(candidate.answer.as_deref().unwrap_or_default());
    let chars = report.text.trim().chars().count() as u64;
    vec![
        ("subtasks", candidate.threads.iter().filter(|thread| thread.subtask.is_some()).count() as f64),
        ("trace_tokens", candidate.trace_tokens() as f64),
        ("n_calls_min", calls("web_search").min(calls("crawl_page")) as f64),
        ("references", report.references.len() as f64),
        ("citations_per_1000_chars", share(report.markers.len() as u64 * 1000, chars)),
    ]
}

/// The scores of what was met of the gold documents:
///
/// - `search_hit`, `open_hit`: 1 when at least one of them was among search results, or opened; who opens a document by its address had found
///   it too;
/// - `evidence_recall_shown`, `evidence_recall_opened`: the share of them that was among search results, or opened;
/// - `first_shown_turn`, `first_opened_turn`: the turn in which the first one was, from 1 over all threads; absent when none was.
fn of_retrieval(met: &GoldMet) -> Vec<(&'static str, f64)> {
    let recall = |met: u32, all: u32| share(met.into(), all.into()).min(1.0);
    let mut scores = vec![
        ("search_hit", one_if(met.shown > 0 || met.opened > 0)),
        ("open_hit", one_if(met.opened > 0)),
        ("evidence_recall_shown", recall(met.shown, met.documents)),
        ("evidence_recall_opened", recall(met.opened, met.documents)),
    ];
    for (name, turn) in [("first_shown_turn", met.first_shown_turn), ("first_opened_turn", met.first_opened_turn)] {
        scores.extend(turn.map(|turn| (name, f64::from(turn))));
    }
    scores
}

/// What was met of the gold documents: as the recipe says, else as the turns do, which trajectories of older builds have alone. Nothing when
/// none is known.
fn gold(trajectory: &Trajectory) -> Option<GoldMet> {
    let met = trajectory.gold.clone().or_else(|| GoldMet::of(&trajectory.seed, &trajectory.threads));
    met.filter(|met| met.documents > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn of(trajectory: &Trajectory) -> BTreeMap<String, f64> {
        scores(&Candidate::of(trajectory), None)
    }

    fn assert_has(scores: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
        for (name, score) in expected {
            assert_eq!(scores.get(*name), Some(score), "{name}");
        }
    }

    #[test]
    fn gold_documents_met_are_counted_once_and_hits_need_only_one() {
        let scores = of(&sample::trajectory());
        assert_has(&scores, &[("search_hit", 1.0), ("open_hit", 1.0), ("evidence_recall_shown", 0.5), ("evidence_recall_opened", 0.5)]);
        assert_has(&scores, &[("first_shown_turn", 1.0), ("first_opened_turn", 2.0), ("turns", 4.0), ("tool_calls", 3.0)]);
        assert!(!scores.contains_key("answer_f1") && !scores.contains_key("subtasks"));
    }

    #[test]
    fn what_the_recipe_says_of_gold_goes_before_what_the_turns_say() {
        let mut trajectory = sample::trajectory();
        trajectory.gold = Some(GoldMet { documents: 4, shown: 3, opened: 0, first_shown_turn: Some(2), first_opened_turn: None });
        let scores = of(&trajectory);
        assert_has(&scores, &[("search_hit", 1.0), ("open_hit", 0.0), ("evidence_recall_shown", 0.75), ("evidence_recall_opened", 0.0)]);
        assert_has(&scores, &[("first_shown_turn", 2.0)]);
        assert!(!scores.contains_key("first_opened_turn"));
        trajectory.gold = Some(GoldMet { documents: 4, opened: 1, first_opened_turn: Some(3), ..GoldMet::default() });
        assert_has(&of(&trajectory), &[("search_hit", 1.0), ("open_hit", 1.0), ("evidence_recall_shown", 0.0)]);
    }

    #[test]
    fn without_gold_documents_there_is_no_hit_to_speak_of() {
        let mut trajectory = sample::trajectory();
        trajectory.seed.gold_urls.clear();
        assert!(!of(&trajectory).contains_key("search_hit"));
    }

    #[test]
    fn precision_is_zero_when_nothing_is_cited() {
        let mut trajectory = sample::answering("No sources.");
        assert_eq!(of(&sample::trajectory())["citation_precision"], 1.0);
        trajectory.citations.clear();
        assert_eq!(of(&trajectory)["citation_precision"], 0.0);
    }

    #[test]
    fn research_in_depth_is_counted_as_its_rules_count() {
        let mut trajectory = sample::decompose();
        let scores = of(&trajectory);
        assert_has(&scores, &[("subtasks", 2.0), ("steps", 12.0), ("distinct_calls", 8.0), ("n_calls_min", 4.0), ("references", 2.0)]);
        assert_has(&scores, &[("thinking_share", 1.0), ("citation_precision", 1.0), ("turns", 12.0)]);
        assert!(scores["trace_tokens"] > 800.0);
        assert!((2.0..6.0).contains(&scores["citations_per_1000_chars"]), "two markers in some five hundred characters");
        trajectory.threads[1].turns[0].actions[0].unreadable = Some("no query".into());
        assert_eq!(of(&trajectory)["n_calls_min"], 3.0);
        trajectory.answer = None;
        assert_eq!(of(&trajectory)["citations_per_1000_chars"], 0.0);
    }
}
