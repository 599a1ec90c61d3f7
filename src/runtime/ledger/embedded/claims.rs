//! How a claim is decided: a pure step from what the ledger remembers of a key to an answer and what it remembers afterwards.
//!
//! There is one process, so nobody else is ever alive: what an earlier process held is free, at the price of a suspicion that it killed that
//! process. A key whose journal grew since the claim made progress and is not suspected.

use model::{ControlState, Step};
use serde::{Deserialize, Serialize};

/// Deaths without progress after which a key is served in quarantine only.
pub(super) const SUSPICIONS_MAX: u32 = 3;

/// What the ledger remembers of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) standing: Standing,
    /// Of the last claim; only grows.
    pub(super) epoch: u64,
    /// Highest ever claimed.
    pub(super) step: Step,
    /// Which process claimed last.
    pub(super) boot: u64,
    /// Deaths without progress.
    pub(super) suspicions: u32,
    /// Whether the last claim was that of the quarantine.
    pub(super) in_quarantine: bool,
    /// How long the journal was at the last claim.
    pub(super) journal_at_claim: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// Nobody holds it, and nothing waits.
    #[default]
    Free,
    /// Claimed by process `boot`.
    Held,
    /// Handed on: a continuation or a next attempt is on its way.
    Waiting,
    /// Finished.
    Done,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant {
    pub(super) boot: u64,
    pub(super) step: Step,
    /// It serves the quarantine queue.
    pub(super) is_quarantine: bool,
    /// Whether this very process has work on the key under way.
    pub(super) holds_it: bool,
}

/// The answer; `Taken`, `Suspect` and `Poison` change what is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Cancelled,
    Stale,
    Paused,
    Mine,
    Suspect(Remembered),
    Taken(Remembered),
    Poison(Remembered),
}

/// Decides a claim; `journal` is the present length of the key's journal. The order of the questions is that of design.md section 4.
pub(super) fn decide(known: Option<Remembered>, control: ControlState, claimant: Claimant, journal: u64) -> Answer {
    let known = known.unwrap_or_default();
    if known.standing == Standing::Done {
        return Answer::Done;
    }
    if control == ControlState::Cancelled {
        return Answer::Cancelled;
    }
    if claimant.step < known.step {
        return Answer::Stale;
    }
    if control == ControlState::Paused {
        return Answer::Paused;
    }
    if claimant.holds_it {
        return Answer::Mine;
    }
    let died = known.standing == Standing::Held && known.boot != claimant.boot;
    let suspicions = match died {
        true if journal > known.journal_at_claim => 0,
        true => known.suspicions + 1,
        false => known.suspicions,
    };
    let died_in_quarantine = died && known.in_quarantine && suspicions > SUSPICIONS_MAX;
    if suspicions >= SUSPICIONS_MAX && !claimant.is_quarantine {
        return Answer::Suspect(Remembered { standing: Standing::Waiting, suspicions, ..known });
    }
    let taken = Remembered {
        standing: Standing::Held,
        epoch: known.epoch + 1,
        step: claimant.step,
        boot: claimant.boot,
        suspicions,
        in_quarantine: claimant.is_quarantine,
        journal_at_claim: journal,
    };
    if died_in_quarantine && claimant.is_quarantine { Answer::Poison(taken) } else { Answer::Taken(taken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(boot: u64) -> Claimant {
        Claimant { boot, step: Step::default(), is_quarantine: false, holds_it: false }
    }

    fn taken(answer: Answer) -> Remembered {
        match answer {
            Answer::Taken(remembered) => remembered,
            other => panic!("not taken but {other:?}"),
        }
    }

    #[test]
    fn a_job_that_kills_is_quarantined_after_three_deaths_and_given_up_after_one_more() {
        let mut known = None;
        for boot in 1..=3 {
            known = Some(taken(decide(known, ControlState::Running, claimant(boot), 0)));
        }
        let Answer::Suspect(suspect) = decide(known, ControlState::Running, claimant(4), 0) else { panic!("three died") };
        assert!(matches!(decide(Some(suspect.clone()), ControlState::Running, claimant(4), 0), Answer::Suspect(_)));

        let quarantine = |boot| Claimant { is_quarantine: true, ..claimant(boot) };
        let last_chance = taken(decide(Some(suspect), ControlState::Running, quarantine(4), 0));
        assert_eq!(last_chance.suspicions, SUSPICIONS_MAX);
        assert!(matches!(decide(Some(last_chance), ControlState::Running, quarantine(5), 0), Answer::Poison(_)));
    }

    #[test]
    fn progress_between_deaths_clears_the_suspicion() {
        let mut known = None;
        for boot in 1..=20 {
            known = Some(taken(decide(known, ControlState::Running, claimant(boot), boot)));
        }
        assert_eq!(known.map(|known| known.suspicions), Some(0));
    }

    #[test]
    fn epochs_grow_and_a_step_that_was_released_may_be_claimed_again() {
        let late = Claimant { step: Step { round: 0, attempt: 2, slice: 5 }, ..claimant(1) };
        let held = taken(decide(None, ControlState::Running, late, 0));
        let released = Some(Remembered { standing: Standing::Waiting, ..held });
        assert_eq!(decide(released.clone(), ControlState::Running, claimant(2), 0), Answer::Stale);
        let again = taken(decide(released, ControlState::Running, Claimant { boot: 2, ..late }, 0));
        assert_eq!((again.step, again.epoch, again.suspicions), (late.step, 2, 0));
    }
}
