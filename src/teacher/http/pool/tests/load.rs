//! Many jobs at servers that are played on a clock that stands still: how much of what a server can do is used.

use model::Digest;
use tokio::sync::Semaphore;

use super::*;

const JOBS: u32 = 256;

/// From 0 to 1, the same for the same numbers.
fn chance(numbers: [u32; 3]) -> f64 {
    let parts = numbers.map(u32::to_le_bytes);
    let bits = u64::from_str_radix(Digest::of_parts(parts.iter().map(<[u8; 4]>::as_slice)).short(), 16).expect("hexadecimal");
    f64::from(u32::try_from(bits >> 32).expect("32 bits")) / f64::from(u32::MAX)
}

/// Has all jobs ask again and again, `answer` giving seconds and tokens of a job's turn; returns how many were in flight in the mean in the minute
/// after the first `ramp_s` seconds.
async fn in_flight(pool: &Arc<Pool>, places: usize, ramp_s: u32, answer: fn(u32, u32) -> (f64, u64)) -> f64 {
    let places = Arc::new(Semaphore::new(places));
    for number in 0..JOBS {
        let (pool, places) = (Arc::clone(pool), Arc::clone(&places));
        tokio::spawn(async move {
            for turn in 0.. {
                let mut permit = pool.enter(thread(number), &[], Duration::from_secs(3600)).await.expect("it is up");
                permit.send(false);
                let asked = Instant::now();
                let place = places.acquire().await.expect("never closed");
                let (seconds, tokens) = answer(number, turn);
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                drop(place);
                permit.settle(Outcome::Answered { seconds: asked.elapsed().as_secs_f64(), tokens });
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(ramp_s.into())).await;
    let mut sum = 0;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sum += pool.health().iter().map(|health| health.in_flight).sum::<u32>();
    }
    f64::from(sum) / 60.0
}

#[tokio::test(start_paused = true)]
async fn a_server_that_can_do_it_has_all_jobs_in_flight_however_uneven_its_answers_are() {
    // A second in the mean, and nothing to do with how long the answer is.
    let uneven = |number, turn| (-chance([number, turn, 0]).max(1e-9).ln(), 1 + (600.0 * chance([number, turn, 1])) as u64);
    // Short calls at first and long answers later, and a time that goes with the length.
    let growing = |number: u32, turn: u32| {
        let tokens = 20 + u64::from(turn * 30) + (100.0 * chance([number, turn, 2])) as u64;
        (0.2 + tokens as f64 * 0.002, tokens)
    };
    for answer in [uneven as fn(u32, u32) -> (f64, u64), growing] {
        let pool = pool(1, JOBS * 8);
        let mean = in_flight(&pool, usize::MAX >> 4, 20, answer).await;
        assert!(mean >= 0.98 * f64::from(JOBS), "{mean} of {JOBS}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_queues_is_kept_busy_and_its_queue_short() {
    let pool = pool(1, JOBS * 8);
    // It overshoots while it doubles, and two minutes later has found its way back.
    let mean = in_flight(&pool, 16, 120, |number, turn| (0.5 + chance([number, turn, 0]), 100)).await;
    assert!((16.0..70.0).contains(&mean), "{mean} in flight at 16 places, of {JOBS} that would like to be");
}
