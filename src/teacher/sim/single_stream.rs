//! The tag protocol in one stream: what tools returned stands within the assistant's own turn, between tags. Unfolded, it is a conversation again.

use model::protocol::{ProtocolTag, tags};
use model::{Message, Role};

/// The messages of a partial turn that holds observations, and what is partial of its last part.
pub(super) fn unfolded(partial: &str) -> (Vec<Message>, String) {
    let mut messages = Vec::new();
    let mut rest = 0;
    let mut opened = None;
    for at in tags(partial).into_iter().filter(|at| at.tag == ProtocolTag::Observation) {
        match (at.closes, opened) {
            (false, None) => opened = Some(at.range.start),
            (true, Some(start)) => {
                let said = partial.get(rest..start).unwrap_or_default().trim();
                if !said.is_empty() {
                    messages.push(Message::text(Role::Assistant, said));
                }
                messages.push(Message::text(Role::User, partial.get(start..at.range.end).unwrap_or_default()));
                rest = at.range.end;
                opened = None;
            }
            _ => {}
        }
    }
    let behind = partial.get(rest..).unwrap_or_default();
    // Blank lines behind an observation are nobody's words.
    let behind = if messages.is_empty() { behind } else { behind.trim_start() };
    (messages, behind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_within_a_turn_become_messages_of_their_own() {
        let stream = "<think>a</think><web_search>q</web_search>\n\n<observation>\none\n</observation>\n\n<think>b";
        let (messages, partial) = unfolded(stream);
        let said: Vec<(Role, &str)> = messages.iter().map(|message| (message.role, message.text.as_str())).collect();
        let expected =
            [(Role::Assistant, "<think>a</think><web_search>q</web_search>"), (Role::User, "<observation>\none\n</observation>")];
        assert_eq!((said.as_slice(), partial.as_str()), (expected.as_slice(), "<think>b"));
        assert_eq!(unfolded("\nplain"), (Vec::new(), "\nplain".to_owned()));
        assert_eq!(unfolded("<observation>never closed").1, "<observation>never closed");
    }
}
