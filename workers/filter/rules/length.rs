//! Length of the whole conversation in tokens: what the model wrote in all threads, and what the tools returned.
//!
//! A turn counts with the completion tokens of its usage, an observation with the tokens counted when it was made; no text is tokenised
//! here. Prompts, the question and notices are not counted: they are short, and the same for all jobs of a campaign.

use model::settings::LengthRule;
use model::{Finding, Trajectory};

use super::hard;

const NAME: &str = "length";

pub(super) fn check(rule: &LengthRule, trajectory: &Trajectory) -> Vec<Finding> {
    let (written, observed) = tokens(trajectory);
    let tokens = written.saturating_add(observed);
    if tokens <= rule.max_tokens {
        return Vec::new();
    }
    let message = format!("the conversation has {tokens} tokens ({written} written, {observed} observed), more than {}", rule.max_tokens);
    vec![hard(NAME, message)]
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
        let at_most = |max_tokens| check(&LengthRule { max_tokens, ..LengthRule::default() }, &trajectory);
        assert_eq!(at_most(380), []);
        assert!(at_most(379)[0].message.contains("380 tokens (80 written, 300 observed), more than 379"));
    }
}
