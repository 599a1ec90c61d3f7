//! Several campaigns, pauses, and jobs longer than the broker waits for an acknowledgement.

use std::time::{Duration, Instant};

use tests::services::OwnBroker;

use super::servers::Servers;
use super::town::{Town, eventually};

/// A pause and a cancellation take hold everywhere within this.
const TAKES_HOLD: Duration = Duration::from_secs(10);

#[test]
fn two_campaigns_share_a_worker_by_weight() {
    let light = Town::new(Servers::shared(), 40, Duration::from_millis(100), "weight = 1");
    let mut heavy = Town::new(Servers::shared(), 40, Duration::from_millis(100), "weight = 3");
    heavy.archive.clone_from(&light.archive);
    light.submit();
    heavy.submit();
    // Four slots: one for the light campaign, three for the heavy one.
    let mut worker = light.worker("synthesis");
    eventually("both are worked on", || {
        assert!(!worker.is_over(), "{}", worker.said());
        let asked = |town: &Town| town.teacher.teacher.counts().0;
        asked(&light) + asked(&heavy) >= 200
    });
    let (few, many) = (light.teacher.teacher.counts().0, heavy.teacher.teacher.counts().0);
    let ratio = many as f64 / few.max(1) as f64;
    assert!((1.5..=6.0).contains(&ratio), "weights 1 and 3 gave {few} and {many} completions");
    assert_eq!(worker.drain().code(), Some(0), "{}", worker.said());
}

/// Together they ask as often as one alone would: twice as often, if each had the limit for itself.
#[test]
fn two_workers_share_a_limit_per_minute() {
    const PER_SECOND: f64 = 6.0;
    const MOST: f64 = 1.5 * PER_SECOND;
    const WATCHED: usize = 36;
    // A ledger that does not answer for a moment leaves each worker to itself.
    const WINDOWS: usize = 3;
    let town = Town::new(Servers::shared(), 80, Duration::ZERO, "");
    town.add_to_campaign(&format!("requests_per_minute = {}\n", 60.0 * PER_SECOND));
    town.submit();
    let (mut first, _second) = (town.worker("synthesis"), town.worker("synthesis"));
    let both_work = || {
        let status = town.status();
        let workers = status["workers"].as_array().expect("workers");
        workers.iter().filter(|worker| worker["campaigns"][0]["running"].as_u64() > Some(0)).count() == 2
    };
    eventually("both work", both_work);
    let mut rate = || {
        let (from, since) = (town.teacher.teacher.counts().0, Instant::now());
        town.asked(from + WATCHED, &mut first);
        (town.teacher.teacher.counts().0 - from) as f64 / since.elapsed().as_secs_f64()
    };
    let mut rates = Vec::new();
    while rates.len() < WINDOWS && rates.last().is_none_or(|rate| *rate >= MOST) {
        rates.push(rate());
    }
    assert!(rates.last().is_some_and(|rate| *rate < MOST), "{rates:?} requests a second");
    assert!(both_work(), "and both were at it all the time");
}

#[test]
fn pause_resume_and_cancel_take_hold_within_seconds() {
    let town = Town::new(Servers::shared(), 30, Duration::from_millis(100), "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.asked(20, &mut synthesis);
    let rests_after = |verb: &str| {
        town.json(&[verb, &town.name, "--json"]);
        let told = Instant::now();
        let mut last = (town.teacher.teacher.counts().0, Instant::now());
        // Nothing asked for a while: it has taken hold at the last request.
        eventually("rest", || {
            let asked = town.teacher.teacher.counts().0;
            if asked != last.0 {
                last = (asked, Instant::now());
            }
            last.1.elapsed() > Duration::from_secs(3)
        });
        assert!(last.1 < told + TAKES_HOLD, "{verb}: asked until {:?} after it", last.1 - told);
        last.0
    };
    let asked = rests_after("pause");
    assert_eq!(town.status()["state"], "paused");
    town.json(&["resume", &town.name, "--json"]);
    town.asked(asked + 20, &mut synthesis);
    rests_after("cancel");
    assert!(!synthesis.is_over() && !filter.is_over());
    let sealed = town.seal_and_prove(30);
    assert!(sealed.manifest["cancelled"].as_u64() > Some(0), "{}", sealed.manifest["counts"]);
    assert!(town.asked_again() <= 4, "a pause waits for completions in flight, a cancellation does not");
    assert!(synthesis.drain().success() && filter.drain().success());
}

#[test]
fn a_job_longer_than_the_acknowledgement_timeout_hands_itself_on() {
    let broker = OwnBroker::start();
    broker.eval("application:set_env(rabbit, consumer_timeout, 3000), application:set_env(rabbit, channel_tick_interval, 1000).");
    let town = Town::new(Servers::shared().with_broker(&broker), 4, Duration::from_millis(900), "");
    town.submit();
    let (mut synthesis, mut filter) = (town.worker_with("synthesis", &["--slice-s", "1"], &[]), town.worker("filter"));
    town.all_terminal(4, &mut [&mut synthesis, &mut filter]);
    let sealed = town.seal_and_prove(4);
    assert_eq!((sealed.rows.len(), &sealed.manifest["counts"]["failed"]), (4, &0.into()));
    assert!(sealed.rows.iter().any(|row| row["provenance"]["slices"].as_u64() > Some(2)), "jobs took several slices");
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1), "and one attempt");
    assert_eq!(town.asked_again(), 0, "a slice waits for its completion");
}
