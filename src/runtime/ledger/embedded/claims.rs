//! How a claim is decided, and what a death means: pure steps from what the ledger remembers of a key to an answer and to what it remembers
//! afterwards.
//!
//! There is one process, so nobody else is ever alive: what an earlier process held is free. That process may have died of what it held. A key
//! whose journal grew since its claim made progress and is not suspected; of the others one is suspected only where it was alone, because a
//! death with many in flight accuses nobody. The next process then holds half as many at once ([`room_after`]) until they show progress, so
//! that what kills at once is alone within a few deaths, and people who kill a slow run a few times accuse none of its jobs.

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
    /// Deaths that nothing else can have caused.
    pub(super) suspicions: u32,
    /// How long the journal was at the last claim.
    pub(super) journal_at_claim: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    /// Nobody holds it, and nothing waits.
    #[default]
    Free,
    /// Claimed, and not given back.
    Held,
    /// Handed on: a continuation or a next attempt is on its way.
    Waiting,
    /// Finished.
    Done,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant {
    pub(super) step: Step,
    /// It serves the quarantine queue.
    pub(super) is_quarantine: bool,
    /// Whether this very process has work on the key under way.
    pub(super) holds_it: bool,
    /// Whether as many are under way without progress as there may be.
    pub(super) is_crowded: bool,
}

/// The answer; `Taken`, `Suspect` and `Poison` change what is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Cancelled,
    Stale,
    Paused,
    Mine,
    Crowded,
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
    if known.suspicions >= SUSPICIONS_MAX && !claimant.is_quarantine {
        return Answer::Suspect(Remembered { standing: Standing::Waiting, ..known });
    }
    if claimant.is_crowded {
        return Answer::Crowded;
    }
    let taken = Remembered {
        standing: Standing::Held,
        epoch: known.epoch + 1,
        step: claimant.step,
        suspicions: known.suspicions,
        journal_at_claim: journal,
    };
    // Only the quarantine takes what has that many suspicions, so it was there that it added one.
    if taken.suspicions > SUSPICIONS_MAX { Answer::Poison(taken) } else { Answer::Taken(taken) }
}

/// What is remembered of a key whose holder died; `was_alone`: no other that the holder held was without progress.
pub(super) fn after_death(known: Remembered, journal: u64, was_alone: bool) -> Remembered {
    let suspicions = match has_grown(&known, journal) {
        true => 0,
        false => known.suspicions + u32::from(was_alone),
    };
    Remembered { standing: Standing::Free, suspicions, ..known }
}

/// Whether a key made progress since its claim.
pub(super) fn has_grown(known: &Remembered, journal: u64) -> bool {
    journal > known.journal_at_claim
}

/// How many may be under way at once without progress after a process died with `stuck` of them; `None`: any number.
pub(super) fn room_after(stuck: u64) -> Option<u64> {
    (stuck > 0).then_some((stuck / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMANT: Claimant =
        Claimant { step: Step { round: 0, attempt: 0, slice: 0 }, is_quarantine: false, holds_it: false, is_crowded: false };
    const QUARANTINE: Claimant = Claimant { is_quarantine: true, ..CLAIMANT };

    fn taken(answer: Answer) -> Remembered {
        match answer {
            Answer::Taken(remembered) => remembered,
            other => panic!("not taken but {other:?}"),
        }
    }

    #[test]
    fn a_job_that_kills_is_quarantined_after_three_deaths_and_given_up_after_one_more() {
        let mut known = None;
        for _ in 1..=3 {
            known = Some(after_death(taken(decide(known, ControlState::Running, CLAIMANT, 0)), 0, true));
        }
        let Answer::Suspect(suspect) = decide(known, ControlState::Running, CLAIMANT, 0) else { panic!("three died") };
        assert!(matches!(decide(Some(suspect.clone()), ControlState::Running, CLAIMANT, 0), Answer::Suspect(_)));

        let last_chance = taken(decide(Some(suspect), ControlState::Running, QUARANTINE, 0));
        assert_eq!(last_chance.suspicions, SUSPICIONS_MAX);
        let killed_again = Some(after_death(last_chance, 0, true));
        assert!(matches!(decide(killed_again, ControlState::Running, QUARANTINE, 0), Answer::Poison(_)));
    }

    #[test]
    fn progress_between_deaths_clears_the_suspicion_and_company_raises_none() {
        let (mut grew, mut had_company) = (None, None);
        for journal in 1..=20 {
            grew = Some(after_death(taken(decide(grew, ControlState::Running, CLAIMANT, journal - 1)), journal, true));
            had_company = Some(after_death(taken(decide(had_company, ControlState::Running, CLAIMANT, 0)), 0, false));
        }
        assert_eq!((grew.map(|known| known.suspicions), had_company.map(|known| known.suspicions)), (Some(0), Some(0)));
    }

    #[test]
    fn what_kills_at_once_is_alone_within_a_few_deaths() {
        let mut stuck = 64;
        for _death in 0..6 {
            stuck = room_after(stuck).expect("somebody died");
        }
        assert_eq!((stuck, room_after(1), room_after(0)), (1, Some(1), None));
        assert_eq!(decide(None, ControlState::Running, Claimant { is_crowded: true, ..CLAIMANT }, 0), Answer::Crowded);
    }

    #[test]
    fn epochs_grow_and_a_step_that_was_released_may_be_claimed_again() {
        let late = Claimant { step: Step { round: 0, attempt: 2, slice: 5 }, ..CLAIMANT };
        let held = taken(decide(None, ControlState::Running, late, 0));
        let released = Some(Remembered { standing: Standing::Waiting, ..held });
        assert_eq!(decide(released.clone(), ControlState::Running, CLAIMANT, 0), Answer::Stale);
        let again = taken(decide(released, ControlState::Running, late, 0));
        assert_eq!((again.step, again.epoch, again.suspicions), (late.step, 2, 0));
    }
}
