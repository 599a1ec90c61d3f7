//! A trajectory under the rules, with what several of them look at made at most once: the trace its threads are merged into, and its length.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Deref;

use corpus::count_tokens;
use dataset::trace::{CallStyle, Origin, PageText, Trace};
use model::Trajectory;
use model::protocol::ProtocolTag;

/// A trajectory, and what was made of it so far.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    trajectory: &'a Trajectory,
    trace: OnceCell<Trace>,
    trace_tokens: OnceCell<u64>,
}

/// Most rules need the trajectory alone, and say so in their signature.
impl Deref for Candidate<'_> {
    type Target = Trajectory;

    fn deref(&self) -> &Trajectory {
        self.trajectory
    }
}

impl<'a> Candidate<'a> {
    pub(crate) fn of(trajectory: &'a Trajectory) -> Self {
        Self { trajectory, trace: OnceCell::new(), trace_tokens: OnceCell::new() }
    }

    /// All threads as one stream of tags, as it is exported by default.
    pub(crate) fn trace(&self) -> &Trace {
        self.trace.get_or_init(|| {
            let Trajectory { threads, answer, .. } = self.trajectory;
            Trace::of(threads, answer.as_deref(), CallStyle::default(), PageText::default())
        })
    }

    /// Length of that stream, in o200k tokens.
    pub(crate) fn trace_tokens(&self) -> u64 {
        *self.trace_tokens.get_or_init(|| tokens(self.trace(), self.trajectory))
    }
}

/// Each part is counted once: what a tool returned was counted when it was made, and is looked up.
fn tokens(trace: &Trace, trajectory: &Trajectory) -> u64 {
    let turns = trajectory.threads.iter().flat_map(|thread| &thread.turns);
    let counted: HashMap<&str, u32> =
        turns.flat_map(|turn| &turn.observations).map(|observation| (observation.text.trim(), observation.tokens)).collect();
    let parts = trace.spans.iter().filter_map(|span| Some((span.origin, trace.text.get(span.range.clone())?)));
    let lengths = parts.map(|(origin, text)| match (origin, counted.get(within_observation(text))) {
        (Origin::Observation, Some(tokens)) => *tokens,
        _ => count_tokens(text),
    });
    lengths.map(u64::from).sum()
}

/// What stands between the tags of an observation; all of a text that has none around it.
fn within_observation(text: &str) -> &str {
    let name = ProtocolTag::Observation.name();
    let within = text.trim();
    let opened = within.strip_prefix('<').and_then(|rest| rest.strip_prefix(name)).and_then(|rest| rest.strip_prefix('>'));
    let within = opened.unwrap_or(within);
    let closed = within.strip_suffix('>').and_then(|rest| rest.strip_suffix(name)).and_then(|rest| rest.strip_suffix("</"));
    closed.unwrap_or(within).trim()
}

#[cfg(test)]
mod tests {
    use dataset::trace::Span;

    use super::*;
    use crate::sample;

    #[test]
    fn an_observation_counts_as_it_was_counted_and_all_else_is_counted_now() {
        let mut trajectory = sample::trajectory();
        let observation = &mut trajectory.threads[0].turns[0].observations[0];
        observation.text = "a page of the mill\n".into();
        observation.tokens = 1000;
        let parts =
            [("<think>hello world</think>", Origin::Model), ("\n<observation>\na page of the mill\n</observation>\n", Origin::Observation)];
        let mut trace = Trace::default();
        for (text, origin) in parts {
            let start = trace.text.len();
            trace.text.push_str(text);
            trace.spans.push(Span { range: start..trace.text.len(), origin });
        }
        assert_eq!(tokens(&trace, &trajectory), 1000 + u64::from(count_tokens(parts[0].0)));
        trajectory.threads.clear();
        let all: u32 = parts.iter().map(|(text, _)| count_tokens(text)).sum();
        assert_eq!(tokens(&trace, &trajectory), u64::from(all), "what was never counted is");
    }

    #[test]
    fn the_tags_around_an_observation_are_no_part_of_it() {
        assert_eq!(within_observation("<observation>\n东京 <b>\n</observation>"), "东京 <b>");
        assert_eq!(within_observation(" plain "), "plain");
        assert_eq!(within_observation("<observation>cut"), "cut");
    }
}
