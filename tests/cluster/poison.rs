//! Jobs that kill, and what becomes of their neighbours.

use std::time::{Duration, Instant};

use super::door::{Act, Door};
use super::seeds;
use super::servers::Servers;
use super::town::{Town, eventually};
use super::worker::Worker;

/// The killer and its neighbours: all of them run at once, so the neighbours are the same at each death.
const JOBS: usize = 64;
const NEIGHBOURS: usize = JOBS - 1;
/// A teacher that is asked nothing for so long is asked nothing any more.
const QUIET: Duration = Duration::from_secs(3);

/// Starts a worker with a slot for every job.
fn start(town: &Town) -> Worker {
    town.worker_with("synthesis", &["--concurrency", &JOBS.to_string()], &[])
}

/// The worker dies of the job: whoever asks its question is killed before there is an answer. The others of that moment have got on meanwhile.
fn dies_of_it(town: &Town, door: &Door, worker: &mut Worker) {
    let before = door.held();
    eventually("the killer's question", || {
        assert!(!worker.is_over(), "it died of something else:\n{}", worker.said());
        door.held() > before
    });
    let asked = town.teacher.teacher.counts().0;
    let mut last = (asked, Instant::now());
    // Two turns of each neighbour, so that all of them journal; or nobody is left who would ask.
    eventually("neighbours that get on", || {
        let now = town.teacher.teacher.counts().0;
        if now != last.0 {
            last = (now, Instant::now());
        }
        now >= asked + 2 * NEIGHBOURS || last.1.elapsed() > QUIET
    });
    worker.kill9();
}

#[test]
fn a_job_that_kills_its_worker_ends_as_poison_and_its_neighbours_keep_their_attempts() {
    let town = Town::without_plan(Servers::shared(), Duration::from_millis(500));
    let mut lines = seeds::lines(JOBS);
    lines[1] = "{\"id\": \"killer\", \"question\": \"Which question kills whoever asks it?\"}".to_owned();
    town.write_seeds(&lines);
    let door = Door::open(&town.teacher.address, "kills whoever asks", Act::Hold);
    town.write_campaign_with(JOBS as u32, &door.url(), "", JOBS);
    town.submit();
    let mut filter = town.worker("filter");
    // Each death is one suspicion, and three send a job to the quarantine.
    for _death in 0..3 {
        dies_of_it(&town, &door, &mut start(&town));
    }
    let mut synthesis = start(&town);
    town.terminal(NEIGHBOURS, JOBS, &mut [&mut synthesis, &mut filter]);
    eventually("the killer is set apart", || town.status()["queues"]["quarantine"]["ready"] == 1);
    dies_of_it(&town, &door, &mut town.worker_with("synthesis", &["--quarantine"], &[]));
    let mut quarantine = town.worker_with("synthesis", &["--quarantine"], &[]);
    town.all_terminal(JOBS, &mut [&mut synthesis, &mut filter, &mut quarantine]);
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!(sealed.manifest["counts"]["failed"], 1);
    assert_eq!(sealed.manifest["sums"]["failed_by"]["poison"], 1, "{}", sealed.manifest["sums"]["failed_by"]);
    let (job, _) = town.job(1);
    assert_eq!(sealed.jobs.get(job.id.as_str()).map(String::as_str), Some("failed"));
    assert_eq!(sealed.rows.len(), NEIGHBOURS, "every neighbour was graded");
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1), "no neighbour lost an attempt");
}
