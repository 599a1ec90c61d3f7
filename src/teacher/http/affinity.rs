//! Which server a thread of a job goes to: the one that has the beginning of its conversation cached.
//!
//! Weighted rendezvous hashing: every server draws a number for the thread, and the highest wins. Weights hold exactly in the mean, and a server
//! that comes or goes moves only the threads that it wins or held (Thaler and Ravishankar 1998; with weights, Schindelhauer and Schomaker
//! 2005). Threads, not jobs: those of one job share little of their prefix and run at once. A thread that had to move stays where it is.

use std::collections::{HashMap, VecDeque};

use model::{Digest, JobId};

use super::endpoint::Endpoint;

/// Moved threads that are remembered. Forgetting one costs its prefix once.
const MOVED_MAX: usize = 8192;

/// A thread of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thread {
    number: u64,
    job: u64,
}

impl Thread {
    pub(super) fn of(job: &JobId, thread: u32) -> Self {
        let name = job.as_str().as_bytes();
        Self { number: number_of([name, &thread.to_le_bytes()]), job: number_of([name]) }
    }

    /// Tells its job from others.
    pub(super) fn job(&self) -> u64 {
        self.job
    }
}

/// The servers in the order in which the thread prefers them, as numbers.
pub(super) fn order(thread: &Thread, endpoints: &[Endpoint]) -> Vec<usize> {
    let mut drawn: Vec<(f64, usize)> = endpoints.iter().enumerate().map(|(number, endpoint)| (draw(thread, endpoint), number)).collect();
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    drawn.into_iter().map(|(_, number)| number).collect()
}

/// A draw whose chance to be the highest is proportional to the weight.
#[expect(clippy::cast_precision_loss, reason = "53 bits are kept, which is what a fraction has")]
fn draw(thread: &Thread, endpoint: &Endpoint) -> f64 {
    let bits = number_of([&thread.number.to_le_bytes()[..], endpoint.name().as_bytes()]) >> 11;
    let fraction = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(endpoint.weight()) / fraction.ln()
}

fn number_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    u64::from_str_radix(Digest::of_parts(parts).short(), 16).unwrap_or(0)
}

/// Threads that are served elsewhere than where they would go by themselves.
#[derive(Debug, Default)]
pub(super) struct Moved {
    to: HashMap<u64, usize>,
    /// In the order in which they moved; may name some that went home since.
    since: VecDeque<u64>,
}

impl Moved {
    /// Where it moved to.
    pub(super) fn of(&self, thread: &Thread) -> Option<usize> {
        self.to.get(&thread.number).copied()
    }

    /// It was served by `server`, and would go to `home` by itself.
    pub(super) fn served(&mut self, thread: &Thread, server: usize, home: usize) {
        if server == home {
            self.to.remove(&thread.number);
        } else if self.to.insert(thread.number, server).is_none() {
            self.since.push_back(thread.number);
            if self.since.len() > MOVED_MAX
                && let Some(oldest) = self.since.pop_front()
            {
                self.to.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Uid;

    use super::*;

    fn endpoints(written: &[(&str, u32)]) -> Vec<Endpoint> {
        written.iter().map(|(url, weight)| Endpoint::new(url, *weight).expect("a URL")).collect()
    }

    fn thread(number: u32) -> Thread {
        Thread::of(&JobId::of(&Uid("u".to_owned()), "seed", number / 4), number % 4)
    }

    fn homes(endpoints: &[Endpoint]) -> Vec<String> {
        (0..4000).map(|number| endpoints[order(&thread(number), endpoints)[0]].name().to_owned()).collect()
    }

    #[test]
    fn threads_are_spread_by_weight_and_the_order_of_settings_is_nothing() {
        let some = endpoints(&[("http://a/v1", 1), ("http://b/v1", 2), ("http://c/v1", 5)]);
        let homes_of_some = homes(&some);
        for (name, expected) in [("http://a/v1", 500), ("http://b/v1", 1000), ("http://c/v1", 2500)] {
            let count = homes_of_some.iter().filter(|home| *home == name).count();
            assert!(count.abs_diff(expected) < expected / 5, "{name}: {count} of {expected}");
        }
        let turned = endpoints(&[("http://c/v1", 5), ("http://b/v1", 2), ("http://a/v1", 1)]);
        assert_eq!(homes_of_some, homes(&turned));
        assert_eq!(order(&thread(1), &some).len(), 3);
    }

    #[test]
    fn a_server_that_comes_or_goes_moves_only_threads_of_its_own() {
        let few = homes(&endpoints(&[("http://a/v1", 1), ("http://b/v1", 1)]));
        let more = homes(&endpoints(&[("http://a/v1", 1), ("http://b/v1", 1), ("http://c/v1", 1)]));
        let moved: Vec<&String> = few.iter().zip(&more).filter(|(before, after)| before != after).map(|(_, after)| after).collect();
        assert!(moved.iter().all(|home| *home == "http://c/v1") && (1100..1600).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn what_moved_is_remembered_until_it_goes_home_and_only_so_much_of_it() {
        let mut moved = Moved::default();
        moved.served(&thread(1), 2, 0);
        moved.served(&thread(2), 0, 0);
        assert_eq!((moved.of(&thread(1)), moved.of(&thread(2))), (Some(2), None));
        moved.served(&thread(1), 0, 0);
        assert_eq!(moved.of(&thread(1)), None);
        for number in 0..3 * u32::try_from(MOVED_MAX).expect("small") {
            moved.served(&thread(number), 1, 0);
        }
        assert!(moved.to.len() <= MOVED_MAX && moved.since.len() <= MOVED_MAX);
        assert_eq!(moved.of(&thread(3 * u32::try_from(MOVED_MAX).expect("small") - 1)), Some(1));
    }
}
