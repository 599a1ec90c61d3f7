//! What a turn costs a worker: microseconds to make the request's digest and its body, at turns 1, 10, 50 and 100 of one conversation that grows
//! by about 1,200 tokens a turn, in chat and in raw completion mode. Processor time of one thread; nothing is sent.
//!
//! `cargo run --release -p teacher --example bench_turns`. Body and prompt grow with the context, because the API wants all of it; what must
//! not grow is the time, except by copying those bytes: the last column says what copying them alone takes.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::settings::{Dialect, HttpSettings};
use model::{JobId, JournalKey, Message, Role, Sampling, ToolDefinition, Uid};
use serde_json::{Map, json};
use teacher::http::{HttpTeacher, Template};
use teacher::{Calls, Conversation, Request, Tokens};

const TEMPLATE: &str = include_str!("../http/template/fixtures/chatml.jinja");
/// Turns whose cost is printed.
const PRINTED: [usize; 4] = [1, 10, 50, 100];
/// Conversations that are measured; the median counts.
const ROUNDS: usize = 21;
/// Words of a tool's result, which make about 1,100 tokens.
const RESULT_WORDS: usize = 800;

/// One turn, measured.
#[derive(Clone, Copy)]
struct Cost {
    making: Duration,
    copying: Duration,
    bytes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    // A second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = HttpSettings { endpoints: vec!["http://127.0.0.1:1/v1".to_owned()], ..HttpSettings::default() };
    let chat = HttpTeacher::new(&settings, "model", None)?;
    let template = Template::new(TEMPLATE, &Map::new(), None)?;
    let raw = HttpTeacher::new(&settings, "model", None)?.speaking(Dialect::Hermes, Some(template));
    let result = result(0);
    println!("new text: {} tokens a turn", Tokens::O200k.count(&result) + Tokens::O200k.count(&answer(0)));
    println!("{:<6}{:>6}{:>12}{:>14}{:>20}", "mode", "turn", "body, KiB", "making, us", "copying alone, us");
    for (mode, teacher) in [("chat", &chat), ("raw", &raw)] {
        let rounds = (0..ROUNDS).map(|_| conversation(teacher)).collect::<Result<Vec<_>, _>>()?;
        for turn in PRINTED {
            let mut costs: Vec<Cost> = rounds.iter().filter_map(|round| round.get(turn - 1)).copied().collect();
            costs.sort_by_key(|cost| cost.making);
            let Some(cost) = costs.get(costs.len() / 2) else { continue };
            let micros = |time: Duration| time.as_secs_f64() * 1e6;
            println!("{mode:<6}{turn:>6}{:>12}{:>14.1}{:>20.1}", cost.bytes >> 10, micros(cost.making), micros(cost.copying));
        }
    }
    Ok(())
}

/// The costs of each turn of a conversation that is as long as the last printed turn.
fn conversation(teacher: &HttpTeacher) -> Result<Vec<Cost>, Box<dyn Error>> {
    let tools: Arc<Vec<ToolDefinition>> = Arc::new(["search", "open", "find"].map(tool).into());
    let mut conversation = Conversation::new([Message::text(Role::System, "rules ".repeat(200)), Message::text(Role::User, "Which dam?")]);
    let mut costs = Vec::new();
    for turn in 0..PRINTED.into_iter().max().unwrap_or_default() {
        // The messages are there already when a request is made; adding them, which makes their digest, belongs to the turn.
        let (said, returned) = (Message::text(Role::Assistant, answer(turn)), Message::text(Role::Tool, result(turn)));
        let begun = Instant::now();
        if turn > 0 {
            conversation.push(said);
            conversation.push(returned);
        }
        let request = Request {
            job: JobId::of(&Uid("u".into()), "seed", 0),
            key: JournalKey { thread: 0, turn: 0, call: 0 },
            messages: conversation.messages(),
            rendered: conversation.rendered(),
            tools: Arc::clone(&tools),
            calls: Calls::Offered,
            sampling: Sampling { temperature: 1.0, top_p: 0.95, max_completion_tokens: 4096, seed: 7 },
        };
        black_box(conversation.request_digest(&tools, request.calls, &request.sampling));
        let body = black_box(teacher.body(&request)?);
        let making = begun.elapsed();
        let begun = Instant::now();
        drop(black_box(body.clone()));
        costs.push(Cost { making, copying: begun.elapsed(), bytes: body.len() });
    }
    Ok(costs)
}

fn answer(turn: usize) -> String {
    let call = json!({"name": "open", "arguments": {"id": turn, "loc": 100}});
    format!("The page on \"dams\" should tell more.\n<tool_call>\n{call}\n</tool_call>")
}

fn result(turn: usize) -> String {
    let words = ["river", "dam", "\"built\"", "in", "1931,", "height", "of", "the", "wall\n", "reservoir"];
    (0..RESULT_WORDS).map(|index| format!("{} ", words[(index * 7 + turn) % words.len()])).collect()
}

fn tool(name: &str) -> ToolDefinition {
    let parameters = json!({"type": "object", "properties": {"query": {"type": "string", "description": "What to look for."}}});
    ToolDefinition { name: name.to_owned(), description: "Looks for it and shows what it finds. ".repeat(5), parameters }
}
