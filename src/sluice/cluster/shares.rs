//! How the slots of one process are shared among campaigns: by weight, and what one does not use goes to those that would use more.
//!
//! Who uses all it has wants more; who does not keeps what it uses and a little, so that it can show when it wants more. Everybody has at
//! least one slot, so no campaign starves and none goes unnoticed; the sum may therefore exceed the slots by the number of campaigns, and
//! a bound in common keeps what runs within them.

/// What is known of a campaign that asks for slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant {
    /// Its weight, at least one.
    pub(crate) weight: u32,
    /// What it has now.
    pub(crate) share: usize,
    /// How much of it is in use.
    pub(crate) running: usize,
    /// What it may have at most.
    pub(crate) cap: usize,
}

impl Claimant {
    /// How many slots it could use, as far as it shows.
    fn wants(&self) -> usize {
        let is_hungry = self.running >= self.share;
        let wanted = if is_hungry { self.cap } else { self.running + self.running / 4 + 1 };
        wanted.clamp(1, self.cap.max(1))
    }
}

/// The slots of each claimant, in their order.
pub(crate) fn shares(slots: usize, claimants: &[Claimant]) -> Vec<usize> {
    let mut given = vec![0; claimants.len()];
    let wants: Vec<usize> = claimants.iter().map(Claimant::wants).collect();
    let caps: Vec<usize> = claimants.iter().map(|claimant| claimant.cap.max(1)).collect();
    let left = fill(slots, claimants, &wants, &mut given);
    // What nobody shows a wish for is spread all the same: work that arrives finds it at once.
    fill(left, claimants, &caps, &mut given);
    given.into_iter().map(|share| share.max(1)).collect()
}

/// Gives out `slots` by weight until each has what `most` says; returns what is left.
fn fill(mut slots: usize, claimants: &[Claimant], most: &[usize], given: &mut [usize]) -> usize {
    // Each round serves somebody whole or gives out everything, so there are at most as many rounds as claimants, and one.
    for _ in 0..=claimants.len() {
        let open: Vec<usize> = (0..claimants.len()).filter(|n| given[*n] < most[*n]).collect();
        let weights: usize = open.iter().map(|n| claimants[*n].weight as usize).sum();
        if slots == 0 || weights == 0 {
            break;
        }
        let round = slots;
        for n in &open {
            let fair = (round * claimants[*n].weight as usize / weights).max(1);
            let more = fair.min(most[*n] - given[*n]).min(slots);
            given[*n] += more;
            slots -= more;
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(weight: u32, share: usize, running: usize) -> Claimant {
        Claimant { weight, share, running, cap: 1000 }
    }

    #[test]
    fn the_hungry_share_by_weight() {
        assert_eq!(shares(60, &[claimant(1, 1, 1), claimant(2, 1, 1), claimant(3, 1, 1)]), [10, 20, 30]);
    }

    #[test]
    fn what_one_does_not_use_the_other_has() {
        let shares = shares(64, &[claimant(1, 32, 32), claimant(1, 32, 3)]);
        assert!(shares[0] >= 58 && shares[1] >= 4, "{shares:?}");
        assert!(shares.iter().sum::<usize>() <= 64);
    }

    #[test]
    fn all_slots_are_out_while_nobody_works_so_that_work_starts_at_once() {
        assert_eq!(shares(64, &[claimant(1, 64, 0)]), [64]);
        assert_eq!(shares(64, &[claimant(1, 32, 0), claimant(1, 32, 0)]).iter().sum::<usize>(), 64);
    }

    #[test]
    fn everybody_has_one_and_nobody_more_than_its_cap() {
        let capped = Claimant { cap: 5, ..claimant(1, 5, 5) };
        assert_eq!(shares(64, &[capped, claimant(1, 1, 1)]), [5, 59]);
        let many = vec![claimant(1, 1, 1); 10];
        assert_eq!(shares(4, &many), vec![1; 10]);
        assert_eq!(shares(4, &[]), Vec::<usize>::new());
    }
}
