//! From a message to its first completion, with free slots; and what a lost worker's jobs wait until another runs them.
//!
//! The benchmark takes a submitted campaign's messages out of the queue and puts them back one by one, so that it knows to the microsecond
//! when each began to be ready. It counts from the moment before it publishes to the moment the teacher has read the request: both ends
//! err to the worse side.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::{JobMessage, Sampling};
use runtime::queue::rabbitmq::{AmqpSettings, RabbitQueue};
use runtime::{Queue, QueueName};
use rustix::process::Signal;

use crate::account::{Account, Bound};
use crate::ground::{Ground, Planned, SEED, VERB};
use crate::teacher::{Manner, Server};

const PART: &str = "dispatch";
const MESSAGES: u64 = 500;
/// Between two messages, give or take a half: a job is over long before the next comes.
const PAUSE: Duration = Duration::from_millis(80);
/// Jobs that a lost worker holds.
const HELD: usize = 8;
/// What a killed worker sent may still be on its way for so long.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// Measures the part.
pub(crate) fn measure(ground: &Ground, account: &mut Account) -> Result<()> {
    latencies(ground, account)?;
    let killed = lost(ground, "killed", Signal::KILL)?;
    account.add(PART, format!("worker killed: until all {HELD} of its jobs run elsewhere"), killed, "s", Bound::AtMost(10.0));
    let stopped = lost(ground, "stopped", Signal::STOP)?;
    account.add(PART, format!("worker stopped, connection open: until all {HELD} run elsewhere"), stopped, "s", Bound::AtMost(30.0));
    Ok(())
}

fn latencies(ground: &Ground, account: &mut Account) -> Result<()> {
    let server = Server::start(&ground.runtime, Manner { latency: Duration::ZERO, is_endless: false })?;
    let planned = ground.campaign("dispatch", MESSAGES, Some(&server.endpoint), None)?;
    ground.submit(&planned)?;
    let settings = AmqpSettings { urls: vec![ground.variable("SLUICE_AMQP_URL")?.to_owned()], management: None, name: "load".to_owned() };
    let queue = ground.runtime.block_on(runtime::queue::connect(settings))?;
    let jobs = QueueName::Jobs(planned.name.clone());
    let bodies = ground.runtime.block_on(take_all(&queue, &jobs, &planned))?;
    let worker = ground.worker("dispatch", "synthesis", &planned, 64)?;
    ground.wait_for_worker("dispatch", &planned)?;
    let (mut began, mut confirmed) = (HashMap::new(), Vec::new());
    for (number, body) in bodies.into_iter().enumerate() {
        let message: JobMessage = model::wire::decode_message("a job message", &body)?;
        std::thread::sleep(PAUSE.mul_f64(0.5 + (number % 17) as f64 / 16.0));
        let at = Instant::now();
        ground.runtime.block_on(queue.publish(&jobs, vec![body]))?;
        confirmed.push(at.elapsed());
        let seed_id = message.seed.as_ref().map_or("", |seed| seed.id.as_str());
        began.insert(Sampling::seed_of(SEED, seed_id, message.job.sample), at);
    }
    let all = began.len();
    ground.wait("every job's first completion", Duration::from_secs(60), || Ok(server.noting.firsts().len() >= all))?;
    let firsts = server.noting.firsts();
    let mut took: Vec<Duration> = began.iter().filter_map(|(seed, at)| Some(firsts.get(seed)?.saturating_duration_since(*at))).collect();
    took.sort();
    confirmed.sort();
    let ms = |sorted: &[Duration], share: f64| {
        let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
        sorted.get(place - 1).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
    };
    account.add(PART, format!("message published to first completion asked, {all} messages, p50"), ms(&took, 0.5), "ms", Bound::None);
    account.add(PART, "the same, p99", ms(&took, 0.99), "ms", Bound::AtMost(100.0));
    account.add(PART, "the same, largest", ms(&took, 1.0), "ms", Bound::None);
    account.add(PART, "of it until the broker has confirmed the message, p50", ms(&confirmed, 0.5), "ms", Bound::None);
    account.add(PART, "of it until the broker has confirmed the message, p99", ms(&confirmed, 0.99), "ms", Bound::None);
    ground.runtime.block_on(queue.close());
    ground.run("cancel-dispatch", &["cancel", &planned.name], VERB)?;
    worker.stop(Duration::from_secs(30))?.well()?;
    Ok(())
}

/// The campaign's job messages, which are in the queue no more.
async fn take_all(queue: &RabbitQueue, jobs: &QueueName, planned: &Planned) -> Result<Vec<Vec<u8>>> {
    let mut subscription = queue.subscribe(jobs, 64).await?;
    let mut bodies = Vec::new();
    while (bodies.len() as u64) < planned.jobs {
        let delivery = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
        let mut delivery = delivery.context("take the messages of the campaign")?.context("take from the queue: it is closed")?;
        bodies.push(std::mem::take(&mut delivery.body));
        delivery.ack().await?;
    }
    Ok(bodies)
}

/// A worker holds jobs and is lost by `signal` while another is idle; seconds until that one has asked for a completion of each.
fn lost(ground: &Ground, name: &str, signal: Signal) -> Result<f64> {
    let server = Server::start(&ground.runtime, Manner { latency: Duration::from_secs(1), is_endless: true })?;
    let planned = ground.campaign(name, HELD as u64, Some(&server.endpoint), None)?;
    ground.submit(&planned)?;
    let first = ground.worker(&format!("{name}-first"), "synthesis", &planned, HELD * 2)?;
    ground.wait("the first worker's jobs", Duration::from_secs(60), || Ok(server.noting.firsts().len() >= HELD))?;
    let second_id = format!("{name}-second");
    let second = ground.worker(&second_id, "synthesis", &planned, HELD * 2)?;
    ground.wait_for_worker(&second_id, &planned)?;
    first.signal(signal)?;
    let lost = Instant::now();
    let noting = &server.noting;
    let taken_up = || noting.firsts_after(lost + ON_ITS_WAY);
    ground.wait("every job at the second worker", Duration::from_secs(180), || Ok(taken_up().len() >= HELD))?;
    let last = taken_up().values().max().copied().context("find the last job that was taken up")?;
    drop(first);
    ground.run(&format!("cancel-{name}"), &["cancel", &planned.name], VERB)?;
    second.stop(Duration::from_secs(30))?.well()?;
    Ok(last.duration_since(lost).as_secs_f64())
}
