//! The http teacher over real HTTP against `sluice sim-teacher`, with faults on: the campaign ends as if there had been none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::Completion;
use serde_json::json;
use teacher::{Request, Teacher, TeacherError};

use crate::faults::{Counting, Server};
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

/// The heuristic teacher, counting, and seeing in what form it was asked.
#[derive(Default)]
struct Seeing {
    counting: Counting,
    /// Requests whose system message has the tools as the template writes them: nobody but the template does.
    rendered: AtomicUsize,
}

#[async_trait]
impl Teacher for Seeing {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        if request.messages.first().is_some_and(|message| message.text.contains("<tools of=\"template\">")) {
            self.rendered.fetch_add(1, Ordering::Relaxed);
        }
        self.counting.complete(request).await
    }
}

/// A chat template of our own, in the manner of ChatML.
const TEMPLATE: &str = "{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% if loop.first and tools %}
<tools of=\"template\">{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
</tools>{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}";

/// A tokenizer to which a text is one token.
fn tokenizer_of_texts() -> String {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "post_processor": null, "decoder": null,
        "pre_tokenizer": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
    })
    .to_string()
}

#[test]
fn raw_completions_go_through_the_model_s_own_template_and_tokenizer_and_on_after_a_kill() {
    const JOBS: usize = 6;
    let server = Server::of(Arc::new(Seeing::default()), Duration::from_millis(20));
    // Half of it are too few of any other tokenizer's for some of these jobs.
    let house = House::new(JOBS as u32, "", "[recipe]\ncontext_tokens = 4096\n");
    std::fs::write(house.path("template.jinja"), TEMPLATE).expect("written");
    std::fs::write(house.path("tokenizer.json"), tokenizer_of_texts()).expect("written");
    campaign(
        &house,
        &server.address,
        "mode = \"completion\"\nchat_template = \"template.jinja\"\ntokenizer = \"tokenizer.json\"\ndialect = \"hermes\"\n",
    );
    let mut run = house.start_run();
    while server.teacher.counting.counts().0 < 10 {
        assert!(run.try_wait().expect("a child").is_none(), "it is not over yet");
        std::thread::yield_now();
    }
    run.kill().expect("killed with SIGKILL");
    run.wait().expect("a child");
    // What it names is kept with the campaign: another text under its name is another campaign.
    std::fs::write(house.path("template.jinja"), TEMPLATE.replace("<|im_end|>", "<|im_end|> ")).expect("written");
    let refused = house.sluice(&["run", "campaign.toml"]);
    assert!(refused.code == Some(2) && refused.err.contains("teacher.chat_template"), "{}", refused.text());
    std::fs::write(house.path("template.jinja"), TEMPLATE).expect("written");
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(JOBS as u64);
    let (asked, distinct) = server.teacher.counting.counts();
    assert!(asked - distinct <= JOBS, "{} of {asked} requests were asked again", asked - distinct);
    assert_eq!(server.teacher.rendered.load(Ordering::Relaxed), asked, "every prompt was rendered by the template");
    let rows = house.rows();
    assert!(rows.iter().all(|row| row["outcome"] == "answered"), "{:?}", rows.iter().map(|row| &row["outcome"]).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row["threads"][0]["turns"][0]["actions"][0]["tool"] == "search"));
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
