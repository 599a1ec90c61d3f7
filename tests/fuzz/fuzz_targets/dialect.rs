//! Hostile model text into the reader of tool calls, in every dialect: it never panics, loses nothing that was written, and understands its
//! own handwriting.
//!
//! The first byte says how the completion ended; the rest is its text, and behind the first unit separator the arguments of a native call.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::settings::{Dialect, Mode};
use model::{Completion, FinishReason, Role, ToolCall, Usage};
use teacher::dialect;

/// Most problems that a reading tells: eight, and how many more there are.
const PROBLEMS_MAX: usize = 9;

fuzz_target!(|input: (u8, &str)| {
    let (how, said) = input;
    let completion = completion(how, said);
    for written_as in Dialect::ALL {
        read(written_as, &completion);
    }
    // The peer's own parser, and what is said of a text without calls.
    dialect::read_tags_strictly(&completion);
    dialect::announces_a_call(said, &["search", "open"]);
    dialect::refuses(said);
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
    assert_eq!(dialect::assistant_message(written_as, Mode::Chat, completion).role, Role::Assistant);
    for action in &reading.actions {
        let observed = dialect::observation_message(written_as, Mode::Chat, "seen", action);
        assert!(observed.text.contains("seen"));
        if action.unreadable.is_none() {
            written_and_read_again(written_as, action);
        }
    }
}

/// A call that was understood, written as the dialect writes it, is the same call when it is read; but one query of the tag protocol is
/// read as a list of one.
fn written_and_read_again(written_as: Dialect, action: &model::Action) {
    let text = dialect::write(written_as, &action.tool, &action.arguments);
    let written = Completion { text, ..completion(0, "") };
    let again = dialect::read(written_as, &written);
    assert_eq!(again.actions.len(), 1, "{} is read as {again:?}", written.text);
    assert_eq!(again.actions[0].tool, action.tool);
    let is_listed =
        written_as == Dialect::Tags && ["query", "url"].iter().any(|key| action.arguments.get(*key).is_some_and(|one| one.is_string()));
    if !is_listed {
        assert_eq!(again.actions[0].arguments, action.arguments);
    }
}
