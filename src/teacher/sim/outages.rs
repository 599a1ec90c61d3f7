//! Down windows: times in which the whole server is as good as gone, at even distances from its start.

use std::time::Duration;

use tokio::time::Instant;

/// When the server is down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outages {
    /// When it started, which is no window.
    pub(super) since: Instant,
    /// From the beginning of one window to that of the next.
    pub(super) every: Duration,
    /// Length of a window, shorter than `every`.
    pub(super) lasting: Duration,
}

impl Outages {
    /// When the next window begins; `now` within one.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let run = now.saturating_duration_since(self.since);
        let into = Duration::from_nanos((run.as_nanos() % self.every.as_nanos().max(1)).try_into().unwrap_or(u64::MAX));
        if run >= self.every && into < self.lasting { now } else { now + self.every.saturating_sub(into) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_after_the_first_distance_and_come_again() {
        let since = Instant::now();
        let at = |seconds: u64| since + Duration::from_secs(seconds);
        let outages = Outages { since, every: Duration::from_secs(60), lasting: Duration::from_secs(10) };
        for (now, next) in [(0, 60), (59, 60), (60, 60), (69, 69), (70, 120), (119, 120), (125, 125), (130, 180)] {
            assert_eq!(outages.next(at(now)), at(next), "at {now} s");
        }
    }
}
