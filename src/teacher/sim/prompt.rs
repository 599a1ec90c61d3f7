//! The messages in a raw prompt, as a chat template has written them.
//!
//! The form is that whose marker comes first; a prompt without any marker is one user message. One walk over the markers of that form. Text that
//! looks like a marker is one, as it is to a server that tokenises a prompt with its special tokens.

use model::settings::Dialect;
use model::{Message, Role};
use serde_json::{Map, Value};

use super::chat;
use crate::dialect;

/// Longest header between a marker and the text of its message.
const HEADER_BYTES_MAX: usize = 256;
/// What a tokenizer puts before everything.
const BEGINNINGS: [&str; 4] = ["<｜begin▁of▁sentence｜>", "<|begin_of_text|>", "<s>", "<bos>"];

/// How a template writes messages.
struct Form {
    /// What begins a message, with its role where the marker alone tells.
    opens: &'static [(&'static str, Option<Role>)],
    /// What ends the header that follows such a marker, where one follows.
    header_end: Option<&'static str>,
    /// What ends a message.
    closes: &'static [&'static str],
}

const CHATML: Form = Form { opens: &[("<|im_start|>", None)], header_end: Some("\n"), closes: &["<|im_end|>"] };
const LLAMA_3: Form = Form {
    opens: &[("<|start_header_id|>", None)],
    header_end: Some("<|end_header_id|>"),
    closes: &["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"],
};
const LLAMA_4: Form = Form { opens: &[("<|header_start|>", None)], header_end: Some("<|header_end|>"), closes: &["<|eot|>", "<|eom|>"] };
const HARMONY: Form =
    Form { opens: &[("<|start|>", None)], header_end: Some("<|message|>"), closes: &["<|end|>", "<|call|>", "<|return|>"] };
const KIMI: Form = Form {
    opens: &[("<|im_system|>", None), ("<|im_user|>", None), ("<|im_assistant|>", None)],
    header_end: Some("<|im_middle|>"),
    closes: &["<|im_end|>"],
};
const DEEPSEEK: Form = Form {
    opens: &[
        ("<｜User｜>", Some(Role::User)),
        ("<｜Assistant｜>", Some(Role::Assistant)),
        ("<｜tool▁output▁begin｜>", Some(Role::Tool)),
        // After what the tools returned the turn goes on without another marker.
        ("<｜tool▁outputs▁end｜>", Some(Role::Assistant)),
    ],
    header_end: None,
    closes: &["<｜end▁of▁sentence｜>", "<｜tool▁outputs▁begin｜>", "<｜tool▁output▁end｜>"],
};
const MISTRAL: Form = Form {
    opens: &[
        ("[SYSTEM_PROMPT]", Some(Role::System)),
        ("[AVAILABLE_TOOLS]", Some(Role::System)),
        ("[INST]", Some(Role::User)),
        ("[/INST]", Some(Role::Assistant)),
        ("[TOOL_RESULTS]", Some(Role::Tool)),
        ("[/TOOL_RESULTS]", Some(Role::Assistant)),
    ],
    header_end: None,
    closes: &["[/SYSTEM_PROMPT]", "[/AVAILABLE_TOOLS]", "</s>"],
};
const FORMS: [&Form; 7] = [&CHATML, &LLAMA_3, &LLAMA_4, &HARMONY, &KIMI, &DEEPSEEK, &MISTRAL];

/// What a prompt holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The conversation, in the played teacher's dialect.
    pub(super) messages: Vec<Message>,
    /// How the assistant's turn begins that is to be continued.
    pub(super) partial: String,
}

/// A marker in the prompt.
struct Marker {
    start: usize,
    end: usize,
    /// The role it tells, when it opens a message; `None` when it closes one.
    opens: Option<Option<Role>>,
}

/// Reads a prompt whose earlier calls are written in `dialect`.
pub(super) fn read(prompt: &str, dialect: Option<Dialect>) -> Found {
    let first = |form: &&Form| form.opens.iter().filter_map(|(marker, _)| prompt.find(marker)).min();
    let form = FORMS.into_iter().filter_map(|form| Some((first(&form)?, form))).min_by_key(|(start, _)| *start);
    let Some((start, form)) = form else {
        return Found { messages: vec![Message::text(Role::User, prompt)], partial: String::new() };
    };
    let mut found = Found::default();
    let before = prompt.get(..start).unwrap_or_default().trim();
    let before = BEGINNINGS.iter().find_map(|beginning| before.strip_prefix(beginning)).unwrap_or(before).trim();
    if !before.is_empty() {
        found.messages.push(Message::text(Role::System, before));
    }
    let markers = markers(prompt, form);
    for (index, marker) in markers.iter().enumerate() {
        let Some(role) = marker.opens else { continue };
        let next = markers.get(index + 1);
        let text = prompt.get(marker.end..next.map_or(prompt.len(), |next| next.start)).unwrap_or_default();
        let (header, text) = match form.header_end {
            Some(header_end) => split_header(text, header_end),
            None => ("", text),
        };
        let role = role.unwrap_or_else(|| role_of(header));
        // A line break of the template, not of the text.
        let text = if next.is_none() { text.trim_start_matches('\n') } else { text.trim() };
        match (role, next) {
            // The tail as it stands: what is generated goes on exactly behind it.
            (Role::Assistant, None) => found.partial = partial(form, header, text),
            _ => found.push(role, header, text, dialect),
        }
    }
    found
}

/// All markers of `form`, in order.
fn markers(prompt: &str, form: &Form) -> Vec<Marker> {
    let opens = form.opens.iter().map(|(text, role)| (*text, Some(*role)));
    let all = opens.chain(form.closes.iter().map(|text| (*text, None)));
    let mut markers: Vec<Marker> = all
        .flat_map(|(text, opens)| prompt.match_indices(text).map(move |(start, _)| Marker { start, end: start + text.len(), opens }))
        .collect();
    markers.sort_by_key(|marker| marker.start);
    markers
}

/// The header of a message and its text; all is header where that does not end.
fn split_header<'a>(text: &'a str, header_end: &str) -> (&'a str, &'a str) {
    let within = text.get(..text.floor_char_boundary(HEADER_BYTES_MAX)).unwrap_or(text);
    match within.find(header_end) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + header_end.len()..).unwrap_or_default()),
        None => (text, ""),
    }
}

/// The role that a header names first. Whoever is none of the three is a tool.
fn role_of(header: &str) -> Role {
    let name = header.trim_start().split(|c: char| c == '<' || c.is_whitespace()).next().unwrap_or_default();
    match name {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => Role::Tool,
    }
}

/// The beginning of a turn. In Harmony the header belongs to what the model writes, all but its role.
fn partial(form: &Form, header: &str, text: &str) -> String {
    match header.trim_start().strip_prefix("assistant") {
        Some(channel) if form.header_end == HARMONY.header_end && !channel.trim().is_empty() => format!("{channel}<|message|>{text}"),
        _ => text.to_owned(),
    }
}

impl Found {
    fn push(&mut self, role: Role, header: &str, text: &str, dialect: Option<Dialect>) {
        match role {
            Role::System => self.messages.push(Message::text(Role::System, text)),
            Role::User => chat::push_user(text, &mut self.messages),
            Role::Assistant if header.contains("<|channel|>") => self.push_channel(header, text),
            // A turn that went on without saying anything.
            Role::Assistant if text.is_empty() => {}
            Role::Assistant => self.messages.push(chat::assistant(dialect, text.to_owned(), Vec::new())),
            // Templates of Llama and gpt-oss write what a tool returned as a JSON string.
            Role::Tool => match serde_json::from_str::<String>(text) {
                Ok(decoded) => self.messages.push(chat::observation(&decoded)),
                Err(_) => self.messages.push(chat::observation(text)),
            },
        }
    }

    /// A message of one of Harmony's channels; several make up one turn.
    fn push_channel(&mut self, header: &str, text: &str) {
        let recipient = header.split_once("to=").and_then(|(_, rest)| rest.split(|c: char| c == '<' || c.is_whitespace()).next());
        let written = match recipient {
            Some(recipient) => {
                let arguments: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
                dialect::write(Dialect::Hermes, recipient.strip_prefix("functions.").unwrap_or(recipient), &arguments)
            }
            None if header.contains("analysis") => format!("<think>{text}</think>"),
            None => text.to_owned(),
        };
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => {
                last.text.push('\n');
                last.text.push_str(&written);
            }
            _ => self.messages.push(Message::text(Role::Assistant, written)),
        }
    }
}

#[cfg(test)]
mod tests;
