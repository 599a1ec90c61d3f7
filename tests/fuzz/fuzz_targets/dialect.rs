//! Hostile model text into the reader of tool calls, in both dialects: it never panics, loses nothing that was written, and
//! understands its own handwriting.
//!
//! The first byte says how the completion ended; the rest is its text, and behind the first unit separator the arguments of a native call.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::settings::Dialect;
use model::{Completion, FinishReason, Role, ToolCall, Usage};
use teacher::dialect;

/// Most problems that a reading tells: eight, and how many more there are.
const PROBLEMS_MAX: usize = 9;

fuzz_target!(|input: (u8, &str)| {
    let (how, said) = input;
    let completion = completion(how, said);
    for written_as in [Dialect::Openai, Dialect::Hermes] {
        read(written_as, &completion);
    }
});

fn completion(how: u8, said: &str) -> Completion {
    let (text, arguments) = match said.split_once('\u{1f}') {
        Some((text, arguments)) => (text, Some(arguments)),
        None => (said, None),
    };
    let native = |arguments: &str| ToolCall { id: "call_0".into(), name: "search".into(), arguments: arguments.into() };
    Completion {
        text: text.to_owned(),
        reasoning: (how & 1 != 0).then(|| "a server's own".to_owned()),
        calls: arguments.map(native).into_iter().collect(),
        finish_reason: if how & 2 != 0 { FinishReason::Length } else { FinishReason::Stop },
        usage: Usage::default(),
        model: None,
    }
}

fn read(written_as: Dialect, completion: &Completion) {
    let reading = dialect::read(written_as, completion);
    assert_eq!(reading.raw.as_deref().unwrap_or(&reading.text), completion.text, "what was written is kept");
    assert!(reading.problems.len() <= PROBLEMS_MAX, "{} problems are told", reading.problems.len());
    // A native call must be answered by its id, readable or not.
    for call in &completion.calls {
        assert!(reading.actions.iter().any(|action| action.id == call.id), "a native call is gone");
    }
    // What goes back to the server is one message of the model and one for each action.
    assert_eq!(dialect::assistant_message(written_as, completion).role, Role::Assistant);
    for action in &reading.actions {
        let observed = dialect::observation_message(written_as, "seen", action);
        assert!(observed.text.contains("seen"));
        if action.unreadable.is_none() {
            written_and_read_again(action);
        }
    }
}

/// A call that was understood, written as a text dialect writes it, is the same call when it is read.
fn written_and_read_again(action: &model::Action) {
    let text = dialect::write(&action.tool, &action.arguments);
    let written = Completion { text, ..completion(0, "") };
    let again = dialect::read(Dialect::Hermes, &written);
    assert_eq!(again.actions.len(), 1, "{} is read as {again:?}", written.text);
    assert_eq!((&again.actions[0].tool, &again.actions[0].arguments), (&action.tool, &action.arguments));
}
