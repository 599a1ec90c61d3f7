//! `sluice submit` killed again and again: whoever submits once more finishes it, and nothing is planned or done twice.

use std::time::{Duration, Instant};

use runtime::queue::rabbitmq::AmqpSettings;
use runtime::{Queue, QueueName};

use super::seeds;
use super::servers::Servers;
use super::town::Town;
use super::worker::Worker;

const JOBS: usize = 600;
/// Messages that are published when the last `submit` is killed.
const SOME: u64 = 100;
/// The moment comes within this.
const MOMENT: Duration = Duration::from_secs(60);

/// Starts `submit` and kills it at a moment, which has to come while it runs.
fn killed_when(town: &Town, what: &str, has_come: impl Fn() -> bool) {
    let mut submit = Worker::start(town.command(&["submit", "campaign.toml"]), &town.path("submit.log"));
    let began = Instant::now();
    // Asked without a pause, because the moment passes: each question waits for a server's answer.
    while !has_come() {
        assert!(!submit.is_over(), "{what}: it ended before:\n{}", submit.said());
        assert!(began.elapsed() < MOMENT, "{what}: not within {MOMENT:?}:\n{}", submit.said());
    }
    submit.kill9();
}

#[test]
fn a_submission_that_is_killed_anywhere_is_finished_by_the_next_and_nothing_is_lost_or_doubled() {
    let town = Town::without_plan(Servers::shared(), Duration::ZERO);
    town.write_seeds(&seeds::lines(JOBS));
    // Two turns each: what is tried here is many jobs, and not long ones.
    town.write_campaign(JOBS as u32, &town.teacher.address, "[recipe]\nkind = \"browse\"\nmax_turns = 2");
    // Without the management API a depth is what is ready, and told at once.
    let settings = AmqpSettings { urls: vec![town.servers.amqp.clone()], management: None, name: town.name.clone() };
    let queue = town.wait(runtime::queue::connect(settings)).expect("a broker");
    let jobs = QueueName::Jobs(town.name.clone());
    // Whoever was killed before it declared the queue left none behind.
    let ready = || town.wait(queue.depth(&jobs)).map_or(0, |depth| depth.ready);

    // Before anybody else, so that only one of them ever gives the archive its id.
    town.store();
    let root = format!("campaigns/{}/", town.name);
    killed_when(&town, "a corpus half pushed", || !town.folders("corpora/").is_empty());
    killed_when(&town, "frozen seeds", || !town.keys(&format!("{root}seeds/")).is_empty());
    killed_when(&town, "a frozen plan", || town.object(&format!("{root}campaign.json")).is_some());
    assert!(ready() < SOME, "it was killed where it had hardly begun to publish");
    killed_when(&town, "some messages", || ready() >= SOME);
    assert!(ready() < JOBS as u64, "it was killed while it published");
    assert_eq!(town.submit(), (JOBS as u64, 0, 0), "nothing was done, so all is published");
    assert!(ready() > JOBS as u64, "and some of it a second time");
    town.wait(queue.close());

    let (mut first, mut second, mut filter) = (town.worker("synthesis"), town.worker("synthesis"), town.worker("filter"));
    // Each step has all the patience there is.
    for wanted in [JOBS / 4, JOBS / 2, JOBS * 3 / 4, JOBS] {
        town.terminal(wanted, JOBS, &mut [&mut first, &mut second, &mut filter]);
    }
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!((sealed.rows.len(), &sealed.manifest["counts"]["failed"]), (JOBS, &0.into()));
    assert_eq!(town.asked_again(), 0, "a message that comes twice is done once");
}
