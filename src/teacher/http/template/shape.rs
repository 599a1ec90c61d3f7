//! The forms in which messages behind an answer can be put to a template. Templates differ in what they want to see before a tool's result; a
//! form is fit when everything that is said comes out, once and in order.

use minijinja::Environment;
use model::{Action, Message, Role, ToolDefinition};
use serde_json::{Value, json};

use super::{ANSWER, CALL_ENDS, Fault, QUESTION, Ways, offered, render};

/// Longest run of messages that is tried out as it is.
const PROBE_MAX: usize = 32;

/// How messages behind an answer are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The answer before them has native calls: some templates take a tool's result only behind a call, or name the call in it.
    has_calls: bool,
    /// The tools are offered: some templates know results only where there are tools. Others repeat the tools then, so that this comes late.
    has_tools: bool,
    /// Results are the user's words, between tags.
    is_users: bool,
}

impl Shape {
    /// As it is.
    pub(super) const PLAIN: Self = Self { has_calls: false, has_tools: false, is_users: false };
    /// All of them, the most faithful first.
    const ALL: [Self; 5] = [
        Self::PLAIN,
        Self { has_calls: true, ..Self::PLAIN },
        Self { has_tools: true, ..Self::PLAIN },
        Self { has_calls: true, has_tools: true, ..Self::PLAIN },
        Self { is_users: true, ..Self::PLAIN },
    ];
}

/// Messages between two answers.
pub(super) struct Run {
    /// As a template sees them.
    pub(super) said: Vec<Value>,
    /// The same, all of it the user's.
    as_users: Vec<Value>,
    /// The calls that are answered.
    calls: Vec<Value>,
    /// Who speaks: a letter for each message, but no more than two for neighbouring results.
    pub(super) pattern: String,
}

impl Run {
    /// The run of `messages`, of which results answer `actions` in their order. With `folds`, instructions are the user's words.
    pub(super) fn new(messages: &[Message], actions: &[Action], folds: bool) -> Self {
        let mut run = Self { said: Vec::new(), as_users: Vec::new(), calls: Vec::new(), pattern: String::new() };
        let mut results = 0;
        for message in messages {
            match message.role {
                Role::Tool => {
                    run.result(message, actions.get(results), results);
                    results += 1;
                }
                Role::System if !folds => {
                    run.said.push(json!({"role": "system", "content": message.text}));
                    run.pattern.push('s');
                    push_user(&mut run.as_users, &message.text);
                }
                // No answer stands within a run; as a user's word it would at least be seen.
                Role::System | Role::User | Role::Assistant => {
                    if push_user(&mut run.said, &message.text) {
                        run.pattern.push('u');
                    }
                    push_user(&mut run.as_users, &message.text);
                }
            }
        }
        run
    }

    fn result(&mut self, message: &Message, action: Option<&Action>, index: usize) {
        let name = action.map_or("tool", |action| action.tool.as_str());
        let own = action.map(|action| action.id.as_str()).filter(|id| !id.is_empty());
        // Nine letters and digits: the strictest templates take no other id.
        let id = message.call_id.clone().or_else(|| own.map(str::to_owned)).unwrap_or_else(|| format!("call{index:05}"));
        let arguments = action.map(|action| action.arguments.clone()).unwrap_or_default();
        self.calls.push(json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}));
        self.said.push(json!({"role": "tool", "content": message.text, "tool_call_id": id, "name": name}));
        push_user(&mut self.as_users, &format!("<tool_response>\n{}\n</tool_response>", message.text));
        if !self.pattern.ends_with("tt") {
            self.pattern.push('t');
        }
    }

    /// Words to try a template with, by whom `pattern` says.
    pub(super) fn probe(pattern: &str) -> Self {
        let message = |(index, letter): (usize, char)| {
            let role = match letter {
                't' => Role::Tool,
                's' => Role::System,
                _ => Role::User,
            };
            Message::text(role, word(index))
        };
        let messages: Vec<Message> = pattern.chars().take(PROBE_MAX).enumerate().map(message).collect();
        Self::new(&messages, &[], false)
    }
}

/// Adds what the user says, to what was last said where that was the user's too: templates that insist on turns refuse two in a row. Whether it
/// became a message of its own.
fn push_user(said: &mut Vec<Value>, text: &str) -> bool {
    if let Some(last) = said.last_mut()
        && last.get("role").and_then(Value::as_str) == Some("user")
        && let Some(Value::String(content)) = last.get_mut("content")
    {
        content.push_str("\n\n");
        content.push_str(text);
        return false;
    }
    said.push(json!({"role": "user", "content": text}));
    true
}

/// Word number `index` of a probe.
fn word(index: usize) -> String {
    format!("placeholderofword{index}x")
}

impl Ways {
    /// The shapes that a run like `pattern` can be put in, the best first.
    pub(super) fn shapes_of(&self, engine: &Environment<'_>, pattern: &str, tools: &[ToolDefinition]) -> Result<Vec<Shape>, Fault> {
        let probe = Run::probe(pattern);
        let is_fit = |shape: &&Shape| {
            let is_of_use = (!probe.calls.is_empty() || !shape.has_calls) && (!tools.is_empty() || !shape.has_tools);
            is_of_use && self.put(engine, **shape, &probe, tools).is_ok_and(|suffix| says(&suffix, pattern.chars().count()))
        };
        let fit: Vec<Shape> = Shape::ALL.iter().filter(is_fit).copied().collect();
        if fit.is_empty() {
            // What the template says against the plain form is the most telling.
            self.put(engine, Shape::PLAIN, &probe, tools)?;
        }
        Ok(fit)
    }

    /// Whether `before`, which ends in a call as the template writes it, ends as any turn does.
    fn is_closed(&self, before: &str) -> bool {
        let (before, closing) = (before.trim_end(), self.closing.trim());
        before.ends_with(closing) || CALL_ENDS.iter().any(|(written, instead)| before.ends_with(written) && closing == *instead)
    }

    /// What follows an answer when `run` is said in this shape.
    pub(super) fn put(&self, engine: &Environment<'_>, shape: Shape, run: &Run, tools: &[ToolDefinition]) -> Result<String, Fault> {
        let tools = if shape.has_tools { offered(tools) } else { None };
        let said = if shape.is_users { &run.as_users } else { &run.said };
        let mut conversation = vec![json!({"role": "user", "content": QUESTION})];
        if !shape.has_calls {
            conversation.push(json!({"role": "assistant", "content": ANSWER}));
            conversation.extend(said.iter().cloned());
            let rendered = render(engine, self.name, &conversation, &tools, true)?;
            // The first: what is said may hold the same word.
            let after = rendered.split_once(ANSWER).map(|(_, after)| after.to_owned());
            return after.ok_or_else(|| Fault::of("it leaves out what the model said"));
        }
        // The call stands in the answer as the model wrote it; of the call as the template writes it only what comes behind is wanted.
        conversation.push(json!({"role": "assistant", "content": "", "tool_calls": run.calls}));
        let before = render(engine, self.name, &conversation, &tools, false)?;
        if !self.is_closed(&before) {
            return Err(Fault::of("it closes a turn that calls a tool in its own way, which cannot be told from the call"));
        }
        conversation.extend(said.iter().cloned());
        let whole = render(engine, self.name, &conversation, &tools, true)?;
        match whole.strip_prefix(before.as_str()) {
            Some(after) => Ok(format!("{}{after}", self.closing)),
            None => Err(Fault::of("it writes a call otherwise once there is a result")),
        }
    }
}

/// Whether `suffix` says all the words of a probe, once and in order, and nothing of what stood before them.
fn says(suffix: &str, words: usize) -> bool {
    let mut rest = suffix;
    for index in 0..words.min(PROBE_MAX) {
        let Some((_, after)) = rest.split_once(word(index).as_str()) else { return false };
        rest = after;
    }
    suffix.matches("placeholderof").count() == words.min(PROBE_MAX)
}
