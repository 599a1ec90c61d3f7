//! Sums over rows, so that a shard's index, a manifest and a report need no rows.

use model::shard::Sums;
use model::{Attribution, GoldMet, Row};

/// Adds one row to `sums`.
pub fn add_row(sums: &mut Sums, row: &Row) {
    sums.teacher += row.usage;
    *sums.outcomes.entry(word(&row.outcome)).or_default() += 1;
    for turn in row.threads.iter().flat_map(|thread| &thread.turns) {
        sums.turns += 1;
        for (action, observation) in turn.actions.iter().zip(&turn.observations) {
            *sums.tool_calls.entry(action.tool.clone()).or_default() += 1;
            sums.observation_bytes += observation.text.len() as u64;
        }
    }
    // Rows that were written before trajectories said it have none.
    if let Some(gold) = row.gold.clone().or_else(|| GoldMet::of(&row.seed, &row.threads)) {
        add_gold(sums, &gold);
    }
    sums.citations += row.citations.len() as u64;
    sums.citations_shown += row.citations.iter().filter(|citation| citation.attribution == Attribution::Shown).count() as u64;
    if let Some(judge) = &row.verdict.judge {
        sums.judge += judge.usage;
        sums.judged += u64::from(judge.correct.is_some());
        sums.correct += u64::from(judge.correct == Some(true));
    }
    if !row.verdict.accepted {
        let hard = row.verdict.findings.iter().find(|finding| finding.severity == model::Severity::Hard);
        let by = hard.map_or_else(|| "judge".to_owned(), |finding| finding.rule.clone());
        *sums.rejected_by.entry(by).or_default() += 1;
    }
}

fn add_gold(sums: &mut Sums, gold: &GoldMet) {
    sums.with_gold += 1;
    // Who opens a document by its URL had found it too.
    sums.search_hit += u64::from(gold.shown > 0);
    sums.open_hit += u64::from(gold.opened > 0);
    sums.gold_documents += u64::from(gold.documents);
    sums.gold_shown += u64::from(gold.shown);
    sums.gold_opened += u64::from(gold.opened);
    sums.first_shown_turns += u64::from(gold.first_shown_turn.unwrap_or_default());
    sums.first_shown_rows += u64::from(gold.first_shown_turn.is_some());
    sums.first_opened_turns += u64::from(gold.first_opened_turn.unwrap_or_default());
    sums.first_opened_rows += u64::from(gold.first_opened_turn.is_some());
}

/// The serialised form of a plain enum, as reports write it.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use model::Retrieval;

    use super::*;
    use crate::testing::{researcher, row, says};

    #[test]
    fn gold_is_summed_as_the_row_says_it_and_counted_where_it_does_not() {
        let met = |shown: &[&str]| Retrieval { gold_shown: shown.iter().map(|url| (*url).to_owned()).collect(), gold_opened: Vec::new() };
        let turns = vec![says("one"), model::Turn { retrieval: met(&["https://a.example"]), ..says("two") }];
        let mut row = row(vec![researcher("s", turns, None)], None);
        row.seed.gold_urls = vec!["https://a.example".into(), "https://b.example".into()];
        let mut sums = Sums::default();
        add_row(&mut sums, &row);
        row.gold = GoldMet::of(&row.seed, &row.threads);
        add_row(&mut sums, &row);
        let expected = (2, 2, 0, 4, 2, 0);
        let found = (sums.with_gold, sums.search_hit, sums.open_hit, sums.gold_documents, sums.gold_shown, sums.gold_opened);
        assert_eq!(found, expected, "with_gold, search_hit, open_hit, documents, shown, opened");
        assert_eq!((sums.first_shown_turns, sums.first_shown_rows, sums.first_opened_rows), (4, 2, 0));
        let before = sums.clone().without_recall();
        assert_eq!((before.with_gold, before.search_hit, before.gold_documents, before.first_shown_turns), (2, 2, 0, 0));
    }
}
