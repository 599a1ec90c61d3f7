//! What a model is told about its text, and the right form of a call in its dialect.

use model::settings::Dialect;

use super::white::{trim, trim_start};

/// Most problems that are told one by one.
const PROBLEMS_MAX: usize = 8;
/// How much of an unreadable call is shown back, in characters.
const EXCERPT_CHARS: usize = 120;

/// A part that must be told to the model.
#[derive(Debug)]
pub(super) enum Problem {
    /// A call that cannot be read: how it began, and why.
    Unread(String, String),
    /// A token of a call though none begins: how the text before it ends.
    Stray(String),
    /// Calls within reasoning that was never closed.
    CallWithinReasoning,
    /// A tool's answer, or somebody else's turn, that the model wrote itself, as it begins.
    Forged(&'static str),
    /// More calls than are read of one turn.
    TooManyCalls(usize),
}

impl Problem {
    /// A call that began with `written` and cannot be read for this reason.
    pub(super) fn unread(written: &str, reason: String) -> Self {
        Self::Unread(trim_start(written).chars().take(EXCERPT_CHARS).collect::<String>().trim_end().to_owned(), reason)
    }

    /// That a token of a call stands behind `text` though no call begins; nothing if there is no text.
    pub(super) fn stray(text: &str) -> Option<Self> {
        let text = trim(text);
        let end = text.char_indices().rev().take(EXCERPT_CHARS).last().map_or(text.len(), |(at, _)| at);
        (!text.is_empty()).then(|| Self::Stray(text.get(end..).unwrap_or_default().to_owned()))
    }
}

/// The problems as the model is told, at most [`PROBLEMS_MAX`] and one line on the rest.
pub(super) fn tell(problems: Vec<Problem>, dialect: Dialect) -> Vec<String> {
    let right_form = right_form(dialect);
    let rest = problems.len().saturating_sub(PROBLEMS_MAX);
    let mut told: Vec<String> = problems
        .into_iter()
        .take(PROBLEMS_MAX)
        .map(|problem| match problem {
            Problem::Unread(written, reason) => {
                format!("A tool call could not be read and was not carried out: {reason}. It began with: {written}\n{right_form}")
            }
            Problem::Stray(end) => format!(
                "A tool call could not be read and was not carried out: a token of a call stands in the text, and none that begins a call. Before it \
                 stood: {end}\n{right_form}"
            ),
            Problem::CallWithinReasoning => {
                format!("You wrote a tool call within reasoning that you did not close with </think>, so it was not carried out. {right_form}")
            }
            Problem::Forged(what) => format!(
                "You wrote {what} yourself. It and what followed it were ignored: end your turn after your calls, and wait for what the tools \
                 return."
            ),
            Problem::TooManyCalls(most) => {
                format!("You wrote more than {most} tool calls in one turn. What followed the first {most} was ignored; write fewer.")
            }
        })
        .collect();
    if rest > 0 {
        told.push(format!("{rest} more tool calls could not be read either."));
    }
    told
}

/// How a call must be written. Harmony's is told in words: its tokens within a message would end the message.
fn right_form(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Openai => "Call tools natively, each with one JSON object as its arguments.",
        Dialect::Hermes => {
            "Write a call in this form:\n<tool_call>\n{\"name\": \"tool\", \"arguments\": {\"argument\": \"value\"}}\n</tool_call>"
        }
        Dialect::Qwen3Coder => {
            "Write a call in this form:\n<tool_call>\n<function=tool>\n<parameter=argument>\nvalue\n</parameter>\n</function>\n</tool_call>"
        }
        Dialect::Harmony => {
            "Write a call as a message of its own on the commentary channel, addressed to functions.tool, with content type json and nothing but one \
             JSON object as its content: {\"argument\": \"value\"}"
        }
        Dialect::Deepseek => {
            "Write a call in this form:\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>tool<｜tool▁sep｜>{\"argument\": \
             \"value\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        }
        Dialect::Kimi => {
            "Write a call in this form:\n<|tool_calls_section_begin|><|tool_call_begin|>functions.tool:0<|tool_call_argument_begin|>{\"argument\": \
             \"value\"}<|tool_call_end|><|tool_calls_section_end|>"
        }
        Dialect::LlamaJson => {
            "Write a call in this form, on a line of its own:\n{\"name\": \"tool\", \"parameters\": {\"argument\": \"value\"}}"
        }
        Dialect::LlamaPythonic => "Write calls in this form, every argument with its name:\n[tool(argument=\"value\")]",
        Dialect::Mistral => "Write a call in this form:\n[TOOL_CALLS]tool[ARGS]{\"argument\": \"value\"}",
        Dialect::Tags => {
            "Write a call in one of these forms:\n<web_search>first query | second query&serp_num=10</web_search>\n\
             <crawl_page>https://first.example | https://second.example</crawl_page>"
        }
    }
}
