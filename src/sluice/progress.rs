//! What a person sees while something runs: bars on a terminal, plain lines now and then where there is none. Always on standard error.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use corpus::{Phase, Progress};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// How often a plain line is written.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// A bar on a terminal, or a line now and then.
struct Bar {
    bar: ProgressBar,
    plain: Option<Mutex<Plain>>,
}

struct Plain {
    began: Instant,
    said: Instant,
}

impl Bar {
    fn new(total: u64, template: &str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(total) } else { ProgressBar::hidden() };
        bar.set_length(total);
        if let Ok(style) = ProgressStyle::with_template(template) {
            // The library's own `per_sec` shows four decimals.
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A bar that cannot be written is not worth a failure.
                write!(out, "{:.1}/s", state.per_sec()).unwrap_or_default();
            }));
        }
        if is_terminal {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        let now = Instant::now();
        let plain = (!is_terminal).then(|| Mutex::new(Plain { began: now, said: now }));
        Self { bar, plain }
    }

    /// Shows `position`, and `message` beside it.
    fn show(&self, position: u64, message: impl FnOnce() -> String) {
        self.bar.set_position(position);
        let Some(plain) = &self.plain else {
            self.bar.set_message(message());
            return;
        };
        let mut plain = plain.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if plain.said.elapsed() >= PLAIN_EVERY {
            plain.said = Instant::now();
            let total = self.bar.length().unwrap_or_default();
            eprintln!("{position}/{total} {} [{}]", message(), duration(plain.began.elapsed()));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Progress of a corpus build.
pub(crate) struct BuildBar(Bar);

impl BuildBar {
    pub(crate) fn new() -> Self {
        Self(Bar::new(1, "{spinner} {msg:32} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"))
    }

    pub(crate) fn show(&self, progress: &Progress) {
        self.0.bar.set_length(progress.bytes_total.max(1));
        let phase = phase(progress.phase);
        self.0.show(progress.bytes_read, || format!("{phase}: {} lines, {} rejected", progress.lines, progress.rejected));
    }

    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

/// Progress of something that counts bytes.
pub(crate) struct BytesBar {
    bar: Bar,
    what: &'static str,
}

impl BytesBar {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { bar: Bar::new(1, "{spinner} {msg:32} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"), what }
    }

    pub(crate) fn show(&self, done: u64, total: u64) {
        self.bar.bar.set_length(total.max(1));
        self.bar.show(done, || self.what.to_owned());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish();
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading",
        Phase::Indexing => "indexing",
        Phase::Finishing => "finishing",
    }
}

/// Progress of something that counts rows.
pub(crate) struct Spinner {
    bar: Bar,
    what: &'static str,
}

impl Spinner {
    pub(crate) fn new(total: u64, what: &'static str) -> Self {
        Self { bar: Bar::new(total, "{spinner} {bar:32} {pos}/{len} {msg} {rate} ETA {eta}"), what }
    }

    pub(crate) fn set(&self, done: u64) {
        self.bar.show(done, || self.what.to_owned());
    }

    pub(crate) fn finish(&self) {
        self.bar.finish();
    }
}

/// Numbers of a running campaign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunNumbers {
    /// Terminal jobs, earlier runs included.
    pub(crate) done: u64,
    /// Trajectories written by this run.
    pub(crate) synthesised: u64,
    /// Jobs being worked on.
    pub(crate) running: u64,
    /// Attempts that will be repeated.
    pub(crate) retried: u64,
    /// Jobs that failed for good in this run.
    pub(crate) failed: u64,
}

/// Progress of a run.
pub(crate) struct RunBar(Bar);

impl RunBar {
    pub(crate) fn new(planned: u64, done: u64) -> Self {
        let bar = Bar::new(planned, "{spinner} {bar:32} {pos}/{len} jobs {rate} ETA {eta} · {msg}");
        // What earlier runs did is no speed of this one.
        bar.bar.set_position(done);
        bar.bar.reset_eta();
        Self(bar)
    }

    pub(crate) fn show(&self, numbers: RunNumbers) {
        let RunNumbers { done, synthesised, running, retried, failed } = numbers;
        self.0.show(done, || format!("{synthesised} trajectories, {running} running, {retried} retried, {failed} failed"));
    }

    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

/// `1 h 02 min 03 s`, without leading zeros units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) if seconds < 10 => format!("{:.1} s", duration.as_secs_f64()),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, s) => format!("{h} h {m:02} min {s:02} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(duration(Duration::from_secs(3723)), "1 h 02 min 03 s");
    }
}
