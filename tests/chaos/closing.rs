//! The closing table: what failed how often, what it cost, and whether the promises held.

use serde_json::{Map, Value, json};

use super::Run;
use super::checker::Report;
use super::teacher_at_work::Asked;

/// Counters of workers that show what the faults made them do.
const TOLD: &[&str] = &["received", "adopted", "spared", "postponed", "outages", "yielded", "lost", "abandoned", "suspected"];

/// The end of a run.
pub(crate) struct Closing {
    summary: Map<String, Value>,
    faults: Vec<(&'static str, u64)>,
    broken: Vec<String>,
}

impl Closing {
    /// What `run` came to, with the last status, the checker's `report`, and what was `asked` of the teacher.
    pub(crate) fn of(run: &Run, status: Value, report: Report, asked: Asked) -> Self {
        let allowance = &run.stage.allowance;
        let summary = json!({
            "seed": run.seed,
            "minutes": run.time.as_secs_f64() / 60.0,
            "duration_s": run.began.elapsed().as_secs(),
            "jobs": report.planned,
            "accepted": report.counts.accepted,
            "rejected": report.counts.rejected,
            "failed": report.counts.failed,
            "cancelled": report.cancelled,
            "rows": report.rows,
            "both_verdict_and_end": report.both,
            "requests": asked.requests,
            "distinct": asked.distinct,
            "repeated": asked.requests - asked.distinct,
            "repeats_explained": allowance.total(),
            "explained_by": allowance.by_cause(),
            "resumes": run.resumes,
            "submissions_spoilt": run.submission.spoilt,
            "gave_up_unreachable": run.stage.fleet.gave_up,
            "s3": run.stage.s3.place().counts(),
            "workers_in_their_last_life": counters(&status),
        });
        let mut broken = run.broken.clone();
        broken.extend(report.broken);
        if report.untold > 0 {
            broken.push(format!("and {} more", report.untold));
        }
        let faults = run.stage.done.iter().map(|(kind, count)| (kind.name(), *count)).collect();
        let Value::Object(summary) = summary else { unreachable!("it was written as an object") };
        Self { summary, faults, broken }
    }

    /// Whether all promises held.
    pub(crate) fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }

    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            let mut all = self.summary.clone();
            all.insert("faults".into(), self.faults.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect());
            all.insert("broken".into(), json!(self.broken));
            println!("{}", Value::Object(all));
            return;
        }
        for (name, value) in &self.summary {
            println!("{name:28} {value}");
        }
        for (name, count) in &self.faults {
            println!("{name:28} {count}");
        }
        for told in &self.broken {
            println!("BROKEN: {told}");
        }
        println!("PROMISES {}", if self.is_whole() { "HELD" } else { "BROKEN" });
    }
}

/// Sums over the workers that live.
fn counters(status: &Value) -> Value {
    let workers = status["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |name: &str| workers.iter().filter_map(|worker| worker["counters"][name].as_u64()).sum::<u64>();
    TOLD.iter().map(|name| ((*name).to_owned(), json!(sum(name)))).collect()
}
