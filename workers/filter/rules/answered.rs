//! There is an answer, and it was not forced unless that is allowed.

use model::settings::AnsweredRule;
use model::{Finding, Outcome, Trajectory};

use super::{answer, hard};

const NAME: &str = "answered";

pub(super) fn check(rule: &AnsweredRule, trajectory: &Trajectory) -> Vec<Finding> {
    let outcome = trajectory.outcome;
    if !outcome.has_answer() {
        return vec![hard(NAME, format!("ended without an answer: {outcome:?}"))];
    }
    if answer(trajectory).is_none() {
        return vec![hard(NAME, format!("outcome is {outcome:?} but the answer is empty"))];
    }
    if outcome == Outcome::ForcedAnswer && !rule.allow_forced {
        let limit = trajectory.limit.map_or_else(|| "a budget".to_owned(), |limit| format!("the budget {limit:?}"));
        return vec![hard(NAME, format!("the answer was forced by {limit}, and allow_forced is false"))];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use model::Limit;

    use super::*;
    use crate::sample;

    #[test]
    fn an_outcome_without_an_answer_is_rejected_by_its_name() {
        let mut trajectory = sample::trajectory();
        trajectory.outcome = Outcome::TurnLimit;
        let findings = check(&AnsweredRule::default(), &trajectory);
        assert!(findings.iter().any(|finding| finding.message.contains("TurnLimit")), "{findings:?}");
    }

    #[test]
    fn an_answer_of_white_space_is_no_answer() {
        let mut trajectory = sample::trajectory();
        trajectory.answer = Some(" \n\u{3000}".into());
        assert_eq!(check(&AnsweredRule::default(), &trajectory).len(), 1);
        trajectory.answer = None;
        assert_eq!(check(&AnsweredRule::default(), &trajectory).len(), 1);
    }

    #[test]
    fn a_forced_answer_counts_only_where_it_is_allowed() {
        let mut trajectory = sample::trajectory();
        trajectory.outcome = Outcome::ForcedAnswer;
        trajectory.limit = Some(Limit::Turns);
        assert_eq!(check(&AnsweredRule::default(), &trajectory), []);
        let strict = AnsweredRule { allow_forced: false, ..AnsweredRule::default() };
        assert!(check(&strict, &trajectory)[0].message.contains("Turns"));
    }
}
