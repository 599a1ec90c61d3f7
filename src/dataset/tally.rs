//! Sums over rows, so that a shard's index, a manifest and a report need no rows.

use model::shard::Sums;
use model::{Attribution, Row};

/// Adds one row to `sums`.
pub fn add_row(sums: &mut Sums, row: &Row) {
    sums.teacher += row.usage;
    *sums.outcomes.entry(word(&row.outcome)).or_default() += 1;
    let (mut search_hit, mut open_hit) = (false, false);
    for turn in row.threads.iter().flat_map(|thread| &thread.turns) {
        sums.turns += 1;
        search_hit |= !turn.retrieval.gold_shown.is_empty();
        open_hit |= !turn.retrieval.gold_opened.is_empty();
        for (action, observation) in turn.actions.iter().zip(&turn.observations) {
            *sums.tool_calls.entry(action.tool.clone()).or_default() += 1;
            sums.observation_bytes += observation.text.len() as u64;
        }
    }
    if !row.seed.gold_urls.is_empty() {
        sums.with_gold += 1;
        sums.search_hit += u64::from(search_hit || open_hit);
        sums.open_hit += u64::from(open_hit);
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

/// The serialised form of a plain enum, as reports write it.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}
