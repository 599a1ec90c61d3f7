//! Length of the whole conversation in tokens.
//!
//! Of one conversation: what the model wrote, and what the tools returned. A turn counts with the completion tokens of its usage, an observation
//! with the tokens counted when it was made; no text is tokenised here. Prompts, the question and notices are not counted: they are short,
//! and the same for all jobs of a campaign. Of `decompose`: the trace its threads are merged into, since that is what is trained on.

use model::Finding;
use model::Trajectory;
use model::settings::LengthRule;

use super::{hard, is_decompose};
use crate::candidate::Candidate;

const NAME: &str = "length";

pub(super) fn check(rule: &LengthRule, candidate: &Candidate<'_>) -> Vec<Finding> {
    if is_decompose(candidate) {
        return compare(rule, candidate.trace_tokens(), "the merged trace", "");
    }
    let (written, observed) = tokens(candidate);
    compare(rule, written.saturating_add(observed), "the conversation", &format!(" ({written} written, {observed} observed)"))
}

fn compare(rule: &LengthRule, tokens: u64, what: &str, of_these: &str) -> Vec<Finding> {
    if tokens <= rule.max_tokens {
        return Vec::new();
    }
    vec![hard(NAME, format!("{what} has {tokens} tokens{of_these}, more than {}", rule.max_tokens))]
}

fn tokens(trajectory: &Trajectory) -> (u64, u64) {
    let mut written: u64 = 0;
    let mut observed: u64 = 0;
    for turn in trajectory.threads.iter().flat_map(|thread| &thread.turns) {
        written = written.saturating_add(turn.usage.completion_tokens);
        for observation in &turn.observations {
            observed += u64::from(observation.tokens);
        }
    }
    (written, observed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_was_written_and_what_was_observed_are_summed() {
        let trajectory = sample::trajectory();
        let (written, observed) = tokens(&trajectory);
        assert_eq!((written, observed), (4 * 20, 3 * 100));
        let at_most = |max_tokens| check(&LengthRule { max_tokens, ..LengthRule::default() }, &Candidate::of(&trajectory));
        assert_eq!(at_most(380), []);
        assert!(at_most(379)[0].message.contains("380 tokens (80 written, 300 observed), more than 379"));
    }

    #[test]
    fn of_decompose_the_merged_trace_is_counted() {
        let trajectory = sample::decompose();
        let candidate = Candidate::of(&trajectory);
        let tokens = candidate.trace_tokens();
        let at_most = |max_tokens| check(&LengthRule { max_tokens, ..LengthRule::default() }, &candidate);
        assert_eq!(at_most(tokens), []);
        let expected = format!("the merged trace has {tokens} tokens, more than {}", tokens - 1);
        assert!(at_most(tokens - 1)[0].message.contains(&expected));
        assert!(tokens > 8 * 100, "eight observations of a hundred tokens each, and more");
    }
}
