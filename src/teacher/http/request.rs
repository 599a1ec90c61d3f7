//! The body of a request, in the form that the most servers take.
//!
//! It is written as bytes: what was sent before is copied from what is kept of it, and only new messages are rendered, so that a turn costs what
//! is new in it.
//!
//! `extra` adds fields. Of ours it may take some out with `false`, since some models refuse `temperature`, `top_p`, `seed` or `tool_choice`, and
//! rename one: `max_completion_tokens = true` sends the limit under that name instead of `max_tokens`, which older servers need. It never changes
//! a value of ours, because rows record what was sent.

use model::settings::{Dialect, HttpSettings};
use model::{Completion, Message, Role, ToolCall, ToolDefinition};
use serde_json::{Map, Value, json};

use super::error::Trouble;
use super::template::Template;
use super::{HttpTeacher, raw, response};
use crate::conversation::Kept;
use crate::{Calls, Request, TeacherError, dialect};

/// The field of `extra` that a template's variables stand in; a chat server takes it as it is.
pub(crate) const TEMPLATE_VARIABLES: &str = "chat_template_kwargs";
/// What only a server of raw completions is told: the prompt has its special tokens already, the text is wanted with all of them, and with what
/// ended it. As vLLM and SGLang know these; where they are not known, `extra` takes them out.
const RAW_FIELDS: [(&str, bool); 4] = [
    ("skip_special_tokens", false),
    ("spaces_between_special_tokens", false),
    ("add_special_tokens", false),
    ("include_stop_str_in_output", true),
];

/// Under which name reasoning is sent back to the model. Most servers read `reasoning_content`, some only `reasoning`, a few refuse both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReasoningField {
    ReasoningContent,
    Reasoning,
    None,
}

impl ReasoningField {
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn from_number(number: u32) -> Self {
        match number {
            0 => Self::ReasoningContent,
            1 => Self::Reasoning,
            _ => Self::None,
        }
    }

    /// What to try when this is refused.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::ReasoningContent => Some(Self::Reasoning),
            Self::Reasoning => Some(Self::None),
            Self::None => None,
        }
    }
}

/// How a model is spoken to: what requests to it look like, and how its answers are read.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) model: String,
    dialect: Dialect,
    stop: Vec<String>,
    extra: Map<String, Value>,
    /// For raw completions; without one the server renders the conversation.
    template: Option<Template>,
}

impl Form {
    /// Chat with native calls.
    pub(super) fn chat(settings: &HttpSettings, model: &str) -> Self {
        let (stop, extra) = (settings.stop.clone(), settings.extra.clone());
        Self { model: model.to_owned(), dialect: Dialect::Openai, stop, extra, template: None }
    }

    /// Where requests go, below the endpoint.
    pub(super) fn path(&self) -> &'static str {
        if self.template.is_some() { "completions" } else { "chat/completions" }
    }

    /// The body that asks for `request`, as JSON.
    pub(super) fn body(&self, request: &Request, field: ReasoningField) -> Result<Vec<u8>, Trouble> {
        let fields = self.fields(request);
        // A guess that saves growing: escapes, names of fields, what the template puts around.
        let text: usize = request.messages.iter().map(|message| message.text.len() + message.text.len() / 16 + 128).sum();
        let mut body = Vec::with_capacity(text + 4096);
        let mut separator = b'{';
        for (name, value) in fields {
            body.push(separator);
            separator = b',';
            write(&mut body, &Value::from(name.as_str()));
            body.push(b':');
            match (name.as_str(), &self.template) {
                ("messages", _) => write_messages(&mut body, request, field),
                ("prompt", Some(template)) => raw::write_prompt(&mut body, request, template, self.dialect).map_err(Trouble::permanent)?,
                ("tools", _) => write(&mut body, &request.tools.iter().map(tool).collect()),
                _ => write(&mut body, &value),
            }
        }
        body.push(b'}');
        Ok(body)
    }

    /// All fields in their order. What is large stands here as null, and is written in its place.
    fn fields(&self, request: &Request) -> Map<String, Value> {
        let sampling = &request.sampling;
        let is_raw = self.template.is_some();
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        set("model", json!(self.model));
        set(if is_raw { "prompt" } else { "messages" }, Value::Null);
        if !is_raw && !request.tools.is_empty() {
            set("tools", Value::Null);
            // The tools stay: without them the cached prefix would be lost, and some servers refuse the tool messages so far.
            if request.calls == Calls::Forbidden {
                set("tool_choice", json!("none"));
            }
        }
        set("temperature", json!(sampling.temperature));
        set("top_p", json!(sampling.top_p));
        set("max_tokens", json!(sampling.max_completion_tokens));
        set("seed", json!(sampling.seed));
        let stops = self.stops();
        if !stops.is_empty() {
            set("stop", json!(stops));
        }
        for (name, value) in RAW_FIELDS.into_iter().filter(|_| is_raw) {
            set(name, json!(value));
        }
        set("stream", json!(false));
        // What else of ours `extra` might name was refused with the settings.
        for (key, value) in &self.extra {
            let is_raw_field = is_raw && RAW_FIELDS.iter().any(|(name, _)| name == key);
            match (key.as_str(), value) {
                ("temperature" | "top_p" | "seed" | "tool_choice", Value::Bool(false)) => drop(fields.shift_remove(key)),
                (_, Value::Bool(false)) if is_raw_field => drop(fields.shift_remove(key)),
                ("max_completion_tokens", Value::Bool(true)) => {
                    fields.shift_remove("max_tokens");
                    fields.insert(key.clone(), json!(sampling.max_completion_tokens));
                }
                // The template has these already, and the prompt comes from nowhere else.
                (TEMPLATE_VARIABLES | "prompt", _) if is_raw => {}
                _ => drop(fields.insert(key.clone(), value.clone())),
            }
        }
        fields
    }

    /// Texts that end a completion: those of `extra` alone where it names any, else those of the dialect and of the settings.
    fn stops(&self) -> Vec<String> {
        match self.extra.get("stop") {
            Some(Value::String(stop)) => vec![stop.clone()],
            Some(Value::Array(stops)) => stops.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => {
                let mut stops: Vec<String> = dialect::stops(self.dialect).iter().map(|stop| (*stop).to_owned()).collect();
                stops.extend(self.stop.iter().filter(|stop| !dialect::stops(self.dialect).contains(&stop.as_str())).cloned());
                stops
            }
        }
    }

    /// The completion in `body`, which answers `request`.
    pub(super) fn completion(&self, body: &[u8], request: &Request) -> Result<Completion, Trouble> {
        match &self.template {
            Some(template) => response::raw_completion(body, template, &self.stops()),
            // In the tag protocol a closing tag ends the turn and belongs to it; elsewhere what stops a model is no part of what it says.
            None if self.dialect == Dialect::Tags => response::completion(body, request, &self.stops()),
            None => response::completion(body, request, &[]),
        }
    }
}

impl HttpTeacher {
    /// The same model, spoken to in `dialect`; with a template by raw completions.
    #[must_use]
    pub fn speaking(mut self, dialect: Dialect, template: Option<Template>) -> Self {
        self.form.dialect = dialect;
        self.form.template = template;
        self
    }

    /// The body of `request` as it goes out, before any server has refused a field of it.
    ///
    /// # Errors
    /// When the chat template refuses the conversation.
    pub fn body(&self, request: &Request) -> Result<Vec<u8>, TeacherError> {
        Ok(self.form.body(request, ReasoningField::ReasoningContent)?)
    }
}

/// A tool as a chat server, and a chat template, are told of it.
pub(super) fn tool(tool: &ToolDefinition) -> Value {
    json!({"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}})
}

/// Adds `value` as JSON.
fn write(body: &mut Vec<u8>, value: &Value) {
    body.extend_from_slice(value.to_string().as_bytes());
}

/// `text` as it stands between the quotes of a JSON string. What is made of texts one by one may be put together: escaping knows no context.
pub(super) fn escaped(text: &str) -> Box<str> {
    let quoted = Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().into()
}

/// The text of `message`, escaped and kept.
pub(super) fn escaped_text<'k>(message: &Message, kept: &'k Kept) -> &'k str {
    kept.text.get_or_init(|| escaped(&message.text))
}

/// Neighbouring user messages go as one: templates that insist on turns refuse two in a row.
fn write_messages(body: &mut Vec<u8>, request: &Request, field: ReasoningField) {
    body.push(b'[');
    let mut messages = request.messages.iter().enumerate().peekable();
    let mut is_first = true;
    while let Some((index, message)) = messages.next() {
        if !is_first {
            body.push(b',');
        }
        is_first = false;
        let fresh = Kept::default();
        let kept = request.rendered.kept(&request.messages, index).unwrap_or(&fresh);
        write_opening(body, message, kept);
        while message.role == Role::User
            && let Some((index, next)) = messages.next_if(|(_, next)| next.role == Role::User)
        {
            let fresh = Kept::default();
            body.extend_from_slice(b"\\n\\n");
            body.extend_from_slice(escaped_text(next, request.rendered.kept(&request.messages, index).unwrap_or(&fresh)).as_bytes());
        }
        write_rest(body, message, kept, field);
    }
    body.push(b']');
}

/// Whether the text goes as null. Beside calls an empty one does: some providers refuse an empty block of text.
fn is_null(message: &Message) -> bool {
    message.text.is_empty() && !message.calls.is_empty()
}

/// A message up to the end of its text.
fn write_opening(body: &mut Vec<u8>, message: &Message, kept: &Kept) {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    for part in ["{\"role\":\"", role, "\",\"content\":", if is_null(message) { "null" } else { "\"" }, escaped_text(message, kept)] {
        body.extend_from_slice(part.as_bytes());
    }
}

/// A message from the end of its text.
fn write_rest(body: &mut Vec<u8>, message: &Message, kept: &Kept, field: ReasoningField) {
    let mut add = |part: &str| body.extend_from_slice(part.as_bytes());
    if !is_null(message) {
        add("\"");
    }
    let name = match field {
        ReasoningField::ReasoningContent => Some("reasoning_content"),
        ReasoningField::Reasoning => Some("reasoning"),
        ReasoningField::None => None,
    };
    if let (Some(reasoning), Some(name)) = (&message.reasoning, name) {
        for part in [",\"", name, "\":\"", kept.reasoning.get_or_init(|| escaped(reasoning)), "\""] {
            add(part);
        }
    }
    if !message.calls.is_empty() {
        add(",\"tool_calls\":");
        add(kept.calls.get_or_init(|| message.calls.iter().map(call).collect::<Value>().to_string().into()));
    }
    if let Some(id) = &message.call_id {
        for part in [",\"tool_call_id\":\"", &escaped(id), "\""] {
            add(part);
        }
    }
    add("}");
}

/// Templates parse the arguments of past calls, and a server fails on those it cannot parse: they go as the object that we understood, or as an
/// empty one. What was wrong with them stands in the tool message.
fn call(call: &ToolCall) -> Value {
    let arguments = dialect::sound_arguments(&call.arguments);
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

#[cfg(test)]
mod tests;
