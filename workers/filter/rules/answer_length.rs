//! Length of the answer in characters (not bytes, so that all scripts are measured alike), white space around it not counted.
//!
//! A missing answer is the business of `answered`.

use model::settings::AnswerLengthRule;
use model::{Finding, Trajectory};

use super::{answer, hard};

const NAME: &str = "answer_length";

pub(super) fn check(rule: &AnswerLengthRule, trajectory: &Trajectory) -> Vec<Finding> {
    let Some(answer) = answer(trajectory) else { return Vec::new() };
    let chars = answer.trim().chars().count() as u64;
    if chars < rule.min_chars {
        return vec![hard(NAME, format!("the answer has {chars} characters, fewer than {}", rule.min_chars))];
    }
    if chars > rule.max_chars {
        return vec![hard(NAME, format!("the answer has {chars} characters, more than {}", rule.max_chars))];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn length_is_counted_in_characters_in_three_scripts() {
        let rule = AnswerLengthRule { min_chars: 4, max_chars: 6, ..AnswerLengthRule::default() };
        for answer in ["Paris", "パリです。", "Париж", "  Paris\n"] {
            assert_eq!(check(&rule, &sample::answering(answer)), [], "{answer}");
        }
    }

    #[test]
    fn too_short_and_too_long_are_rejected_with_the_numbers() {
        let rule = AnswerLengthRule { min_chars: 4, max_chars: 6, ..AnswerLengthRule::default() };
        assert!(check(&rule, &sample::answering("巴黎"))[0].message.contains("2 characters, fewer than 4"));
        assert!(check(&rule, &sample::answering("Paris, France"))[0].message.contains("13 characters, more than 6"));
    }
}
