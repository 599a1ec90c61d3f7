//! The http teacher over real HTTP against `sluice sim-teacher`, with faults on: the campaign ends as if there had been none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::house::House;

/// `sluice sim-teacher` as a process of its own; killed at the end.
struct SimProcess {
    child: Child,
    base: String,
}

impl SimProcess {
    fn start(house: &House, args: &[&str]) -> Self {
        let mut command = house.command(&["sim-teacher", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let base = line.trim().strip_prefix("listening on ").expect("where it listens").to_owned();
        Self { child, base }
    }
}

impl Drop for SimProcess {
    fn drop(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("a child");
    }
}

fn campaign(house: &House, base: &str, more: &str) {
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    let teacher = format!("[teacher]\nkind = \"http\"\nendpoints = [\"{base}\"]\nmodel = \"heuristic\"\nconcurrency = 16\n{more}");
    std::fs::write(house.path("campaign.toml"), format!("{text}\n{teacher}")).expect("written");
}

#[test]
fn both_dialects_run_over_http_with_rate_limits_and_server_errors() {
    for dialect in ["openai", "hermes"] {
        let house = House::new(10, "", "");
        let sim = SimProcess::start(&house, &["--rate-429", "0.05", "--rate-500", "0.05", "--retry-after-s", "0", "--latency-ms", "1"]);
        campaign(&house, &sim.base, &format!("dialect = \"{dialect}\"\n"));
        let ran = house.sluice(&["run", "campaign.toml"]);
        assert_eq!(ran.code, Some(0), "{dialect}: {}", ran.text());
        house.prove_sealed(10);
        let rows = house.rows();
        assert!(rows.iter().all(|row| row["outcome"] == "answered"), "{dialect}");
        assert!(rows.iter().all(|row| row["threads"][0]["turns"][0]["actions"][0]["tool"] == "search"), "{dialect}");
    }
}

#[test]
fn a_server_with_a_short_context_costs_no_trajectory() {
    let house = House::new(6, "", "");
    let sim = SimProcess::start(&house, &["--context-tokens", "4200"]);
    campaign(&house, &sim.base, "max_completion_tokens = 256\n");
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(6);
    let rows = house.rows();
    let overflowed = rows.iter().filter(|row| row["limit"] == "context_tokens").count();
    assert!(overflowed > 0, "some conversation was too long: {:?}", rows.iter().map(|row| &row["usage"]).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| !row["threads"][0]["turns"].as_array().expect("turns").is_empty()));
}

#[test]
fn no_server_at_all_costs_no_attempt_and_the_campaign_goes_on_when_it_is_back() {
    let house = House::new(4, "", "");
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").port()
    };
    campaign(&house, &format!("http://127.0.0.1:{port}/v1"), "");
    let mut run = house.start_run();
    // The run is under way, and holds, when its ledger is there.
    while !house.dataset().join(".ledger").exists() || !house.dataset().join("campaign.json").exists() {
        assert!(run.try_wait().expect("a child").is_none(), "it must not give up");
        std::thread::yield_now();
    }
    let _sim = {
        let mut command = house.command(&["sim-teacher", "--listen", &format!("127.0.0.1:{port}")]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        SimProcess { child, base: line }
    };
    let status = run.wait().expect("a child");
    assert_eq!(status.code(), Some(0));
    house.prove_sealed(4);
    assert!(house.rows().iter().all(|row| row["provenance"]["attempts"] == 1), "an outage spends no attempt");
}
