//! Campaigns and workers as metrics, as the coordinator sampled them last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use coordinator::live::Status;
use model::ControlState;
use runtime::ledger::WorkerStatus;

/// The states a campaign can be in.
const STATES: [(&str, ControlState); 3] =
    [("running", ControlState::Running), ("paused", ControlState::Paused), ("cancelled", ControlState::Cancelled)];
const ROLES: [&str; 4] = ["synthesis", "filter", "synthesis-quarantine", "filter-quarantine"];

/// A gauge: its name and its labels.
type Series = (&'static str, Vec<(&'static str, String)>);

/// What is shown. A gauge that nobody sets any more keeps its last value for ever, so whatever has gone (a kind of failure that was retried
/// away, a campaign that is over) is set to 0 once.
#[derive(Debug, Default)]
pub(super) struct Meters {
    shown: BTreeSet<Series>,
}

impl Meters {
    /// Shows these.
    pub(super) fn show<'a>(&mut self, statuses: impl Iterator<Item = &'a Status> + Clone, workers: &[WorkerStatus]) {
        let gauges = gauges(statuses.clone(), workers);
        for ((name, labels), value) in &gauges {
            metrics::gauge!(*name, labels).set(*value);
        }
        let now: BTreeSet<Series> = gauges.into_keys().collect();
        for (name, labels) in self.shown.difference(&now) {
            metrics::gauge!(*name, labels).set(0.0);
        }
        self.shown = now;
        for status in statuses {
            count(status);
        }
    }
}

/// What only grows.
fn count(status: &Status) {
    let Some(usage) = status.usage else { return };
    let name = || status.campaign.clone();
    metrics::counter!("sluice_tokens_total", "campaign" => name(), "kind" => "prompt").absolute(usage.prompt_tokens);
    metrics::counter!("sluice_tokens_total", "campaign" => name(), "kind" => "completion").absolute(usage.completion_tokens);
    metrics::counter!("sluice_completions_total", "campaign" => name()).absolute(usage.calls);
}

fn gauges<'a>(statuses: impl Iterator<Item = &'a Status>, workers: &[WorkerStatus]) -> BTreeMap<Series, f64> {
    let mut gauges: BTreeMap<Series, f64> = BTreeMap::new();
    for status in statuses {
        let mut set = |name: &'static str, labels: &[(&'static str, &str)], value: f64| {
            let own = [("campaign", status.campaign.as_str())];
            let labels = own.iter().chain(labels).map(|(label, value)| (*label, (*value).to_owned())).collect();
            gauges.insert((name, labels), value);
        };
        for (state, count) in [
            ("outstanding", status.outstanding),
            ("synthesized", status.synthesized),
            ("graded", status.graded),
            ("accepted", status.accepted),
            ("rejected", status.rejected),
            ("failed", status.failed),
            ("cancelled", status.cancelled),
            ("running", status.running.unwrap_or_default()),
            ("yielded", status.yielded.unwrap_or_default()),
        ] {
            set("sluice_jobs", &[("state", state)], number(count));
        }
        for (name, state) in STATES {
            set("sluice_campaign_state", &[("state", name)], f64::from(u8::from(status.state == state)));
        }
        set("sluice_jobs_planned", &[], number(status.planned));
        for (queue, depth) in status.queues.iter().flatten() {
            set("sluice_queue_messages", &[("queue", *queue), ("state", "ready")], number(depth.ready));
            set("sluice_queue_messages", &[("queue", *queue), ("state", "unacked")], number(depth.unacked));
        }
        for (kind, count) in &status.failed_by {
            set("sluice_failed_jobs", &[("kind", kind.as_str())], number(*count));
        }
        let budget = &status.budget;
        for (kind, limit) in [
            ("prompt_tokens", budget.prompt_tokens),
            ("completion_tokens", budget.completion_tokens),
            ("calls", budget.calls),
            ("money_micros", budget.money_micros),
            ("wall_seconds", budget.wall_s),
        ] {
            if let Some(limit) = limit {
                set("sluice_budget", &[("kind", kind)], number(limit));
            }
        }
        if let Some(usage) = status.usage {
            set("sluice_wasted_completions", &[], number(usage.wasted));
            set("sluice_wasted_tokens", &[], number(usage.wasted_tokens));
        }
        set("sluice_jobs_per_minute", &[], number(status.rates.map(|rates| rates.per_minute).unwrap_or_default()));
        set("sluice_eta_seconds", &[], status.eta_seconds.map_or(f64::NAN, number));
        // 0 while there is none.
        set("sluice_seal_number", &[], status.sealed.map_or(0.0, f64::from));
        // Of a campaign that cannot be sampled this stands still.
        set("sluice_sampled_timestamp_seconds", &[], number(status.sampled_at / 1000));
    }
    let mut roles: HashMap<&str, u32> = HashMap::new();
    for worker in workers {
        *roles.entry(&worker.role).or_default() += 1;
        for health in &worker.endpoints {
            let labels = [("campaign", &health.campaign), ("endpoint", &health.endpoint), ("state", &health.state)];
            let labels = labels.map(|(label, value)| (label, value.clone())).to_vec();
            *gauges.entry(("sluice_endpoint_workers", labels)).or_default() += 1.0;
        }
    }
    for role in ROLES {
        let count = roles.get(role).copied().unwrap_or_default();
        gauges.insert(("sluice_workers", vec![("role", role.to_owned())]), f64::from(count));
    }
    gauges
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows nothing but floating-point numbers")]
fn number(count: u64) -> f64 {
    count as f64
}
