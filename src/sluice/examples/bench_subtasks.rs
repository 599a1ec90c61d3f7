//! Reads rows of `decompose` and says how far their subtasks ran side by side.
//!
//! `sluice export … --format native --rows all | cargo run --release -p sluice --example bench_subtasks -- LATENCY_MS`, where every completion took
//! LATENCY_MS: a job's ideal is the sum over its planner, its longest subtask and its summarizer of so many completions. Its threads' completions
//! are counted, never timed, so that threads that hold each other up do not look as if they had been long. Its last line is for `scripts/bench`:
//! what, value, unit, bound, target.

use std::error::Error;
use std::io::BufRead;

use model::{Row, ThreadRole};

/// The largest ratio of a job's time to its ideal.
const TARGET: f64 = 1.1;

/// One job: how long it took beside what it could have taken.
struct Span {
    subtasks: usize,
    turns: usize,
    busy_ms: u64,
    ideal_ms: u64,
}

impl Span {
    fn of(row: &Row, latency_ms: u64) -> Self {
        let turns = |role: ThreadRole| row.threads.iter().filter(move |thread| thread.role == role).map(|thread| thread.turns.len());
        let path = turns(ThreadRole::Planner).sum::<usize>()
            + turns(ThreadRole::Researcher).max().unwrap_or(0)
            + turns(ThreadRole::Summarizer).sum::<usize>();
        Self {
            subtasks: turns(ThreadRole::Researcher).count(),
            turns: row.threads.iter().map(|thread| thread.turns.len()).sum(),
            busy_ms: row.provenance.busy_ms,
            ideal_ms: latency_ms.saturating_mul(u64::try_from(path).unwrap_or(u64::MAX)),
        }
    }

    fn ratio(&self) -> f64 {
        self.busy_ms as f64 / self.ideal_ms.max(1) as f64
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let latency_ms: u64 = std::env::args().nth(1).ok_or("usage: bench_subtasks LATENCY_MS < rows")?.parse()?;
    let mut spans = Vec::new();
    for line in std::io::stdin().lock().lines() {
        spans.push(Span::of(&serde_json::from_str(&line?)?, latency_ms));
    }
    println!("{:>10}{:>14}{:>12}{:>12}{:>8}", "subtasks", "completions", "took, ms", "ideal, ms", "ratio");
    for span in &spans {
        println!("{:>10}{:>14}{:>12}{:>12}{:>8.3}", span.subtasks, span.turns, span.busy_ms, span.ideal_ms, span.ratio());
    }
    spans.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    let median = spans.get(spans.len() / 2).ok_or("read the rows: there are none")?;
    println!(
        "job of {} subtasks, median of {}, ÷ planner + longest + summarizer\t{:.3}\tx\t<=\t{TARGET}",
        median.subtasks,
        spans.len(),
        median.ratio()
    );
    Ok(())
}
