//! A conversation that only grows, with a digest that grows with it.
//!
//! The digest of what is asked is needed at every turn (the journal keys completions by it). Chaining it message by message makes a turn cost
//! what its new text costs, however long the conversation is. Messages are shared with requests, never copied per turn.

use std::sync::Arc;

use model::{Digest, Message, Sampling, ToolDefinition};

use crate::Calls;

/// Messages so far, and the digest of exactly these.
#[derive(Debug, Clone)]
pub struct Conversation {
    messages: Arc<Vec<Message>>,
    /// `chain[n]` is the digest of the first n + 1 messages.
    chain: Vec<Digest>,
}

impl Conversation {
    /// A conversation that begins with `messages`.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut conversation = Self { messages: Arc::default(), chain: Vec::new() };
        for message in messages {
            conversation.push(message);
        }
        conversation
    }

    /// Adds a message.
    pub fn push(&mut self, message: Message) {
        let before = self.chain.last().map_or("", Digest::as_str);
        let calls = message.calls.iter().flat_map(|call| [call.id.as_bytes(), call.name.as_bytes(), call.arguments.as_bytes()]);
        let head = [
            before.as_bytes(),
            &[message.role as u8],
            message.text.as_bytes(),
            message.reasoning.as_deref().unwrap_or_default().as_bytes(),
            message.call_id.as_deref().unwrap_or_default().as_bytes(),
        ];
        self.chain.push(Digest::of_parts(head.into_iter().chain(calls)));
        Arc::make_mut(&mut self.messages).push(message);
    }

    /// Takes back everything after the first `len` messages.
    pub fn truncate(&mut self, len: usize) {
        self.chain.truncate(len);
        Arc::make_mut(&mut self.messages).truncate(len);
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The messages, shared.
    pub fn messages(&self) -> Arc<Vec<Message>> {
        Arc::clone(&self.messages)
    }

    /// Digest of asking for the next message with these tools, which may be called or not, and this sampling.
    pub fn request_digest(&self, tools: &[ToolDefinition], calls: Calls, sampling: &Sampling) -> Digest {
        let head = self.chain.last().map_or("", Digest::as_str);
        let numbers = [
            sampling.temperature.to_bits(),
            sampling.top_p.to_bits(),
            u64::from(sampling.max_completion_tokens),
            sampling.seed,
            tools.len() as u64,
            calls as u64,
        ];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let names = tools.iter().map(|tool| tool.name.as_bytes());
        Digest::of_parts([head.as_bytes(), numbers.as_slice()].into_iter().chain(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Role;

    fn sampling() -> Sampling {
        Sampling { temperature: 1.0, top_p: 0.9, max_completion_tokens: 10, seed: 1 }
    }

    #[test]
    fn a_request_is_known_by_all_that_was_said_before_it() {
        let mut one = Conversation::new([Message::text(Role::System, "s"), Message::text(Role::User, "q")]);
        let before = one.request_digest(&[], Calls::Offered, &sampling());
        one.push(Message::text(Role::Assistant, "a"));
        let after = one.request_digest(&[], Calls::Offered, &sampling());
        assert_ne!(before, after);
        assert_ne!(before, one.request_digest(&[], Calls::Offered, &Sampling { seed: 2, ..sampling() }));
        assert_ne!(after, one.request_digest(&[], Calls::Forbidden, &sampling()));
        one.truncate(2);
        assert_eq!(before, one.request_digest(&[], Calls::Offered, &sampling()));
        let other = Conversation::new([Message::text(Role::System, "sq"), Message::text(Role::User, "")]);
        assert_ne!(before, other.request_digest(&[], Calls::Offered, &sampling()));
    }
}
