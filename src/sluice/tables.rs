//! Tables for people: a corpus's statistics, a campaign's progress, a verification; a data set's closing table is in a file of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use coordinator::live::Status;
use corpus::BuildReport;
use dataset::verify::VerifyReport;
use model::{ControlState, Manifest};
use runtime::ledger::{EndpointHealth, Serving, WorkerStatus};

use crate::progress::duration;

mod closing;
mod comparison;
mod forecast;

pub(crate) use closing::{closing, report};
pub(crate) use comparison::comparison;
pub(crate) use forecast::forecast;

/// Unusable lines that are shown after a build; all of them are in a file.
const REJECTED_SHOWN_MAX: usize = 10;

/// Workers that are listed one by one.
const WORKERS_SHOWN_MAX: usize = 20;
/// Servers of models that are listed one by one.
const SERVERS_SHOWN_MAX: usize = 20;
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

/// How far a campaign is.
pub(crate) fn status(status: &Status) -> String {
    let mut table = table();
    row(&mut table, "campaign", &status.campaign);
    // To people a campaign without anything to do is over, and one that nobody works on is stopped, though nobody has paused or cancelled it.
    let state = match status.state {
        _ if status.outstanding == 0 => "finished".to_owned(),
        ControlState::Running if status.stopped == Some(true) => "stopped; `sluice run` with its campaign file continues it".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    };
    row(&mut table, "state", state);
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
    if status.spared > 0 {
        row(&mut table, "spared", format!("{}: earlier samples of their seeds were all right, or all wrong", status.spared));
    }
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
            format!(
                "{} tokens in, {} out, {} calls{}{wasted}",
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.calls,
                money(usage.cost_micros)
            ),
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
    if let Some(limit) = status.budget.money_micros {
        row(&mut table, "budget", format!("{:.2} in money", limit as f64 / 1e6));
    }
    if let Some(limit) = status.budget.wall_s {
        let since = if status.stopped.is_some() { "of each run" } else { "since it was submitted or resumed" };
        row(&mut table, "budget", format!("{} of wall time {since}", duration(Duration::from_secs(limit))));
    }
    if status.paused_by.is_some() {
        let how = if status.stopped == Some(true) { "run it again" } else { "submit again, or resume" };
        row(&mut table, "paused by", format!("its budget; raise it in the campaign file and {how}"));
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
    for line in servers(workers) {
        text.push_str(&format!("\n  {line}"));
    }
    for failure in &status.failures {
        let message: String = failure.message.chars().take(160).collect();
        text.push_str(&format!("\n  failed {} ({}): {message}", failure.job, failure.kind));
    }
    let from = match status.source {
        "ledger" if status.queues.is_none() && status.workers.is_none() => {
            "jobs counted from the archive; what was spent as the ledger says"
        }
        "ledger" => "jobs counted from the archive; the rest as ledger, broker and workers say",
        _ => "counted from the archive",
    };
    format!("{text}\n{from}")
}

/// A line for each server of the campaign's models, all workers together.
fn servers(workers: &[WorkerStatus]) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<&EndpointHealth>> = BTreeMap::new();
    for health in workers.iter().flat_map(|worker| &worker.endpoints) {
        by_name.entry(&health.endpoint).or_default().push(health);
    }
    let shown = by_name.iter().take(SERVERS_SHOWN_MAX).map(|(name, seen)| server(name, seen));
    let more = by_name.len().checked_sub(SERVERS_SHOWN_MAX).filter(|more| *more > 0);
    shown.chain(more.map(|more| format!("… and {more} servers more"))).collect()
}

/// How one server does, as those who ask it see it.
fn server(name: &str, seen: &[&EndpointHealth]) -> String {
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    seen.iter().for_each(|health| *states.entry(health.state.clone()).or_default() += 1);
    let state = match states.keys().next() {
        Some(state) if states.len() == 1 => state.clone(),
        // Workers find out each for itself.
        _ => listed(&states),
    };
    let sum = |of: fn(&EndpointHealth) -> u64| seen.iter().map(|health| of(health)).sum::<u64>();
    let (in_flight, window) = (sum(|health| health.in_flight.into()), sum(|health| health.window.into()));
    let (waiting, answered, failed) = (sum(|health| health.waiting.into()), sum(|health| health.answered), sum(|health| health.failed));
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let seconds = seen.iter().map(|health| health.seconds_mean * health.answered as f64).sum::<f64>() / answered.max(1) as f64;
    let waiting = if waiting > 0 { format!(", {waiting} waiting") } else { String::new() };
    format!("{name}: {state}, {in_flight} of {window} in flight{waiting}, {answered} answered, {failed} failed, {seconds:.1} s each")
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

/// `, N in money`, or nothing where nothing cost any.
fn money(cost_micros: u64) -> String {
    if cost_micros == 0 { String::new() } else { format!(", {:.4} in money", cost_micros as f64 / 1e6) }
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

    #[test]
    fn a_server_is_shown_once_with_what_all_workers_see_of_it() {
        let worker = |endpoint: &str, state: &str, answered, seconds_mean| {
            let health = EndpointHealth {
                endpoint: endpoint.into(),
                state: state.into(),
                in_flight: 3,
                window: 8,
                waiting: 1,
                answered,
                failed: 2,
                seconds_mean,
                ..EndpointHealth::default()
            };
            WorkerStatus { endpoints: vec![health], ..WorkerStatus::default() }
        };
        let workers = [worker("http://a/v1", "up", 30, 1.0), worker("http://b/v1", "up", 0, 0.0), worker("http://a/v1", "down", 10, 3.0)];
        let expected = [
            "http://a/v1: down 1, up 1, 6 of 16 in flight, 2 waiting, 40 answered, 4 failed, 1.5 s each",
            "http://b/v1: up, 3 of 8 in flight, 1 waiting, 0 answered, 2 failed, 0.0 s each",
        ];
        assert_eq!(servers(&workers), expected);
    }
}
