//! What one completion has been through: which servers failed it, how often it was sent, how long it waited.
//!
//! A *pass* goes from server to server until one answers or none is left; then comes a pause, and the next pass. Servers that cannot be reached
//! are barred for the pass and cost no try.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::retry::Tried;

use super::error::Trouble;
use super::pool::Closed;

/// The course of one completion so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    posts: u32,
    waited: Duration,
    has_timed_out: bool,
    /// Servers that are not asked again in this pass.
    barred: Vec<usize>,
    /// What those said that cannot be reached or serve nobody.
    misses: Vec<Trouble>,
    /// The last failure of this pass that may pass.
    last: Option<Trouble>,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask another server, at once.
    Elsewhere,
    /// Ask again after a pause.
    Pause,
    /// Leave it.
    Stop,
}

impl Course {
    pub(super) fn barred(&self) -> Vec<usize> {
        self.state().barred.clone()
    }

    /// Counts a request that is sent; returns its number, from 0.
    pub(super) fn count_post(&self) -> u32 {
        let mut state = self.state();
        state.posts = state.posts.saturating_add(1);
        state.posts - 1
    }

    /// It waited so long for `what`.
    pub(super) fn waited(&self, what: &'static str, time: Duration) {
        metrics::histogram!("sluice_teacher_wait_seconds", "for" => what).record(time);
        self.state().waited += time;
    }

    /// What is left of `patience`.
    pub(super) fn patience_left(&self, patience: Duration) -> Duration {
        patience.saturating_sub(self.state().waited)
    }

    /// Server `number` cannot be reached, or serves nobody.
    pub(super) fn miss(&self, number: usize, trouble: Trouble) {
        let mut state = self.state();
        state.barred.push(number);
        state.misses.push(trouble);
    }

    /// What to do after `trouble` at server `number`; `has_another` says whether there is a server besides those that are barred. A timeout is
    /// followed by one other server at most, since it cost the whole time already.
    pub(super) fn next(&self, trouble: &Trouble, number: usize, has_another: impl Fn(&[usize]) -> bool) -> Next {
        let mut state = self.state();
        let is_worth_it = trouble.try_again || (trouble.is_timeout() && !state.has_timed_out);
        state.has_timed_out |= trouble.is_timeout();
        if !is_worth_it {
            return Next::Stop;
        }
        if trouble.is_of_server() {
            state.barred.push(number);
            if has_another(&state.barred) {
                return Next::Elsewhere;
            }
        }
        if trouble.is_timeout() {
            return Next::Stop;
        }
        state.end_pass();
        Next::Pause
    }

    /// What to go by should it turn out that there is no other server after all.
    pub(super) fn remember(&self, trouble: &Trouble) {
        self.state().last = Some(trouble.clone());
    }

    /// No server is left for this pass.
    pub(super) fn closed(&self, closed: Closed) -> Tried<Trouble> {
        let mut state = self.state();
        let last = state.last.take();
        let outage = match (closed, last) {
            (Closed::Crowded, _) => {
                let message = "wait for room: every endpoint had its hands full for minutes; add endpoints or lower `concurrency`";
                Trouble::outage(message.to_owned())
            }
            (_, Some(last)) if last.is_timeout() => last,
            (_, Some(last)) => {
                state.end_pass();
                return Tried::again(last);
            }
            (Closed::Down { after, why }, None) => {
                let messages: Vec<String> = state.misses.drain(..).map(|miss| miss.message).chain(why).collect();
                Trouble { retry_after: after, ..Trouble::outage(messages.join("; ")) }
            }
            (Closed::Resting(rest), None) => {
                let message = format!("wait for the endpoints: they ask to be left alone for {} s", rest.as_secs());
                Trouble { retry_after: Some(rest), ..Trouble::outage(message) }
            }
        };
        Tried::Stop(outage)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_pass(&mut self) {
        self.barred.clear();
        self.misses.clear();
        self.last = None;
    }
}
