//! A ledger that is lost with its process costs the last few completions of each unfinished job, because the archive has a copy of the journals.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use model::{Completion, Role};
use serde_json::{Value, json};
use teacher::{Request, Teacher, TeacherError};

use crate::faults::{Counting, Server};
use crate::house::House;

/// Turns of each job: two segments, and some that are in none when the last one is taken.
const TURNS: usize = 21;
/// Entries of a segment.
const SEGMENT: usize = 8;
const CONCURRENCY: usize = 4;

/// What is said after `turns` turns: another search, or at last the answer.
fn said_after(turns: usize) -> Value {
    let text = match turns + 1 < TURNS {
        true => format!("<tool_call>\n{{\"name\": \"search\", \"arguments\": {{\"query\": \"bridge {turns}\"}}}}\n</tool_call>"),
        false => "Nobody knows.\n\nExact Answer: nobody".to_owned(),
    };
    json!({"text": text, "finish_reason": "stop", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "calls": 1}})
}

/// All objects in the copies of journals. What a killed process was putting has a hidden name, and is none.
fn segments(house: &House) -> Vec<String> {
    files_of_journals(house).iter().filter(|path| !is_hidden(path)).map(|path| path.display().to_string()).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().expect("a file's").as_encoded_bytes().starts_with(b".")
}

fn files_of_journals(house: &House) -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        let Ok(found) = std::fs::read_dir(folder) else { return };
        for entry in found {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, into) } else { into.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&house.dataset().join("journals"), &mut found);
    found
}

fn lose_the_ledger(house: &House) {
    std::fs::remove_dir_all(house.dataset().join(".ledger")).expect("there was one");
}

#[test]
fn a_job_whose_ledger_is_lost_goes_on_from_its_copy_and_leaves_none_behind() {
    let house = House::new(1, "", "[teacher]\nkind = \"scripted\"\nscript = \"script.jsonl\"\n");
    let lines: Vec<String> = (0..TURNS).map(|turn| json!({"turn": turn, "completion": said_after(turn)}).to_string()).collect();
    std::fs::write(house.path("script.jsonl"), lines.join("\n")).expect("written");
    let mut command = house.command(&["run", "campaign.toml"]);
    let died = command.env("SLUICE_FAILPOINT", "synthesis.before_trajectory").output().expect("the program starts");
    assert_eq!(died.status.code(), None, "it was aborted: {}", String::from_utf8_lossy(&died.stderr));
    assert_eq!(segments(&house).len(), TURNS / SEGMENT);
    lose_the_ledger(&house);
    let ran = house.sluice(&["run", "campaign.toml", "--no-seal"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert_eq!(segments(&house), [""; 0], "whoever finishes a job drops its copy, and leaves it to no seal");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    house.prove_sealed(1);
    let replayed = house.rows()[0]["provenance"]["replayed"].as_u64();
    assert_eq!(replayed, Some((TURNS / SEGMENT * SEGMENT) as u64), "all that was copied, and no more");
}

#[test]
fn sealing_sweeps_what_was_left_of_finished_shards_and_nothing_else() {
    let house = House::new(9, "", "[teacher]\nkind = \"heuristic\"\n");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    let job = house.rows()[0]["job_id"].as_str().expect("an id").to_owned();
    let left = |shard: u32| house.dataset().join(format!("journals/{shard}/{job}/3-8.mp.zst"));
    for shard in [0, 1, 2] {
        std::fs::create_dir_all(left(shard).parent().expect("a folder")).expect("room");
        std::fs::write(left(shard), "left by whoever was taken over").expect("room");
    }
    let half = left(1).with_file_name(".put-6cebe72c-12");
    std::fs::write(&half, "left by whoever was killed while putting it").expect("room");
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().append(true).open(&half).and_then(|file| file.set_modified(an_hour_ago)).expect("our own file");
    assert_eq!(house.sluice(&["run", "campaign.toml"]).code, Some(0));
    assert_eq!(files_of_journals(&house), [left(2)], "the plan has two shards, and both are finished");
}

/// A teacher who takes many turns for everything, counting what it is asked.
#[derive(Default)]
struct Thorough(Counting);

#[async_trait]
impl Teacher for Thorough {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        self.0.note(request);
        let turns = request.messages.iter().filter(|message| message.role == Role::Assistant).count();
        Ok(serde_json::from_value(said_after(turns)).expect("a completion"))
    }
}

#[test]
fn a_campaign_killed_twice_with_its_ledger_asks_again_only_what_was_not_copied() {
    const JOBS: u32 = 6;
    let server = Server::of(Arc::new(Thorough::default()), Duration::from_millis(5));
    let campaign = format!(
        "[teacher]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"thorough\"\nconcurrency = {CONCURRENCY}\ndialect = \"hermes\"\n",
        server.address
    );
    let house = House::new(JOBS, "", &campaign);
    let kills = [60, 110];
    for requests in kills {
        let mut run = house.command(&["run", "campaign.toml"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.teacher.0.counts().0 < requests {
            assert!(run.try_wait().expect("a child").is_none(), "{JOBS} jobs take more than {requests} requests");
            assert!(Instant::now() < deadline, "the run makes progress");
            std::thread::yield_now();
        }
        run.kill().expect("killed with SIGKILL");
        run.wait().expect("a child");
        lose_the_ledger(&house);
    }
    let last = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(last.code, Some(0), "{}", last.text());
    house.prove_sealed(u64::from(JOBS));
    let (asked, distinct) = server.teacher.0.counts();
    assert_eq!(distinct, JOBS as usize * TURNS, "no other path was taken");
    // Of each job under way: what no segment held yet, and the completion in flight.
    let most = kills.len() * CONCURRENCY * SEGMENT;
    assert!(asked - distinct <= most, "{} of {asked} requests were asked again", asked - distinct);
    assert_eq!(segments(&house), [""; 0]);
}
