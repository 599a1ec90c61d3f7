//! The closing table: what a sealed data set came to, what it cost, how well it searched and how often it was right.

use std::time::Duration;

use comfy_table::Table;
use dataset::passes::Passes;
use model::shard::Sums;
use model::{Manifest, Selection};

use super::{lines, listed, row, share, table};
use crate::progress::duration;

/// What a sealed data set came to.
pub(crate) fn closing(manifest: &Manifest, archive: &str, took: Option<Duration>) -> String {
    sealed(manifest, archive, took, None)
}

/// The same, with what only the rows say.
pub(crate) fn report(manifest: &Manifest, archive: &str, passes: Option<&Passes>) -> String {
    sealed(manifest, archive, None, passes)
}

fn sealed(manifest: &Manifest, archive: &str, took: Option<Duration>, passes: Option<&Passes>) -> String {
    let (counts, sums) = (manifest.counts, &manifest.sums);
    let rows = counts.accepted + counts.rejected;
    let calls: u64 = sums.tool_calls.values().sum();
    let mut table = table();
    row(&mut table, "campaign", format!("{} (seal {})", manifest.campaign, manifest.number));
    row(&mut table, "planned", manifest.planned);
    row(&mut table, "accepted", share(counts.accepted, manifest.planned));
    row(&mut table, "rejected", format!("{} by: {}", counts.rejected, listed(&sums.rejected_by)));
    row(&mut table, "failed", if counts.failed == 0 { "0".into() } else { format!("{} by: {}", counts.failed, listed(&sums.failed_by)) });
    if counts.spared > 0 {
        row(&mut table, "spared", format!("{}: earlier samples of their seeds were all right, or all wrong", counts.spared));
    }
    if manifest.cancelled > 0 {
        row(&mut table, "cancelled", manifest.cancelled);
    }
    if manifest.outstanding > 0 {
        row(&mut table, "outstanding", manifest.outstanding);
    }
    if let Selection::BestOfSeed { jobs } = &manifest.selection {
        row(&mut table, "selected", format!("{}, the best of each seed", jobs.len()));
    }
    row(&mut table, "outcomes", listed(&sums.outcomes));
    row(&mut table, "turns", format!("{} ({} a trajectory)", sums.turns, per(sums.turns, rows)));
    row(&mut table, "tool calls", format!("{calls} ({} a trajectory): {}", per(calls, rows), listed(&sums.tool_calls)));
    row(&mut table, "observations", format!("{} kB a trajectory", per(sums.observation_bytes / 1000, rows)));
    row(
        &mut table,
        "teacher tokens",
        format!("{} in, {} out, {} calls", sums.teacher.prompt_tokens, sums.teacher.completion_tokens, sums.teacher.calls),
    );
    if sums.judge.calls > 0 {
        row(
            &mut table,
            "judge tokens",
            format!("{} in, {} out, {} calls", sums.judge.prompt_tokens, sums.judge.completion_tokens, sums.judge.calls),
        );
    }
    add_money(&mut table, sums, counts.accepted);
    row(&mut table, "answers judged right", share(sums.correct, sums.judged));
    if let Some(passes) = passes {
        add_passes(&mut table, passes);
    }
    add_retrieval(&mut table, sums);
    row(&mut table, "citations that resolve", share(sums.citations_shown, sums.citations));
    if let Some(took) = took {
        row(&mut table, "time", duration(took));
    }
    let place = format!("{}/campaigns/{}", archive.trim_end_matches('/'), manifest.campaign);
    row(&mut table, "data set", &place);
    format!("{}\n\nNext: sluice verify {place}\n      sluice export {place} --format messages --out train.jsonl", lines(&table))
}

/// In the currency of the price tables; nothing where no teacher has one.
fn add_money(table: &mut Table, sums: &Sums, accepted: u64) {
    let spent = sums.teacher.cost_micros + sums.judge.cost_micros;
    if spent == 0 {
        return;
    }
    let judge =
        if sums.judge.cost_micros > 0 { format!(" ({} of it for the judge)", money(sums.judge.cost_micros)) } else { String::new() };
    let each = spent.checked_div(accepted).map_or_else(|| "nothing accepted".into(), |each| format!("{} an accepted row", money(each)));
    row(table, "money", format!("{}{judge}, {each}", money(spent)));
}

/// Millionths of a currency with four decimals, which tells single rows of a cheap model apart.
fn money(micros: u64) -> String {
    let rounded = micros.saturating_add(50) / 100;
    format!("{}.{:04}", rounded / 10_000, rounded % 10_000)
}

fn add_retrieval(table: &mut Table, sums: &Sums) {
    row(table, "search-hit (gold shown)", share(sums.search_hit, sums.with_gold));
    row(table, "open-hit (gold opened)", share(sums.open_hit, sums.with_gold));
    if sums.gold_documents > 0 {
        let mean = |turns, rows| if rows == 0 { "–".to_owned() } else { per(turns, rows) };
        let shown = mean(sums.first_shown_turns, sums.first_shown_rows);
        let opened = mean(sums.first_opened_turns, sums.first_opened_rows);
        row(table, "first hit (mean turn)", format!("shown {shown}, opened {opened}"));
        row(table, "evidence recall (shown)", share(sums.gold_shown, sums.gold_documents));
        row(table, "evidence recall (opened)", share(sums.gold_opened, sums.gold_documents));
    }
}

fn add_passes(table: &mut Table, passes: &Passes) {
    for at in &passes.at {
        row(table, &format!("pass@{}", at.k), format!("{:.1} % over {} seeds", at.pass * 100.0, at.seeds));
    }
    let all = passes.seeds;
    row(table, "seeds never right (0/k)", share(passes.none_right, all));
    row(table, "seeds informative", share(passes.informative, all));
    row(table, "seeds always right (k/k)", share(passes.all_right, all));
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn per(sum: u64, count: u64) -> String {
    if count == 0 { "0".into() } else { format!("{:.1}", sum as f64 / count as f64) }
}

#[cfg(test)]
mod tests {
    use dataset::passes::PassAt;
    use model::Usage;

    use super::*;

    #[test]
    fn money_is_told_where_there_is_a_price_and_per_accepted_row() {
        let told = |teacher, judge, accepted| {
            let usage = |cost_micros| Usage { cost_micros, ..Usage::default() };
            let mut table = table();
            add_money(&mut table, &Sums { teacher: usage(teacher), judge: usage(judge), ..Sums::default() }, accepted);
            lines(&table)
        };
        assert_eq!(told(0, 0, 5), "");
        assert!(told(12_345_678, 0, 4).contains("12.3457, 3.0864 an accepted row"), "{}", told(12_345_678, 0, 4));
        assert!(told(50, 150, 0).contains("0.0002 (0.0002 of it for the judge), nothing accepted"), "{}", told(50, 150, 0));
    }

    #[test]
    fn retrieval_is_told_by_rows_by_turns_and_by_documents() {
        let sums = Sums {
            with_gold: 4,
            search_hit: 3,
            open_hit: 2,
            gold_documents: 8,
            gold_shown: 4,
            gold_opened: 2,
            first_shown_turns: 5,
            first_shown_rows: 2,
            ..Sums::default()
        };
        let mut table = table();
        add_retrieval(&mut table, &sums);
        let text = lines(&table);
        for expected in ["3 of 4 (75.0 %)", "2 of 4 (50.0 %)", "shown 2.5, opened –", "4 of 8 (50.0 %)", "2 of 8 (25.0 %)"] {
            assert!(text.contains(expected), "`{expected}` in {text}");
        }
    }

    #[test]
    fn passes_are_told_with_the_seeds_they_are_means_over() {
        let at = vec![PassAt { k: 1, seeds: 3, pass: 0.5 }, PassAt { k: 2, seeds: 2, pass: 0.75 }];
        let mut table = table();
        add_passes(&mut table, &Passes { seeds: 4, none_right: 1, informative: 2, all_right: 1, at });
        let text = lines(&table);
        for expected in ["pass@1", "50.0 % over 3 seeds", "75.0 % over 2 seeds", "2 of 4 (50.0 %)"] {
            assert!(text.contains(expected), "`{expected}` in {text}");
        }
    }
}
