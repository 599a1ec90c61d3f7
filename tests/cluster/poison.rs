//! Jobs that kill, and what becomes of their neighbours.

use std::time::{Duration, Instant};

use super::door::{Act, Door};
use super::town::{CONCURRENCY, Servers, Town, eventually};
use super::worker::Worker;

/// How long the neighbours of a killer get to journal something, which clears them.
const NEIGHBOURS: Duration = Duration::from_secs(3);

/// The worker dies of the job: whoever asks its question is killed before there is an answer. The others of that moment have got on meanwhile.
fn dies_of_it(town: &Town, door: &Door, worker: &mut Worker) {
    let before = door.held();
    eventually(&format!("the killer's question; the worker said\n{}", worker.said()), || door.held() > before);
    let (asked, since) = (town.teacher.teacher.counts().0, Instant::now());
    // Two turns of each neighbour, so that all of them journal; or nobody is left who would ask.
    eventually("neighbours that get on", || town.teacher.teacher.counts().0 >= asked + 6 || since.elapsed() > NEIGHBOURS);
    worker.kill9();
}

#[test]
fn a_job_that_kills_its_worker_ends_as_poison_and_its_neighbours_keep_their_attempts() {
    let town = Town::without_plan(Servers::shared(), Duration::from_millis(500));
    town.spoil_second_seed();
    let seeds = std::fs::read_to_string(town.path("seeds.jsonl")).expect("the seeds");
    let mut lines: Vec<String> = seeds.lines().map(str::to_owned).collect();
    lines[1] = "{\"id\": \"killer\", \"question\": \"Which question kills whoever asks it?\"}".to_owned();
    std::fs::write(town.path("seeds.jsonl"), lines.join("\n")).expect("written");
    let door = Door::open(&town.teacher.address, "kills whoever asks", Act::Hold);
    // All of them run at once, so the neighbours are the same at each death.
    town.write_campaign(CONCURRENCY as u32, &door.url(), "");
    town.submit();
    let mut filter = town.worker("filter");
    // Each death is one suspicion, and three send a job to the quarantine.
    for _death in 0..3 {
        dies_of_it(&town, &door, &mut town.worker("synthesis"));
    }
    let mut synthesis = town.worker("synthesis");
    town.terminal(3, 4, &mut [&mut synthesis, &mut filter]);
    eventually("the killer is set apart", || town.status()["queues"]["quarantine"]["ready"] == 1);
    dies_of_it(&town, &door, &mut town.worker_with("synthesis", &["--quarantine"], &[]));
    let mut quarantine = town.worker_with("synthesis", &["--quarantine"], &[]);
    town.all_terminal(4, &mut [&mut synthesis, &mut filter, &mut quarantine]);
    let sealed = town.seal_and_prove(4);
    assert_eq!(sealed.manifest["counts"]["failed"], 1);
    assert_eq!(sealed.manifest["sums"]["failed_by"]["poison"], 1, "{}", sealed.manifest["sums"]["failed_by"]);
    let (job, _) = town.job(1);
    assert_eq!(sealed.jobs.get(job.id.as_str()).map(String::as_str), Some("failed"));
    assert!(sealed.rows.iter().all(|row| row["provenance"]["attempts"] == 1), "no neighbour lost an attempt");
}
