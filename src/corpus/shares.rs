//! Sharing tokens among several texts: what short ones leave goes to the longer ones.

/// What each gets of `all`: what it wants, if that is no more than an equal share of what is left when those who want less have theirs.
pub fn shares(wanted: &[u32], all: u32) -> Vec<u32> {
    let mut modest_first: Vec<(usize, u32)> = wanted.iter().copied().enumerate().collect();
    modest_first.sort_by_key(|(_, wanted)| *wanted);
    let mut shares = vec![0; wanted.len()];
    let mut left = all;
    let mut waiting = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    for (at, wanted) in modest_first {
        let given = wanted.min(left / waiting.max(1));
        if let Some(share) = shares.get_mut(at) {
            *share = given;
        }
        left -= given;
        waiting = waiting.saturating_sub(1);
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_short_texts_leave_goes_to_long_ones() {
        assert_eq!(shares(&[10, 500, 500], 300), [10, 145, 145]);
        assert_eq!(shares(&[500, 20, 0], 300), [280, 20, 0]);
        assert_eq!(shares(&[50, 60], 300), [50, 60]);
        assert_eq!(shares(&[100, 200], 300), [100, 200], "nobody is cut where there is enough");
        assert_eq!(shares(&[], 300), [0; 0]);
    }

    proptest! {
        #[test]
        fn nobody_gets_less_than_a_fair_share_and_all_together_no_more_than_there_is(wanted in proptest::collection::vec(0u32..900, 1..8), all in 1u32..3000) {
            let shares = shares(&wanted, all);
            prop_assert!(shares.iter().sum::<u32>() <= all);
            let fair = all / u32::try_from(wanted.len()).expect("few");
            prop_assert!(shares.iter().zip(&wanted).all(|(share, wanted)| *share == *wanted || *share >= fair && share < wanted));
        }
    }
}
