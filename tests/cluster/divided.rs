//! Research by dividing on a cluster: roles with servers of their own, a worker that dies in the middle, and what `status` says of servers.

use std::time::Duration;

use serde_json::Value;

use super::servers::Servers;
use super::town::{CONCURRENCY, Town, eventually};
use crate::faults::Server;

const JOBS: usize = 6;
/// Subtasks of one job at once.
const PARALLEL: usize = 2;

#[test]
fn questions_are_divided_on_a_cluster_and_a_dead_worker_s_threads_go_on_elsewhere() {
    let planner = Server::start(Duration::from_millis(20));
    let town = Town::without_plan(Servers::shared(), Duration::from_millis(20));
    let recipe = format!("[recipe]\nkind = \"decompose\"\nparallel = {PARALLEL}\nmax_subtasks = 3");
    town.write_campaign(JOBS as u32, &town.teacher.address, &recipe);
    town.add_to_campaign(&format!("[teacher.planner]\nendpoints = [\"{}\"]\nmodel = \"heuristic\"\n", planner.address));
    town.submit();
    let (mut first, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    town.asked(20, &mut first);
    first.kill9();
    let mut second = town.worker("synthesis");
    eventually("status shows the servers of both roles", || {
        let status = town.status();
        let workers = status["workers"].as_array().expect("workers").iter();
        let servers: Vec<&Value> = workers.flat_map(|worker| worker["endpoints"].as_array().into_iter().flatten()).collect();
        let is_shown = |address: &&String| servers.iter().any(|shown| shown["endpoint"] == address.as_str() && shown["state"] == "up");
        [&planner.address, &town.teacher.address].iter().all(is_shown)
    });
    town.all_terminal(JOBS, &mut [&mut second, &mut filter]);
    let sealed = town.seal_and_prove(JOBS as u64);
    assert_eq!(sealed.manifest["counts"]["failed"], 0);
    for row in &sealed.rows {
        let roles: Vec<&str> =
            row["threads"].as_array().expect("threads").iter().map(|thread| thread["role"].as_str().expect("one")).collect();
        assert_eq!((roles.first(), roles.last()), (Some(&"planner"), Some(&"summarizer")), "{roles:?}");
        assert!(roles.iter().filter(|role| **role == "researcher").count() >= 2, "{roles:?}");
    }
    assert!(planner.teacher.counts().0 >= JOBS, "the planner has a server of its own");
    let asked_again = town.asked_again() + planner.teacher.counts().0 - planner.teacher.counts().1;
    assert!(asked_again <= CONCURRENCY * PARALLEL, "{asked_again} requests were asked again");
}
