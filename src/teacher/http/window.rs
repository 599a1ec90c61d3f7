//! How many requests may be in flight at one server at once: found out by trying.
//!
//! It doubles with each round trip while nothing speaks against it, then grows by one per window of answers, and only while it is used to the
//! full. Each refusal for load (429, 503) takes one off it: of a window that is too large by a share, that share is refused, and is taken off at
//! once (a cut by the share of marks, as DCTCP has it, RFC 8257, and not by half for each). A few in a hundred are left to chance, so that a
//! server that refuses one request in fifty whatever comes keeps its window. One round trip takes half at most, and ends the doubling where it
//! speaks of load.
//!
//! A queue at the server halves it. Nobody tells us of that: it is seen by its slowness. What was sent before a halving says nothing about the
//! window after it, so one round trip halves once.
//!
//! *Slowness.* A round is at least a window's worth of answers, and its pace that of its median answer: a queue makes all answers slow, and a few
//! that hang say nothing of the others. A queue makes both seconds per answer and seconds per token rise; longer answers raise the first alone,
//! shorter ones the second alone. So a round speaks of a queue when both are four times the best round's. Where an answer takes a + b · tokens and
//! nobody queues, that cannot happen, whatever the lengths are (the test below draws them). Four, because batching servers slow each answer two
//! or three times before they stop to gain by it. When a halving does not make answers quicker, the slowness is not
//! our doing, and what is measured then counts as the best.

/// In flight at first.
const INITIAL: u32 = 8;
/// Answers in a round at least, so that a few slow ones are not taken for slowness.
const ROUND_MIN: u32 = 32;
/// So many times the best round's pace is a queue.
const QUEUEING: f64 = 4.0;
/// A round trip of which at most one in so many is refused is taken for one without a refusal: a server that refuses by chance has that much.
const CHANCE: u32 = 32;
/// A halving has helped when what came after takes at most this share of the time.
const QUICKER: f64 = 0.8;

/// The window of one server.
#[derive(Debug)]
pub(super) struct Window {
    size: u32,
    max: u32,
    is_doubling: bool,
    /// Answers since it grew last, while it grows by one.
    answers: u32,
    /// Requests sent so far, and how many had been at the last halving.
    sent: u64,
    sent_at_halving: u64,
    refusals: Refusals,
    round: Round,
    best: Option<Pace>,
    /// What slowness led to the last halving, until it is known whether it helped.
    slowness: Option<Pace>,
}

/// What was refused in one round trip: from the first refusal on, until one of a request that was sent after that.
#[derive(Debug, Default)]
struct Refusals {
    /// Sent when the first came.
    sent: u64,
    /// The window's size then.
    size: u32,
    count: u32,
}

/// What was answered since the round began.
#[derive(Debug, Default)]
struct Round {
    /// How many answers it is to have.
    target: u32,
    full: u32,
    seconds: Vec<f64>,
    tokens: Vec<u64>,
}

/// How quick a round was.
#[derive(Debug, Clone, Copy)]
struct Pace {
    per_answer: f64,
    per_token: f64,
}

/// An answer, for the window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) seconds: f64,
    /// Tokens of the completion.
    pub(super) tokens: u64,
    /// Whether the window was used to the full.
    pub(super) is_full: bool,
}

impl Window {
    /// A window that never exceeds `max`.
    pub(super) fn new(max: u32) -> Self {
        let max = max.max(1);
        Self {
            size: INITIAL.min(max),
            max,
            is_doubling: true,
            answers: 0,
            sent: 0,
            sent_at_halving: 0,
            refusals: Refusals::default(),
            round: Round::default(),
            best: None,
            slowness: None,
        }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn limit(&mut self, max: u32) {
        self.max = max.max(1);
        self.size = self.size.min(self.max);
    }

    /// The server was away: what was found out may be true no more.
    pub(super) fn restart(&mut self) {
        self.size = INITIAL.min(self.max);
        self.is_doubling = true;
        self.begin_anew();
        self.best = None;
        self.slowness = None;
    }

    /// A request goes out; returns its number.
    pub(super) fn sent(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// The number of the request that went out last.
    pub(super) fn last_sent(&self) -> u64 {
        self.sent
    }

    /// Request `number` was answered.
    pub(super) fn answered(&mut self, number: u64, answer: Answer) {
        if number <= self.sent_at_halving {
            return;
        }
        if answer.is_full {
            self.grow();
        }
        if self.round.answers() == 0 {
            self.round.target = self.size.max(ROUND_MIN);
        }
        self.round.add(answer);
        if self.round.answers() >= self.round.target {
            self.end_round();
        }
    }

    /// Request `number` was refused, because there are too many.
    pub(super) fn refused(&mut self, number: u64) {
        if number > self.refusals.sent {
            self.refusals = Refusals { sent: self.sent, size: self.size, count: 0 };
        }
        self.refusals.count += 1;
        let was = self.refusals.size;
        if number > self.sent_at_halving && self.refusals.count > was / CHANCE {
            self.size = (self.size - 1).max(was / 2).max(1).min(self.size);
        }
        if self.is_doubling && self.refusals.speak_of_load() {
            self.is_doubling = false;
            self.answers = 0;
        }
    }

    fn grow(&mut self) {
        self.answers += 1;
        if self.size < self.max && (self.is_doubling || self.answers >= self.size) {
            self.size += 1;
            self.answers = 0;
            self.is_doubling &= self.size < self.max;
        }
    }

    fn halve(&mut self) {
        self.size = (self.size / 2).max(1);
        self.is_doubling = false;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.answers = 0;
        self.sent_at_halving = self.sent;
        self.round = Round::default();
    }

    fn end_round(&mut self) {
        let mut round = std::mem::take(&mut self.round);
        let pace = round.pace();
        let has_helped = self.slowness.take().is_none_or(|before| pace.per_answer <= QUICKER * before.per_answer);
        let Some(best) = self.best.filter(|_| has_helped) else {
            self.best = Some(pace);
            return;
        };
        self.best = Some(best.or_better(pace));
        if round.is_full() && pace.is_queueing(best) {
            // While it doubled, what was answered had been sent into half the window: the first halving only goes back to that.
            let was_sent_into_it = !self.is_doubling;
            self.halve();
            self.slowness = was_sent_into_it.then_some(pace);
        }
    }
}

impl Refusals {
    /// Two at least, and one in eight.
    fn speak_of_load(&self) -> bool {
        self.count >= 2 && self.count >= self.size / 8
    }
}

impl Round {
    fn add(&mut self, answer: Answer) {
        self.full += u32::from(answer.is_full);
        self.seconds.push(answer.seconds);
        self.tokens.push(answer.tokens);
    }

    fn answers(&self) -> u32 {
        u32::try_from(self.seconds.len()).unwrap_or(u32::MAX)
    }

    fn is_full(&self) -> bool {
        self.full * 2 > self.answers()
    }

    #[expect(clippy::cast_precision_loss, reason = "a length")]
    fn pace(&mut self) -> Pace {
        let middle = self.seconds.len() / 2;
        if self.seconds.is_empty() {
            return Pace { per_answer: 0.0, per_token: 0.0 };
        }
        let (_, seconds, _) = self.seconds.select_nth_unstable_by(middle, f64::total_cmp);
        let (_, tokens, _) = self.tokens.select_nth_unstable(middle);
        Pace { per_answer: *seconds, per_token: *seconds / (*tokens).max(1) as f64 }
    }
}

impl Pace {
    fn or_better(self, other: Self) -> Self {
        Self { per_answer: self.per_answer.min(other.per_answer), per_token: self.per_token.min(other.per_token) }
    }

    fn is_queueing(self, best: Self) -> bool {
        self.per_answer > QUEUEING * best.per_answer && self.per_token > QUEUEING * best.per_token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One round trip of a window that is used to the full, at a server of so many places that needs a second for each answer.
    fn round_trip(window: &mut Window, places: f64) {
        let size = window.size();
        let seconds = (f64::from(size) / places).max(1.0);
        let numbers: Vec<u64> = (0..size).map(|_| window.sent()).collect();
        for number in numbers {
            window.answered(number, Answer { seconds, tokens: 100, is_full: true });
        }
    }

    #[test]
    fn it_doubles_while_nothing_speaks_against_it_up_to_its_limit() {
        let mut window = Window::new(100);
        let sizes: Vec<u32> = (0..5)
            .map(|_| {
                round_trip(&mut window, 1e9);
                window.size()
            })
            .collect();
        assert_eq!(sizes, [16, 32, 64, 100, 100]);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut window = Window::new(100);
        for _ in 0..1000 {
            let number = window.sent();
            window.answered(number, Answer { seconds: 1.0, tokens: 1, is_full: false });
        }
        assert_eq!(window.size(), INITIAL);
    }

    /// One round trip at a server that refuses some of what comes, by its place in the round trip.
    fn refusing(window: &mut Window, is_refused: impl Fn(u32) -> bool) {
        let numbers: Vec<u64> = (0..window.size()).map(|_| window.sent()).collect();
        for (place, number) in (0..).zip(numbers) {
            match is_refused(place) {
                true => window.refused(number),
                false => window.answered(number, Answer { seconds: 1.0, tokens: 100, is_full: true }),
            }
        }
    }

    #[test]
    fn refusals_of_one_round_trip_halve_at_most_and_then_it_grows_by_one_a_window() {
        let mut window = Window::new(100);
        refusing(&mut window, |_| true);
        assert_eq!(window.size(), 4);
        let late = window.sent();
        window.refused(late);
        assert_eq!(window.size(), 3);
        for expected in [4, 5, 6] {
            round_trip(&mut window, 1e9);
            assert_eq!(window.size(), expected);
        }
        for _ in 0..10 {
            let number = window.sent();
            window.refused(number);
        }
        assert_eq!(window.size(), 1, "one goes always");
    }

    #[test]
    fn what_a_server_refuses_for_load_is_taken_off_and_no_more() {
        let mut window = Window::new(1000);
        (0..8).for_each(|_| refusing(&mut window, |place| place >= 40));
        for _ in 0..100 {
            refusing(&mut window, |place| place >= 40);
            assert!((39..=42).contains(&window.size()), "{} at a server of 40 places", window.size());
        }
    }

    #[test]
    fn a_server_that_refuses_one_request_in_fifty_by_chance_is_used_all_the_same() {
        let mut window = Window::new(500);
        let asked = std::cell::Cell::new(0);
        let by_chance = |_| {
            asked.set(asked.get() + 1);
            asked.get() % 50 == 7
        };
        (0..10).for_each(|_| refusing(&mut window, by_chance));
        assert!(window.size() > 400, "{}", window.size());
        window.is_doubling = false;
        window.size = 256;
        (0..200).for_each(|_| refusing(&mut window, by_chance));
        assert!(window.size() > 256, "{}", window.size());
        window.size = 20;
        (0..400).for_each(|_| refusing(&mut window, by_chance));
        assert!(window.size() > 200, "{}", window.size());
    }

    #[test]
    fn answers_that_hang_now_and_then_are_no_queue() {
        let mut window = Window::new(500);
        for answer in 0..20_000_u32 {
            let number = window.sent();
            let seconds = if answer % 30 == 0 { 300.0 } else { 1.0 };
            window.answered(number, Answer { seconds, tokens: 100, is_full: true });
        }
        assert_eq!(window.size(), 500);
    }

    #[test]
    fn a_queue_at_the_server_bounds_it_and_leaves_no_place_idle() {
        let mut window = Window::new(10_000);
        let mut sizes = Vec::new();
        for round in 0..400 {
            round_trip(&mut window, 20.0);
            if round >= 20 {
                sizes.push(window.size());
            }
        }
        let (least, most) = (sizes.iter().min().copied(), sizes.iter().max().copied());
        assert!(least >= Some(20) && most <= Some(130), "{least:?} to {most:?} at a server of 20 places");
    }

    #[test]
    fn a_server_that_became_slow_by_itself_is_not_starved() {
        let mut window = Window::new(64);
        (0..10).for_each(|_| round_trip(&mut window, 1e9));
        for _ in 0..200 {
            let numbers: Vec<u64> = (0..window.size()).map(|_| window.sent()).collect();
            for number in numbers {
                window.answered(number, Answer { seconds: 9.0, tokens: 100, is_full: true });
            }
        }
        assert_eq!(window.size(), 64, "halved once, and back");
    }

    proptest! {
        #[test]
        fn answers_of_any_lengths_without_a_queue_are_never_taken_for_one(
            base in 0.0..5.0f64, per_token in 0.0001..0.1f64, lengths in proptest::collection::vec(1..4000u64, 1..60)
        ) {
            let mut window = Window::new(512);
            let mut size = window.size();
            for tokens in lengths {
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let seconds = base + per_token * tokens as f64;
                for _ in 0..600 {
                    let number = window.sent();
                    window.answered(number, Answer { seconds, tokens, is_full: true });
                    prop_assert!(window.size() >= size);
                    size = window.size();
                }
            }
        }

        #[test]
        fn it_stays_within_its_bounds_whatever_happens(max in 0..300u32, events in proptest::collection::vec((0..4u8, 0.0..1e6f64, 0..u64::MAX), 0..600)) {
            let mut window = Window::new(max);
            for (kind, seconds, tokens) in events {
                let number = window.sent();
                match kind {
                    0 => window.refused(number),
                    1 => window.restart(),
                    _ => window.answered(number, Answer { seconds, tokens, is_full: kind == 2 }),
                }
                prop_assert!((1..=max.max(1)).contains(&window.size()));
            }
        }
    }
}
