//! Killed while any of its roles is asked something, a job goes on where it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::Completion;
use teacher::{Request, Teacher, TeacherError};

use crate::faults::{Counting, Server};
use crate::house::House;

/// The heuristic teacher, counting what it is asked by the role it is asked in.
#[derive(Default)]
struct ByRole {
    counting: Counting,
    roles: Mutex<HashMap<&'static str, u32>>,
}

const ROLES: [&str; 4] = ["<subtask_list>", "<extract>", "<subtask_answer>", "<suggested_answer>"];

#[async_trait]
impl Teacher for ByRole {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let system = request.messages.first().map(|message| message.text.as_str()).unwrap_or_default();
        let role = ROLES.into_iter().find(|tag| system.contains(tag)).unwrap_or("none");
        *self.roles.lock().expect("no panic held it").entry(role).or_default() += 1;
        self.counting.complete(request).await
    }
}

impl ByRole {
    fn of(&self, role: &str) -> u32 {
        self.roles.lock().expect("no panic held it").get(role).copied().unwrap_or_default()
    }
}

#[test]
fn a_job_killed_in_any_role_goes_on_there_and_asks_again_only_what_was_in_flight() {
    const JOBS: usize = 2;
    const PARALLEL: usize = 3;
    let server = Server::of(Arc::new(ByRole::default()), Duration::from_millis(5));
    let more = format!(
        "[recipe]\nkind = \"decompose\"\ncrawl = \"extract\"\nparallel = {PARALLEL}\n\
         [teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"heuristic\"\nconcurrency = {JOBS}\ndialect = \"tags\"\n",
        server.address
    );
    let house = House::new(6, "", &more);
    let mut kills = 0;
    for role in ROLES {
        let mut run = house.start_run();
        let deadline = Instant::now() + Duration::from_secs(60);
        let before = server.teacher.of(role);
        while server.teacher.of(role) <= before {
            assert!(run.try_wait().expect("a child").is_none(), "the run is not over before {role} is asked");
            assert!(Instant::now() < deadline, "{role} is asked");
            std::thread::yield_now();
        }
        run.kill().expect("killed with SIGKILL");
        run.wait().expect("a child");
        kills += 1;
    }
    let last = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(last.code, Some(0), "{}", last.text());
    house.prove_sealed(6);
    let (asked, distinct) = server.teacher.counting.counts();
    assert!(asked - distinct <= kills * JOBS * PARALLEL, "{} of {asked} requests were asked again in {kills} kills", asked - distinct);
    let rows = house.rows();
    let calls: u64 = rows.iter().map(|row| row["usage"]["calls"].as_u64().expect("a number")).sum();
    assert_eq!(calls, distinct as u64, "every completion that was paid for is in a row");
    let replayed: u64 = rows.iter().map(|row| row["provenance"]["replayed"].as_u64().expect("a number")).sum();
    assert!(replayed > 0, "some trajectories were continued in the middle");
}
