//! Tables for people: a data set's closing table, a corpus's statistics, a campaign's progress, a verification.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use coordinator::live::Status;
use corpus::BuildReport;
use dataset::verify::VerifyReport;
use model::{Manifest, Selection};
use runtime::ledger::Serving;

use crate::progress::duration;

/// Unusable lines that are shown after a build; all of them are in a file.
const REJECTED_SHOWN_MAX: usize = 10;

/// Workers that are listed one by one.
const WORKERS_SHOWN_MAX: usize = 20;
/// Of what a worker holds, so much is named.
const HOLDS_SHOWN_MAX: usize = 3;
/// Characters that tell a campaign's jobs apart, for people.
const ID_SHOWN: usize = 8;

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

/// The table's text without the blanks that fill its last column.
fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn row(table: &mut Table, name: &str, value: impl ToString) {
    table.add_row([name.to_owned(), value.to_string()]);
}

/// `part` of `whole` with its share.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".into();
    }
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let percent = part as f64 * 100.0 / whole as f64;
    format!("{part} of {whole} ({percent:.1} %)")
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "–".into();
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

/// What a sealed data set came to.
pub(crate) fn closing(manifest: &Manifest, archive: &str, took: Option<Duration>) -> String {
    let (counts, sums) = (manifest.counts, &manifest.sums);
    let rows = counts.accepted + counts.rejected;
    let calls: u64 = sums.tool_calls.values().sum();
    let mut table = table();
    row(&mut table, "campaign", format!("{} (seal {})", manifest.campaign, manifest.number));
    row(&mut table, "planned", manifest.planned);
    row(&mut table, "accepted", share(counts.accepted, manifest.planned));
    row(&mut table, "rejected", format!("{} by: {}", counts.rejected, listed(&sums.rejected_by)));
    row(&mut table, "failed", if counts.failed == 0 { "0".into() } else { format!("{} by: {}", counts.failed, listed(&sums.failed_by)) });
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
    row(&mut table, "answers judged right", share(sums.correct, sums.judged));
    row(&mut table, "search-hit (gold shown)", share(sums.search_hit, sums.with_gold));
    row(&mut table, "open-hit (gold opened)", share(sums.open_hit, sums.with_gold));
    row(&mut table, "citations that resolve", share(sums.citations_shown, sums.citations));
    if let Some(took) = took {
        row(&mut table, "time", duration(took));
    }
    let place = format!("{}/campaigns/{}", archive.trim_end_matches('/'), manifest.campaign);
    row(&mut table, "data set", &place);
    format!("{}\n\nNext: sluice verify {place}\n      sluice export {place} --format messages --out train.jsonl", lines(&table))
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn per(sum: u64, count: u64) -> String {
    if count == 0 { "0".into() } else { format!("{:.1}", sum as f64 / count as f64) }
}

/// How far a campaign is.
pub(crate) fn status(status: &Status) -> String {
    let mut table = table();
    row(&mut table, "campaign", &status.campaign);
    row(&mut table, "state", format!("{:?}", status.state).to_lowercase());
    row(&mut table, "planned", status.planned);
    row(&mut table, "outstanding", share(status.outstanding, status.planned));
    if let (Some(running), Some(yielded)) = (status.running, status.yielded) {
        row(&mut table, "running", format!("{running} (and {yielded} handed on)"));
    }
    row(&mut table, "synthesized, no verdict yet", status.synthesized);
    row(&mut table, "graded, rows not written yet", status.graded);
    row(&mut table, "accepted", status.accepted);
    row(&mut table, "rejected", status.rejected);
    row(&mut table, "failed", if status.failed == 0 { "0".into() } else { format!("{} by: {}", status.failed, listed(&status.failed_by)) });
    if status.cancelled > 0 {
        row(&mut table, "cancelled", status.cancelled);
    }
    row(&mut table, "sealed", status.sealed.map_or_else(|| "not yet".to_owned(), |number| format!("seal {number}")));
    for (kind, queue) in status.queues.iter().flatten() {
        if !matches!(*kind, "quarantine" | "parked" | "dead") || queue.ready + queue.unacked > 0 {
            row(&mut table, &format!("queue {kind}"), format!("{} ready, {} unacknowledged", queue.ready, queue.unacked));
        }
    }
    if let Some(rates) = status.rates {
        let eta = status.eta_seconds.map_or_else(|| "–".to_owned(), |seconds| duration(Duration::from_secs(seconds)));
        row(&mut table, "verdicts", format!("{} a minute, ETA {eta}", rates.per_minute));
    }
    if let Some(usage) = status.usage {
        let wasted = match (usage.wasted, usage.wasted_tokens) {
            (0, _) => String::new(),
            (calls, tokens) => format!(", {calls} wasted with {tokens} tokens"),
        };
        row(
            &mut table,
            "spent",
            format!("{} tokens in, {} out, {} calls{wasted}", usage.prompt_tokens, usage.completion_tokens, usage.calls),
        );
    }
    for (name, limit) in [
        ("completion tokens", status.budget.completion_tokens),
        ("prompt tokens", status.budget.prompt_tokens),
        ("calls", status.budget.calls),
    ] {
        if let Some(limit) = limit {
            row(&mut table, "budget", format!("{limit} {name}"));
        }
    }
    let mut text = lines(&table);
    let workers = status.workers.as_deref().unwrap_or_default();
    for worker in workers.iter().take(WORKERS_SHOWN_MAX) {
        for serving in &worker.campaigns {
            let Serving { running, slots, .. } = serving;
            text.push_str(&format!("\n  {} ({}): {running} of {slots} slots busy{}", worker.id, worker.role, held(serving)));
        }
    }
    if workers.len() > WORKERS_SHOWN_MAX {
        text.push_str(&format!("\n  … and {} workers more", workers.len() - WORKERS_SHOWN_MAX));
    }
    for failure in &status.failures {
        let message: String = failure.message.chars().take(160).collect();
        text.push_str(&format!("\n  failed {} ({}): {message}", failure.job, failure.kind));
    }
    let from = match status.source {
        "ledger" => "jobs counted from the archive; the rest as ledger, broker and workers say",
        _ => "counted from the archive",
    };
    format!("{text}\n{from}")
}

/// What a worker holds of a campaign: the first few jobs, and how many more.
fn held(serving: &Serving) -> String {
    let named: Vec<String> = serving.holds.iter().take(HOLDS_SHOWN_MAX).map(|work| shortened(work)).collect();
    if named.is_empty() {
        return String::new();
    }
    let more = serving.running.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(", +{more}") } else { String::new() };
    format!(", holds {}{more}", named.join(", "))
}

/// A name of work, `s/JOB`, `f/GRADE/JOB` or `k/GRADE/SHARD`, as short as people can tell it from others.
fn shortened(work: &str) -> String {
    let subject: String = work.rsplit('/').next().unwrap_or(work).chars().take(ID_SHOWN).collect();
    if work.starts_with("k/") { format!("shard {subject}") } else { subject }
}

/// What a build came to.
pub(crate) fn built(report: &BuildReport) -> String {
    let mut text = corpus(&report.manifest);
    for rejected in report.rejected.iter().take(REJECTED_SHOWN_MAX) {
        text.push_str(&format!("\n{}:{}: {}", rejected.file, rejected.line, rejected.reason));
    }
    if report.manifest.counts.rejected > REJECTED_SHOWN_MAX as u64 {
        text.push_str("\n…");
    }
    if report.manifest.counts.rejected > 0 {
        text.push_str(&format!("\nall unusable lines are in the snapshot's {}", corpus::REJECTED_FILE));
    }
    text
}

/// What a snapshot consists of.
pub(crate) fn corpus(manifest: &corpus::Manifest) -> String {
    let (counts, text, index) = (&manifest.counts, &manifest.text, &manifest.index);
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let mut table = table();
    row(&mut table, "corpus", &manifest.corpus_id);
    row(&mut table, "build", &manifest.build_digest);
    row(&mut table, "builder", &manifest.builder);
    row(&mut table, "documents", counts.kept);
    row(&mut table, "lines read", counts.lines);
    row(&mut table, "unusable lines", counts.rejected);
    row(&mut table, "dropped: same URL", counts.same_url);
    row(&mut table, "dropped: same text, URL kept", counts.same_text);
    row(&mut table, "text", format!("{} bytes, longest {}, {} titles, {} links", text.bytes, text.bytes_max, text.titled, text.links));
    row(&mut table, "index", format!("{} segments, {} terms, {} tokens", index.segments, index.terms, index.tokens));
    row(&mut table, "snapshot", format!("{} files, {bytes} bytes", manifest.files.len()));
    lines(&table)
}

/// What a verification found.
pub(crate) fn verification(report: &VerifyReport, manifest: &Manifest) -> String {
    let mut text = format!(
        "{} rows in {} shards of seal {}: {} observations replayed ({} bytes)",
        report.rows, report.shards, manifest.number, report.observations, report.observation_bytes
    );
    if report.differences == 0 {
        text.push_str(", all as sealed");
        return text;
    }
    text.push_str(&format!("\n{} differences; the first:", report.differences));
    for difference in &report.described {
        text.push_str(&format!("\n\n{}: {}", difference.place, difference.what));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_holds_is_named_as_far_as_there_is_room() {
        let holds = |names: &[&str], running| {
            let holds = names.iter().map(|name| (*name).to_owned()).collect();
            held(&Serving { campaign: "c".into(), running, slots: 8, holds })
        };
        assert_eq!(holds(&[], 0), "");
        assert_eq!(holds(&["s/0123456789abcdef", "k/beef/12"], 2), ", holds 01234567, shard 12");
        assert_eq!(holds(&["f/beef/0123456789abcdef", "s/a", "s/b", "s/c"], 9), ", holds 01234567, a, b, +6");
    }
}
