//! Campaigns with a budget: spent, they take no more work until they are given more, and so it is while nobody knows what they have spent.

use std::time::{Duration, Instant};

use tests::services::OwnRedis;

use super::servers::Servers;
use super::town::{CONCURRENCY, LOOK, Town, eventually};
use super::worker::Worker;

/// Nothing is asked for so long: it takes workers a second or two to do something.
const REST: Duration = Duration::from_secs(3);

/// The table of a budget of so many completions.
fn calls(most: u32) -> String {
    format!("[budget]\ncalls = {most}")
}

/// Nobody works any more: the worker has left the campaign, which takes no longer than the completions it had in flight, and the teacher is
/// asked nothing.
fn rests(town: &Town, worker: &mut Worker) -> usize {
    eventually("a worker that leaves the campaign", || worker.said().contains("left the campaign"));
    let (asked, since) = (town.teacher.teacher.counts().0, Instant::now());
    while since.elapsed() < REST {
        assert_eq!(town.teacher.teacher.counts().0, asked, "somebody asks on; the worker said\n{}", worker.said());
        std::thread::sleep(LOOK);
    }
    assert!(!worker.is_over(), "it lives: {}", worker.said());
    asked
}

#[test]
fn a_campaign_whose_budget_is_spent_rests_until_it_is_given_more() {
    const JOBS: usize = 30;
    const CALLS: u32 = 40;
    let town = Town::new(Servers::shared(), JOBS as u32, Duration::from_millis(1500), &calls(CALLS));
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    eventually("the worker says that the budget is spent", || synthesis.said().contains("its budget is spent"));
    let asked = rests(&town, &mut synthesis);
    let asked_max = CALLS as usize + CONCURRENCY;
    let is_bounded = (CALLS as usize..=asked_max).contains(&asked);
    assert!(is_bounded, "{asked} requests: beyond {CALLS} there are those in flight when it was reached");
    let status = town.status();
    assert_eq!((&status["budget"]["calls"], &status["usage"]["calls"]), (&CALLS.into(), &asked.into()), "{status}");
    assert_eq!((&status["failed"], &status["state"], &status["paused_by"]), (&0.into(), &"paused".into(), &"budget".into()));
    assert!(status["outstanding"].as_u64() > Some(0), "{status}");

    town.write_campaign(JOBS as u32, &town.teacher.address, &calls(100 * CALLS));
    town.submit();
    // With more hands it takes less long.
    let mut others = [town.worker("synthesis"), town.worker("synthesis")];
    let [first, second] = &mut others;
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter, first, second]);
    assert_eq!(town.seal_and_prove(JOBS as u64).manifest["counts"]["failed"], 0);
    assert_eq!(town.asked_again(), 0, "whoever was told to stop waited for what it had in flight");
}

#[test]
fn a_campaign_with_a_budget_rests_when_its_ledger_is_lost_until_it_is_known_what_was_spent() {
    const JOBS: usize = 24;
    let redis = OwnRedis::start();
    let town = Town::new(Servers::shared().with_redis(&redis), JOBS as u32, Duration::from_millis(500), &calls(4000));
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.terminal(4, JOBS, &mut [&mut synthesis, &mut filter]);
    assert!(redis.ask("FLUSHALL").is_some_and(|said| said.contains("+OK")));
    rests(&town, &mut synthesis);
    assert!(town.status()["outstanding"].as_u64() > Some(0), "all was done before anybody noticed");
    town.json(&["resume", &town.name, "--json"]);
    // Of the trajectories that are there already; those under way add theirs when they go on.
    assert!(town.status()["usage"]["calls"].as_u64() > Some(0), "what was spent is known again");
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter]);
    assert_eq!(town.seal_and_prove(JOBS as u64).manifest["counts"]["failed"], 0);
    assert!(town.asked_again() <= CONCURRENCY, "{} requests were asked again", town.asked_again());
}
