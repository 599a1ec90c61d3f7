//! Whether one server is asked at all.
//!
//! Its circuit opens at once when it cannot be reached or serves nobody, and otherwise when of its last answers three quarters at least were
//! failures that doubt it. That is counted over a window with a least number of answers, and never of one job alone: a conversation that a server
//! cannot stomach is no reason to leave it, and a few errors of a large campaign add up to nothing (DataDesigner#185 stopped at 4 % of errors,
//! counting against a threshold of 50 %). An open circuit lets one ask after a while, which grows with each failure, whether the server is there.
//! If it is, it is on trial: as many requests go to it as go to a server at first. One that is answered closes the circuit, one that fails opens it
//! again.

use std::collections::VecDeque;
use std::time::Duration;

use runtime::retry::{Delays, Policy};
use tokio::time::Instant;

/// Answers that are looked back at.
const ANSWERS_MAX: usize = 32;
/// With fewer, nothing is said.
const ANSWERS_MIN: usize = 16;
/// The circuit opens when so much of them failed: 3 of 4.
const FAILED_OF: (usize, usize) = (3, 4);
/// Until the next probe: jittered, from a quarter of a second to two at first, a minute at most.
const PROBES: Policy = Policy { first: Duration::from_secs(2), max: Duration::from_secs(60), tries: None };

/// The circuit of one server.
#[derive(Debug)]
pub(super) struct Circuit {
    standing: Standing,
    answers: VecDeque<Answer>,
    delays: Delays,
    /// Why it is open.
    why: String,
}

/// Whether requests may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They may.
    Up,
    /// None may until then.
    Down(Instant),
    /// One asks whether the server is back.
    Probing,
    /// It is back, and has answered no request yet.
    OnTrial,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    is_failure: bool,
    job: u64,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { standing: Standing::Up, answers: VecDeque::with_capacity(ANSWERS_MAX), delays: PROBES.delays(), why: String::new() }
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether requests may pass.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.standing, Standing::Up | Standing::OnTrial)
    }

    /// Whether the next request is to try if the server is back.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        matches!(self.standing, Standing::Down(until) if until <= now)
    }

    /// Why it is open.
    pub(super) fn why(&self) -> &str {
        &self.why
    }

    /// A request of `job` was answered.
    pub(super) fn note_success(&mut self, job: u64) {
        self.note(Answer { is_failure: false, job });
    }

    /// A request of `job` failed in a way that doubts the server. Whether that is enough to open the circuit.
    #[must_use]
    pub(super) fn note_failure(&mut self, job: u64) -> bool {
        self.note(Answer { is_failure: true, job });
        self.is_failing()
    }

    /// What was sent before it opened changes nothing any more.
    fn note(&mut self, answer: Answer) {
        if self.is_up() {
            if self.answers.len() == ANSWERS_MAX {
                self.answers.pop_front();
            }
            self.answers.push_back(answer);
        }
    }

    fn is_failing(&self) -> bool {
        if self.standing == Standing::OnTrial {
            return true;
        }
        let failures = || self.answers.iter().filter(|answer| answer.is_failure);
        let (share, of) = FAILED_OF;
        let first = failures().next().map(|failure| failure.job);
        self.answers.len() >= ANSWERS_MIN
            && failures().count() * of >= self.answers.len() * share
            && failures().any(|failure| Some(failure.job) != first)
    }

    /// Opens, for longer each time in a row, and for `least` at any rate.
    pub(super) fn open(&mut self, why: String, least: Duration, now: Instant) {
        self.standing = Standing::Down(now + self.delays.next().max(least));
        self.answers.clear();
        self.why = why;
    }

    /// One goes and asks.
    pub(super) fn probe(&mut self) {
        self.standing = Standing::Probing;
    }

    /// Whoever asked gave up before it was answered: the next may ask at once.
    pub(super) fn probe_again(&mut self, now: Instant) {
        self.standing = Standing::Down(now);
    }

    /// The server says that it is there.
    pub(super) fn admit(&mut self) {
        self.standing = Standing::OnTrial;
    }

    /// The server answers.
    pub(super) fn close(&mut self) {
        self.standing = Standing::Up;
        self.answers.clear();
        self.delays.reset();
        self.why.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answers after which it opens, if it does.
    fn opens_at(answers: impl IntoIterator<Item = (u64, bool)>) -> Option<usize> {
        let mut circuit = Circuit::new();
        answers.into_iter().position(|(job, is_failure)| {
            if !is_failure {
                circuit.note_success(job);
            }
            is_failure && circuit.note_failure(job)
        })
    }

    #[test]
    fn a_server_that_fails_everybody_is_left_and_one_that_fails_one_job_is_not() {
        assert_eq!(opens_at((0..100).map(|job| (job % 2, true))), Some(ANSWERS_MIN - 1));
        assert_eq!(opens_at((0..10_000).map(|_| (7, true))), None);
    }

    #[test]
    fn four_percent_of_errors_open_nothing() {
        assert_eq!(opens_at((0..100_000).map(|job| (job, job % 25 == 0))), None);
        // Nor do they when they come all at once, after a long time of health.
        let burst = (0..100_000).map(|job| (job, job % 500 >= 480));
        assert_eq!(opens_at(burst), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_longer_each_time_in_a_row_and_closes_for_whoever_succeeds() {
        let mut circuit = Circuit::new();
        let mut waits = Vec::new();
        for _ in 0..40 {
            circuit.open("gone".to_owned(), Duration::ZERO, Instant::now());
            let Standing::Down(until) = circuit.standing() else { panic!("it is open") };
            waits.push(until - Instant::now());
            assert!(!circuit.is_due(Instant::now()) && !circuit.note_failure(1));
            tokio::time::sleep_until(until).await;
            assert!(circuit.is_due(Instant::now()));
            circuit.probe();
            assert!(!circuit.is_due(Instant::now()) && !circuit.is_up(), "one asks at a time");
            circuit.admit();
            assert!(circuit.is_up() && circuit.note_failure(1), "one failure is enough while it is on trial");
        }
        assert!(waits.iter().all(|wait| *wait >= PROBES.first / 8 && *wait <= PROBES.max), "{waits:?}");
        assert!(waits[0] <= PROBES.first && waits.iter().skip(6).max() > Some(&PROBES.first), "{waits:?}");
        circuit.close();
        circuit.open("gone".to_owned(), Duration::from_secs(9), Instant::now());
        assert_eq!(
            circuit.standing(),
            Standing::Down(Instant::now() + Duration::from_secs(9)),
            "as short as at first, but for what was asked"
        );
    }

    proptest! {
        #[test]
        fn it_opens_exactly_when_the_last_answers_say_so(answers in proptest::collection::vec((0..3u64, any::<bool>()), 0..200)) {
            // The definition, counted anew for every answer.
            let says_so = |at: usize| {
                let last = &answers[(at + 1).saturating_sub(ANSWERS_MAX)..=at];
                let failed: Vec<u64> = last.iter().filter(|(_, failed)| *failed).map(|(job, _)| *job).collect();
                let jobs: std::collections::HashSet<u64> = failed.iter().copied().collect();
                answers[at].1 && last.len() >= 16 && failed.len() * 4 >= last.len() * 3 && jobs.len() >= 2
            };
            prop_assert_eq!(opens_at(answers.clone()), (0..answers.len()).find(|at| says_so(*at)));
        }
    }
}
