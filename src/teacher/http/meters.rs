//! What the servers of this process's teachers show as metrics.
//!
//! Several teachers of one process may ask the same server (campaigns, judges); each shows its part, and the gauge has the sum. What a teacher
//! showed goes with it.

use metrics::Gauge;

use super::circuit::Standing;

/// One teacher's part in the gauges of one server.
pub(super) struct Meters {
    window: Part,
    in_flight: Part,
    waiting: Part,
    up: Part,
    down: Part,
    probing: Part,
}

/// What is shown of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) window: u32,
    pub(super) in_flight: u32,
    pub(super) waiting: u32,
    pub(super) standing: Standing,
}

impl Meters {
    pub(super) fn of(endpoint: &str) -> Self {
        let name = || endpoint.to_owned();
        let state = |state| Part::of(metrics::gauge!("sluice_endpoint_state", "endpoint" => name(), "state" => state));
        Self {
            window: Part::of(metrics::gauge!("sluice_endpoint_window", "endpoint" => name())),
            in_flight: Part::of(metrics::gauge!("sluice_endpoint_in_flight", "endpoint" => name())),
            waiting: Part::of(metrics::gauge!("sluice_endpoint_waiting", "endpoint" => name())),
            up: state("up"),
            down: state("down"),
            probing: state("probing"),
        }
    }

    pub(super) fn show(&mut self, shown: Shown) {
        self.window.show(shown.window);
        self.in_flight.show(shown.in_flight);
        self.waiting.show(shown.waiting);
        self.up.show(u32::from(shown.standing == Standing::Up));
        self.down.show(u32::from(matches!(shown.standing, Standing::Down(_))));
        self.probing.show(u32::from(matches!(shown.standing, Standing::Probing | Standing::OnTrial)));
    }
}

/// What this teacher has added to a gauge.
struct Part {
    gauge: Gauge,
    value: u32,
}

impl Part {
    fn of(gauge: Gauge) -> Self {
        Self { gauge, value: 0 }
    }

    fn show(&mut self, value: u32) {
        if value != self.value {
            self.gauge.increment(f64::from(value) - f64::from(self.value));
            self.value = value;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.show(0);
    }
}
