//! A model's own chat template, used so that a prompt only ever grows.
//!
//! The head of a conversation, up to its first answer, is rendered as it is. What follows an answer (the end of the turn, tools' results,
//! notices, the opening of the next turn) is rendered behind a placeholder in a small conversation of its own and cut out from there: it costs
//! what is new, and a template that rewrites past turns (most reasoning models' do) has no past turn to rewrite. How a template takes such
//! messages is tried out when it is read, so that what it cannot do is known before anything is asked.

mod date;
mod engine;
mod shape;
mod written;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use model::{Action, Digest, Message, Role, ToolDefinition};
use serde_json::{Map, json};

use self::date::Date;
use self::shape::{Run, Shape};
use self::written::Written;
use super::request;

/// Stands for an answer. Letters alone, which no template trims, strips or splits.
const ANSWER: &str = "placeholderofananswer";
/// Stands for a question.
const QUESTION: &str = "placeholderofaquestion";
/// Longest end of a turn that is recognised, in bytes.
const END_BYTES_MAX: usize = 64;
/// Tokens with which a model ends a turn that calls a tool, and what templates write in their place for any turn.
const CALL_ENDS: [(&str, &str); 3] = [("<|call|>", "<|end|>"), ("<|return|>", "<|end|>"), ("<|eom_id|>", "<|eot_id|>")];
/// Runs of messages that occur in every campaign: tried out at once. Others are tried out when they come.
const USUAL_RUNS: [&str; 5] = ["u", "t", "tt", "tu", "ttu"];

/// A chat template.
pub struct Template {
    engine: Environment<'static>,
    /// Identity of what it writes.
    digest: Digest,
    plain: Ways,
    /// The same where tools are offered; a template may refuse to know any.
    offering: Result<Ways, String>,
}

/// How one of the templates takes what we have to say.
struct Ways {
    name: &'static str,
    /// Whether standing instructions go into the question: some templates know no system message.
    folds_system: bool,
    /// The end of a turn with what templates put behind it, up to the next turn.
    closing: String,
    /// Tokens with which the model ends a turn.
    ends: Vec<String>,
    /// For each usual run of messages the shapes it can be put in, the best first.
    shapes: HashMap<String, Vec<Shape>>,
}

/// Why something could not be rendered.
struct Fault {
    /// Whether the template itself says that it does not want it.
    is_refusal: bool,
    message: String,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Template {
    /// The template of `text`, which is a `.jinja` or a `tokenizer_config.json`. It sees `variables` (`enable_thinking`, a `bos_token` …) and, as
    /// the only date, `as_of`.
    ///
    /// # Errors
    /// What is wrong with it and where, found by rendering a small conversation with tools.
    pub fn new(text: &str, variables: &Map<String, serde_json::Value>, as_of: Option<&str>) -> Result<Self, String> {
        let written = Written::read(text)?;
        let mut engine = engine::engine(as_of.map(Date::read).transpose()?).map_err(|error| error.to_string())?;
        let mut tokens = written.tokens.clone();
        tokens.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        for name in ["bos_token", "eos_token"] {
            if written.names(name) && !tokens.contains_key(name) {
                return Err(format!(
                    "read the chat template: it writes `{name}`, which only the model's tokenizer_config.json has; give that file, \
                     or the token under `extra.chat_template_kwargs`"
                ));
            }
        }
        let eos = tokens.get("eos_token").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        for (name, value) in &tokens {
            engine.add_global(name.clone(), Value::from(Serde(value)));
        }
        let parsed = |error: minijinja::Error| format!("read the chat template: {error}");
        let tool_use = if written.tool_use.is_some() { "tool_use" } else { "default" };
        engine.add_template_owned("default", written.plain).map_err(parsed)?;
        if let Some(text) = written.tool_use {
            engine.add_template_owned("tool_use", text).map_err(parsed)?;
        }
        let digest = Digest::of_parts([text.as_bytes(), json!(variables).to_string().as_bytes(), as_of.unwrap_or_default().as_bytes()]);
        let failed = |fault: Fault| format!("render a small conversation with the chat template: {}", fault.message);
        let plain = Ways::find(&engine, "default", &[], &eos).map_err(failed)?;
        let offering = match Ways::find(&engine, tool_use, &[toy()], &eos) {
            // It may be asked without tools all its life.
            Err(fault) if fault.is_refusal => Err(failed(fault)),
            Err(fault) => return Err(failed(fault)),
            Ok(ways) => Ok(ways),
        };
        Ok(Self { engine, digest, plain, offering })
    }

    /// Whether it writes the tools it is given.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn writes_tools(&self) -> Result<(), String> {
        self.offering.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Identity of what it writes: the same for the same template, variables and date.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The whole prompt of a conversation without an answer, up to where the answer begins.
    pub(super) fn head(&self, messages: &[Message], tools: &[ToolDefinition]) -> Result<String, String> {
        let ways = self.ways(tools)?;
        let said = Run::new(messages, &[], ways.folds_system).said;
        let rendered = render(&self.engine, ways.name, &said, &offered(tools), true);
        rendered.map_err(|fault| format!("render the conversation with the chat template: {}", fault.message))
    }

    /// What follows the answer `before`, which contains the calls `actions`, when `run` is said after it: its end, `run`, and the opening of the
    /// next answer.
    pub(super) fn suffix(&self, before: &str, actions: &[Action], run: &[Message], tools: &[ToolDefinition]) -> Result<String, String> {
        let ways = self.ways(tools)?;
        let run = Run::new(run, actions, ways.folds_system);
        let shapes = match ways.shapes.get(&run.pattern) {
            Some(shapes) => Cow::Borrowed(shapes),
            None => Cow::Owned(ways.shapes_of(&self.engine, &run.pattern, tools).map_err(|fault| fault.message)?),
        };
        let mut message = "it leaves out what is said after an answer".to_owned();
        for shape in shapes.iter() {
            match ways.put(&self.engine, *shape, &run, tools) {
                Ok(suffix) => return Ok(ways.behind(before, &suffix).to_owned()),
                Err(fault) => message = fault.message,
            }
        }
        Err(format!("render what follows an answer with the chat template: {message}"))
    }

    /// An answer without the token that ended it: the template writes one where the turn is over.
    pub(super) fn without_end<'t>(&self, answer: &'t str) -> &'t str {
        let ends = self.plain.ends.iter().chain(self.offering.iter().flat_map(|ways| &ways.ends));
        ends.filter_map(|end| answer.strip_suffix(end.as_str())).min_by_key(|rest| rest.len()).unwrap_or(answer)
    }

    fn ways(&self, tools: &[ToolDefinition]) -> Result<&Ways, String> {
        if tools.is_empty() { Ok(&self.plain) } else { self.offering.as_ref().map_err(Clone::clone) }
    }
}

impl Ways {
    /// Tries out the template `name` with `tools`.
    fn find(engine: &Environment<'_>, name: &'static str, tools: &[ToolDefinition], eos: &str) -> Result<Self, Fault> {
        let instructions = [Message::text(Role::System, ANSWER), Message::text(Role::User, QUESTION)];
        let head = |folds: bool| {
            let head = render(engine, name, &Run::new(&instructions, &[], folds).said, &offered(tools), true)?;
            let is_whole = head.contains(ANSWER) && head.contains(QUESTION);
            if is_whole { Ok(head) } else { Err(Fault::of("it leaves out the instructions or the question")) }
        };
        // The first fault is the one to tell: the second only says that nothing else helps.
        let (folds_system, head) = match head(false) {
            Ok(head) => (false, head),
            Err(fault) => (true, head(true).map_err(|_| fault)?),
        };
        if let Some(tool) = tools.iter().find(|tool| !head.contains(&tool.name)) {
            let message = format!(
                "it does not write the tools it is given, such as `{}`; give one that does (many servers ship one for each model family), or use mode = \"chat\"",
                tool.name
            );
            return Err(Fault { is_refusal: true, message });
        }
        let mut ways = Self { name, folds_system, closing: String::new(), ends: Vec::new(), shapes: HashMap::new() };
        let question = Run::probe("u");
        let after = ways.put(engine, Shape::PLAIN, &question, tools)?;
        let end = end_of_turn(&after, eos).to_owned();
        ways.closing = ways.find_closing(engine).unwrap_or_else(|| end.clone());
        for pattern in USUAL_RUNS {
            let shapes = ways.shapes_of(engine, pattern, tools)?;
            if shapes.is_empty() {
                let problem = "it leaves out, or refuses in every form, what a tool returns or what is asked after an answer";
                return Err(Fault::of(problem));
            }
            ways.shapes.insert(pattern.to_owned(), shapes);
        }
        let results = ways.shapes.get("t").and_then(|shapes| shapes.first());
        let results = results.and_then(|shape| ways.put(engine, *shape, &Run::probe("t"), tools).ok());
        let of_results = results.as_deref().map(|suffix| end_of_turn(suffix, eos).trim().to_owned());
        ways.ends = [eos.to_owned(), end.trim().to_owned()].into_iter().chain(of_results).filter(|end| !end.is_empty()).collect();
        Ok(ways)
    }

    /// What the template puts between an answer and the next turn, whoever speaks then: what follows an answer, without the opening of the
    /// next one.
    fn find_closing(&self, engine: &Environment<'_>) -> Option<String> {
        let question = json!({"role": "user", "content": QUESTION});
        let answer = json!({"role": "assistant", "content": ANSWER});
        let asked = std::slice::from_ref(&question);
        let opened = render(engine, self.name, asked, &None, true).ok()?;
        let opening = opened.strip_prefix(render(engine, self.name, asked, &None, false).ok()?.as_str())?.to_owned();
        let answered = render(engine, self.name, &[question, answer], &None, true).ok()?;
        let (_, after) = answered.split_once(ANSWER)?;
        after.strip_suffix(opening.as_str()).map(str::to_owned)
    }

    /// `suffix`, as it follows `before`: an answer that carries the end of its turn needs no second one.
    fn behind<'s>(&self, before: &str, suffix: &'s str) -> &'s str {
        let eos = self.ends.first().map_or("", String::as_str);
        let end = end_of_turn(suffix, eos);
        let means_the_same = CALL_ENDS.iter().any(|(written, instead)| before.ends_with(written) && end.trim() == *instead);
        let is_ended = !end.trim().is_empty() && (before.ends_with(end.trim()) || means_the_same);
        if is_ended { suffix.strip_prefix(end).unwrap_or(suffix) } else { suffix }
    }
}

impl Fault {
    fn of(message: &str) -> Self {
        Self { is_refusal: false, message: message.to_owned() }
    }
}

/// The token at the head of `suffix` that ends the turn, with blanks before it; empty where none can be told.
fn end_of_turn<'s>(suffix: &'s str, eos: &str) -> &'s str {
    let trimmed = suffix.trim_start();
    let len = if !eos.is_empty() && trimmed.starts_with(eos) {
        Some(eos.len())
    } else if trimmed.starts_with('<') {
        trimmed.find('>').map(|at| at + 1).filter(|len| *len <= END_BYTES_MAX)
    } else {
        None
    };
    len.and_then(|len| suffix.get(..suffix.len() - trimmed.len() + len)).unwrap_or_default()
}

/// A tool to try a template with.
fn toy() -> ToolDefinition {
    let parameters =
        json!({"type": "object", "properties": {"query": {"type": "string", "description": "What to find."}}, "required": ["query"]});
    ToolDefinition { name: "search".into(), description: "Finds pages.".into(), parameters }
}

/// The tools as templates know them: as they go to a chat server, or nothing.
fn offered(tools: &[ToolDefinition]) -> Option<Value> {
    (!tools.is_empty()).then(|| Value::from(Serde(tools.iter().map(request::tool).collect::<Vec<_>>())))
}

fn render(
    engine: &Environment<'_>,
    name: &str,
    messages: &[serde_json::Value],
    tools: &Option<Value>,
    opens: bool,
) -> Result<String, Fault> {
    // Transformers give `none` where there are no tools or documents.
    let context = minijinja::context! {
        messages => Value::from(Serde(messages)),
        tools => tools.clone().unwrap_or_else(|| Value::from(())),
        documents => Value::from(()),
        add_generation_prompt => opens,
    };
    engine.get_template(name).and_then(|template| template.render(context)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::UnknownFunction if error.to_string().contains("strftime_now") => {
                "; no prompt may know the time: set `recipe.as_of`, which it is then told"
            }
            _ => "",
        };
        let is_refusal = error.detail().is_some_and(|detail| detail.starts_with(engine::REFUSAL));
        Fault { is_refusal, message: format!("{error}{hint}") }
    })
}

#[cfg(test)]
pub(in crate::http) mod tests;
