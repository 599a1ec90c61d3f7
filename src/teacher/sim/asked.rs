//! A request as clients send it, to either interface. What cannot be played is refused; what has no effect here is ignored.

use std::sync::Arc;

use model::settings::{Dialect, Mode};
use model::{Digest, JobId, JournalKey, Message, Sampling, Uid};
use serde_json::Value;

use super::counter::Counter;
use super::refusal::Refusal;
use super::{chat, prompt, single_stream};
use crate::{Calls, Request};

/// Tokens of a chat completion when no limit is given. The heuristic teacher never writes as many.
const CHAT_TOKENS: u32 = 4096;
/// Tokens of a raw completion when no limit is given: what OpenAI and vLLM take, a surprise that a rehearsal should have too.
const RAW_TOKENS: u32 = 16;
/// Most stop strings. Every one of them is searched for.
const STOPS_MAX: usize = 64;

/// What a client asked.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) mode: Mode,
    pub(super) model: String,
    /// Identity of the request, for ids of the answer.
    pub(super) id: String,
    /// How the assistant's turn begins that is to be continued; empty for a new one.
    pub(super) partial: String,
    pub(super) stops: Vec<String>,
    /// Whether the stop string that ended a text stays in it.
    pub(super) include_stop: bool,
    pub(super) streaming: Option<Streaming>,
}

/// How the answer is streamed.
pub(super) struct Streaming {
    pub(super) include_usage: bool,
}

impl Asked {
    /// Tokens of the whole prompt.
    pub(super) fn prompt_tokens(&self, counter: &Counter) -> u64 {
        counter.prompt(&self.request) + counter.count(&self.partial)
    }
}

/// Reads a request body. `dialect` is that in which earlier calls are written, where it is not the played teacher's own.
pub(super) fn read(mode: Mode, dialect: Option<Dialect>, body: &[u8], digest: &Digest) -> Result<Asked, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Refusal::wrong(format!("the body is not JSON: {error}")))?;
    interpret(mode, dialect, &body, digest).map_err(Refusal::wrong)
}

fn interpret(mode: Mode, dialect: Option<Dialect>, body: &Value, digest: &Digest) -> Result<Asked, String> {
    let model = body.get("model").and_then(Value::as_str).ok_or("`model` must be a string")?;
    refuse_unplayable(body)?;
    let (messages, partial) = match mode {
        Mode::Chat => (read_messages(body, dialect)?, String::new()),
        Mode::Completion => {
            let mut found = prompt::read(read_prompt(body)?, dialect);
            let (more, partial) = single_stream::unfolded(&found.partial);
            found.messages.extend(more);
            (found.messages, partial)
        }
    };
    let (tools, calls) = match mode {
        Mode::Chat => (chat::read_tools(body.get("tools"))?, chat::read_choice(body.get("tool_choice"))?),
        // Who has begun to answer calls no tool any more.
        Mode::Completion if super::continuation::has_begun_to_answer(&partial) => (Vec::new(), Calls::Forbidden),
        Mode::Completion => (Vec::new(), Calls::Offered),
    };
    let request = Request {
        job: JobId::of(&Uid("sim".to_owned()), digest.as_str(), 0),
        key: JournalKey { thread: 0, turn: 0, call: 0 },
        messages: Arc::new(messages),
        rendered: crate::Rendered::default(),
        tools: Arc::new(tools),
        calls,
        sampling: read_sampling(body, if mode == Mode::Chat { CHAT_TOKENS } else { RAW_TOKENS })?,
    };
    Ok(Asked {
        request,
        mode,
        model: model.to_owned(),
        id: digest.short().to_owned(),
        partial,
        stops: read_stops(body.get("stop"))?,
        include_stop: flag(body, "include_stop_str_in_output")?,
        streaming: read_streaming(body)?,
    })
}

/// Refuses what would have to change the answer and is not played. Nothing, no and none of a thing is no demand for it.
fn refuse_unplayable(body: &Value) -> Result<(), String> {
    let is_demanded = |key: &str| !matches!(body.get(key), None | Some(Value::Null | Value::Bool(false)));
    for key in ["n", "best_of"] {
        if is_demanded(key) && body.get(key).and_then(Value::as_u64) != Some(1) {
            return Err(format!("`{key}` may only be 1 here; ask once for each completion, each with a `seed` of its own"));
        }
    }
    match ["logprobs", "top_logprobs", "prompt_logprobs", "echo", "suffix"].into_iter().find(|key| is_demanded(key)) {
        Some(key) => Err(format!("`{key}` is not supported here; leave it out")),
        None => Ok(()),
    }
}

fn flag(of: &Value, key: &str) -> Result<bool, String> {
    match of.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| format!("`{key}` must be true or false")),
    }
}

fn read_messages(body: &Value, dialect: Option<Dialect>) -> Result<Vec<Message>, String> {
    let Some(written) = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return Err("`messages` must be a list with at least one message".to_owned());
    };
    let mut messages = Vec::with_capacity(written.len());
    for (index, each) in written.iter().enumerate() {
        chat::read_message(each, dialect, &mut messages).map_err(|problem| format!("messages[{index}]: {problem}"))?;
    }
    Ok(messages)
}

fn read_prompt(body: &Value) -> Result<&str, String> {
    let prompt = match body.get("prompt") {
        Some(Value::Array(list)) if list.len() == 1 => list.first(),
        given => given,
    };
    prompt.and_then(Value::as_str).ok_or_else(|| "`prompt` must be one text; token ids and several prompts are not played here".to_owned())
}

fn read_streaming(body: &Value) -> Result<Option<Streaming>, String> {
    let options = body.get("stream_options").filter(|options| !options.is_null());
    match (flag(body, "stream")?, options) {
        (true, Some(options)) => Ok(Some(Streaming { include_usage: flag(options, "include_usage")? })),
        (true, None) => Ok(Some(Streaming { include_usage: false })),
        (false, Some(_)) => Err("`stream_options` may only be given with `stream`".to_owned()),
        (false, None) => Ok(None),
    }
}

fn read_stops(written: Option<&Value>) -> Result<Vec<String>, String> {
    let stops: Vec<String> = match written {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(list)) => {
            let stops: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            stops.ok_or("`stop` may hold only strings")?.into_iter().map(str::to_owned).collect()
        }
        Some(_) => return Err("`stop` must be a string or a list of strings".to_owned()),
    };
    match stops.iter().any(String::is_empty) || stops.len() > STOPS_MAX {
        true => Err(format!("`stop` may hold at most {STOPS_MAX} strings, and no empty one")),
        false => Ok(stops),
    }
}

fn read_sampling(body: &Value, default_tokens: u32) -> Result<Sampling, String> {
    let number = |key: &str, default: f64, max: f64| match body.get(key) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => {
            value.as_f64().filter(|number| (0.0..=max).contains(number)).ok_or_else(|| format!("`{key}` must be a number from 0 to {max}"))
        }
    };
    let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body.get(*key)).filter(|value| !value.is_null());
    let max_completion_tokens = match limit {
        None => default_tokens,
        Some(value) => {
            let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
            tokens.ok_or("`max_tokens` must be a whole number above 0")?
        }
    };
    let seed = match body.get("seed") {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or("`seed` must be a whole number")?.unsigned_abs(),
    };
    Ok(Sampling { temperature: number("temperature", 1.0, 2.0)?, top_p: number("top_p", 1.0, 1.0)?, max_completion_tokens, seed })
}
