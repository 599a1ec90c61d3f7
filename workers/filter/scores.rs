//! The named numbers of a verdict: what reports sum, rewards are made of, and a reader sorts by.

use std::collections::{BTreeMap, HashSet};

use model::Trajectory;

use crate::judge::lexical::Comparison;
use crate::rules::citations::Tally;
use crate::rules::{repetition, share, tool_calls, tool_errors};

/// The scores of a trajectory, before any judge:
///
/// - `tool_calls`, `turns`: how many, over all threads; calls that could not be read are not counted;
/// - `tool_error_share`, `repeated_share`: of all calls, what came to nothing, and what repeats an earlier call;
/// - `citation_precision`: of the distinct citations of the answer, the share that leads to lines shown in this trajectory; 0 without any;
/// - `search_hit`, `open_hit`, when gold documents are known: 1 when at least one of them was shown, or opened;
/// - `search_recall`, `open_recall`, likewise: the share of them that was shown, or opened;
/// - `answer_contains`, `answer_f1`, when reference answers are known: see [`Comparison`].
pub(crate) fn scores(trajectory: &Trajectory, comparison: Option<&Comparison>) -> BTreeMap<String, f64> {
    let turns: usize = trajectory.threads.iter().map(|thread| thread.turns.len()).sum();
    let of = |(part, whole)| share(part, whole);
    let mut scores = BTreeMap::new();
    let mut put = |name: &str, score: f64| scores.insert(name.to_owned(), score);
    put("tool_calls", tool_calls::count(trajectory) as f64);
    put("turns", turns as f64);
    put("tool_error_share", of(tool_errors::count(trajectory)));
    put("repeated_share", of(repetition::count(trajectory)));
    put("citation_precision", Tally::of(trajectory).precision());
    if let Some((shown, opened)) = gold_recall(trajectory) {
        put("search_hit", f64::from(u8::from(shown > 0.0)));
        put("open_hit", f64::from(u8::from(opened > 0.0)));
        put("search_recall", shown);
        put("open_recall", opened);
    }
    if let Some(comparison) = comparison {
        put("answer_contains", f64::from(u8::from(comparison.contains)));
        put("answer_f1", comparison.f1);
    }
    scores
}

/// Share of the gold documents that were shown and that were opened; nothing when none is known.
fn gold_recall(trajectory: &Trajectory) -> Option<(f64, f64)> {
    let gold: HashSet<&str> = trajectory.seed.gold_urls.iter().map(String::as_str).collect();
    if gold.is_empty() {
        return None;
    }
    let turns = || trajectory.threads.iter().flat_map(|thread| &thread.turns);
    let shown: HashSet<&str> = turns().flat_map(|turn| &turn.retrieval.gold_shown).map(String::as_str).collect();
    let opened: HashSet<&str> = turns().flat_map(|turn| &turn.retrieval.gold_opened).map(String::as_str).collect();
    let share_of = |met: HashSet<&str>| share(met.len() as u64, gold.len() as u64).min(1.0);
    Some((share_of(shown), share_of(opened)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn gold_documents_met_are_counted_once_and_hits_need_only_one() {
        let scores = scores(&sample::trajectory(), None);
        for (name, score) in
            [("search_hit", 1.0), ("open_hit", 1.0), ("search_recall", 0.5), ("open_recall", 0.5), ("turns", 4.0), ("tool_calls", 3.0)]
        {
            assert_eq!(scores.get(name), Some(&score), "{name}");
        }
        assert!(!scores.contains_key("answer_f1"));
    }

    #[test]
    fn without_gold_documents_there_is_no_hit_to_speak_of() {
        let mut trajectory = sample::trajectory();
        trajectory.seed.gold_urls.clear();
        assert!(!scores(&trajectory, None).contains_key("search_hit"));
    }

    #[test]
    fn precision_is_zero_when_nothing_is_cited() {
        let mut trajectory = sample::answering("No sources.");
        assert_eq!(scores(&sample::trajectory(), None)["citation_precision"], 1.0);
        trajectory.citations.clear();
        assert_eq!(scores(&trajectory, None)["citation_precision"], 0.0);
    }
}
