//! What goes wrong when: a pure function of the seed and the time there is.
//!
//! Kinds are dealt from a shuffled deck, so that each comes before any comes often. At most three last at once, one a target, and each ends
//! before the schedule does. None takes more than a quarter of a run. A worker is stopped for 30 seconds and more where the run has two
//! minutes; a shorter one stops it for what it has room for, and the act says so.

use std::fmt;
use std::time::Duration;

use super::lots::Lots;

/// Faults at once.
const AT_ONCE_MAX: usize = 3;
/// Between a fault and the next of the same target: a process that comes back first learns to heed signals.
const REST: Duration = Duration::from_secs(3);
/// Nothing goes wrong before.
const FIRST_MS: u64 = 3_000;
/// Between two faults.
const GAP_MS: (u64, u64) = (1_000, 4_500);
/// How long a worker is stopped at least: long enough for broker and ledger to give it up, and for others to be done with its jobs.
const STOP_LEAST_MS: u64 = 30_000;
/// An S3 that fails every request for longer than anybody retries is an outage; below, retries get through.
const S3_SHARES_PERCENT: &[u64] = &[10, 30, 60, 100];

/// Whom a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The worker of this number.
    Worker(usize),
    Coordinator,
    Broker,
    Redis,
    S3,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill9,
    Sigterm,
    Sigstop,
    CoordinatorKill9,
    BrokerStop,
    BrokerKill9,
    BrokerCut,
    BrokerCutMidFrame,
    BrokerStall,
    RedisCut,
    RedisCutMidFrame,
    RedisStall,
    RedisRestart,
    RedisFlush,
    S3Refuse,
    S3Error500,
    S3Slowdown,
    S3Truncate,
    S3Hang,
    S3Late,
}

/// A kind, how often it is in the deck, and how long it lasts at least and at most, in milliseconds. What lasts 0 needs no healing.
type Card = (Kind, usize, (u64, u64));

/// One of each kind, and more of those that meet any of five workers.
const DECK: &[Card] = &[
    (Kind::Kill9, 3, (300, 4_000)),
    (Kind::Sigterm, 2, (300, 4_000)),
    (Kind::Sigstop, 2, (STOP_LEAST_MS, 45_000)),
    (Kind::CoordinatorKill9, 1, (300, 4_000)),
    (Kind::BrokerStop, 1, (500, 5_000)),
    (Kind::BrokerKill9, 1, (500, 5_000)),
    (Kind::BrokerCut, 1, (0, 0)),
    (Kind::BrokerCutMidFrame, 1, (0, 0)),
    (Kind::BrokerStall, 1, (2_000, 15_000)),
    (Kind::RedisCut, 1, (0, 0)),
    (Kind::RedisCutMidFrame, 1, (0, 0)),
    (Kind::RedisStall, 1, (1_000, 15_000)),
    (Kind::RedisRestart, 1, (300, 6_000)),
    (Kind::RedisFlush, 1, (0, 0)),
    (Kind::S3Refuse, 1, (2_000, 12_000)),
    (Kind::S3Error500, 1, (2_000, 12_000)),
    (Kind::S3Slowdown, 1, (2_000, 12_000)),
    (Kind::S3Truncate, 1, (2_000, 12_000)),
    (Kind::S3Hang, 1, (2_000, 12_000)),
    (Kind::S3Late, 1, (2_000, 12_000)),
];

impl Kind {
    /// The name of the kind in the closing table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill9 => "worker kill -9",
            Self::Sigterm => "worker SIGTERM",
            Self::Sigstop => "worker SIGSTOP",
            Self::CoordinatorKill9 => "coordinator kill -9",
            Self::BrokerStop => "broker restart",
            Self::BrokerKill9 => "broker kill -9",
            Self::BrokerCut => "broker cut",
            Self::BrokerCutMidFrame => "broker cut mid-frame",
            Self::BrokerStall => "broker stall",
            Self::RedisCut => "redis cut",
            Self::RedisCutMidFrame => "redis cut mid-frame",
            Self::RedisStall => "redis stall",
            Self::RedisRestart => "redis restart, empty",
            Self::RedisFlush => "redis FLUSHALL",
            Self::S3Refuse => "s3 refuse",
            Self::S3Error500 => "s3 error500",
            Self::S3Slowdown => "s3 slowdown",
            Self::S3Truncate => "s3 truncate",
            Self::S3Hang => "s3 hang",
            Self::S3Late => "s3 late",
        }
    }

    /// What the S3 server calls it, where it is a fault of that.
    pub(crate) fn s3_mode(self) -> Option<&'static str> {
        self.name().strip_prefix("s3 ")
    }

    fn target(self, lots: &mut Lots, workers: usize) -> Target {
        match self {
            Self::Kill9 | Self::Sigterm | Self::Sigstop => Target::Worker(lots.between(0, workers as u64 - 1) as usize),
            Self::CoordinatorKill9 => Target::Coordinator,
            Self::BrokerStop | Self::BrokerKill9 | Self::BrokerCut | Self::BrokerCutMidFrame | Self::BrokerStall => Target::Broker,
            Self::RedisCut | Self::RedisCutMidFrame | Self::RedisStall | Self::RedisRestart | Self::RedisFlush => Target::Redis,
            _ => Target::S3,
        }
    }
}

/// One fault with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) kind: Kind,
    pub(crate) target: Target,
    /// Of requests to S3, where it is a fault of that.
    pub(crate) share_percent: u64,
}

impl Act {
    pub(crate) fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if let Target::Worker(number) = self.target {
            write!(f, ", worker {number}")?;
        }
        if self.target == Target::S3 {
            write!(f, ", {} % of requests", self.share_percent)?;
        }
        if !self.lasts.is_zero() {
            write!(f, ", for {:.1} s", self.lasts.as_secs_f64())?;
        }
        let is_cut_short = self.kind == Kind::Sigstop && self.lasts < Duration::from_millis(STOP_LEAST_MS);
        if is_cut_short { f.write_str(" (30 s and more in a run of two minutes)") } else { Ok(()) }
    }
}

/// The acts of `seed` within `time`, for so many `workers`, in the order they begin.
pub(crate) fn schedule(seed: u64, time: Duration, workers: usize) -> Vec<Act> {
    let mut lots = Lots::new(seed);
    let end_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let quarter_ms = end_ms / 4;
    let mut acts: Vec<Act> = Vec::new();
    let mut deck: Vec<&Card> = Vec::new();
    let mut at_ms = FIRST_MS;
    // Ends, for every turn moves the time on.
    while at_ms < end_ms {
        if deck.is_empty() {
            deck = DECK.iter().flat_map(|card| std::iter::repeat_n(card, card.1)).collect();
            lots.shuffle(&mut deck);
        }
        let Some(&(kind, _, (least_ms, most_ms))) = deck.pop() else { break };
        let target = kind.target(&mut lots, workers);
        let share_percent = S3_SHARES_PERCENT[lots.between(0, S3_SHARES_PERCENT.len() as u64 - 1) as usize];
        let (least_ms, most_ms) = if least_ms <= quarter_ms { (least_ms, most_ms) } else { (quarter_ms / 3, quarter_ms) };
        let lasts_ms = lots.between(least_ms, most_ms).min(quarter_ms);
        let act =
            |at_ms: u64| Act { at: Duration::from_millis(at_ms), lasts: Duration::from_millis(lasts_ms), kind, target, share_percent };
        while !fits(&acts, &act(at_ms)) {
            at_ms += 100;
        }
        if at_ms + lasts_ms < end_ms {
            acts.push(act(at_ms));
        }
        at_ms += lots.between(GAP_MS.0, GAP_MS.1);
    }
    acts
}

/// Whether few enough others last when `act` begins, and its target has recovered from the last one.
fn fits(acts: &[Act], act: &Act) -> bool {
    let lasting = acts.iter().filter(|other| other.ends() >= act.at).count();
    let rest = if matches!(act.target, Target::Worker(_) | Target::Coordinator) { REST } else { Duration::ZERO };
    lasting < AT_ONCE_MAX && acts.iter().all(|other| other.target != act.target || other.ends() + rest < act.at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_decides_the_schedule() {
        let of = |seed| schedule(seed, Duration::from_secs(600), 5);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_kind_comes_and_all_of_them_end_in_time() {
        for seed in 0..50 {
            let time = Duration::from_secs(300);
            let acts = schedule(seed, time, 5);
            let kinds: BTreeSet<Kind> = acts.iter().map(|act| act.kind).collect();
            assert_eq!(kinds.len(), DECK.len(), "seed {seed}: {kinds:?}");
            assert!(acts.iter().all(|act| act.ends() < time));
        }
    }

    #[test]
    fn a_stop_lasts_thirty_seconds_and_more_where_there_is_time_and_a_quarter_of_a_short_run_at_most() {
        let stops = |seconds| {
            let acts = (0..50).flat_map(move |seed| schedule(seed, Duration::from_secs(seconds), 5));
            acts.filter(|act| act.kind == Kind::Sigstop).collect::<Vec<_>>()
        };
        for long in [120, 180, 1200] {
            assert!(stops(long).len() > 50);
            assert!(stops(long).iter().all(|act| (30..=45).contains(&act.lasts.as_secs()) && act.to_string().ends_with(" s")));
        }
        assert!(!stops(60).is_empty());
        assert!(stops(60).iter().all(|act| (5..=15).contains(&act.lasts.as_secs()) && act.to_string().ends_with("two minutes)")));
    }

    #[test]
    fn few_last_at_once_and_no_target_has_two() {
        for seed in 0..50 {
            let acts = schedule(seed, Duration::from_secs(300), 5);
            for act in &acts {
                let lasting: Vec<&Act> = acts.iter().filter(|other| other.at <= act.at && act.at <= other.ends()).collect();
                assert!(lasting.len() <= AT_ONCE_MAX, "seed {seed}: {lasting:?}");
                assert_eq!(lasting.iter().filter(|other| other.target == act.target).count(), 1, "seed {seed}: {lasting:?}");
            }
        }
    }

    #[test]
    fn a_minute_has_room_for_eight_faults() {
        assert!((0..50).all(|seed| schedule(seed, Duration::from_secs(55), 5).len() >= 8));
    }
}
