//! A conversation that only grows, with a digest that grows with it.
//!
//! The digest of what is asked is needed at every turn (the journal keys completions by it). Chaining it message by message makes a turn cost
//! what its new text costs, however long the conversation is. Messages are shared with requests, never copied per turn; and what was made of
//! them for a server is kept beside them, so that a request only copies it ([`Rendered`]).

use std::sync::{Arc, OnceLock};

use model::{Digest, Message, Sampling, ToolDefinition};

use crate::Calls;

/// Messages so far, and the digest of exactly these.
#[derive(Debug, Clone)]
pub struct Conversation {
    messages: Arc<Vec<Message>>,
    /// `chain[n]` is the digest of the first n + 1 messages.
    chain: Vec<Digest>,
    /// One for each message.
    kept: Arc<Vec<Arc<Kept>>>,
}

/// What was made of a conversation's messages for a server, so that it is made once and not at every turn. A request may do without.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The very messages it was made of: beside any others it counts for nothing.
    of: Arc<Vec<Message>>,
    kept: Arc<Vec<Arc<Kept>>>,
}

/// What is kept of one message. It depends on this message and those before it, never on what follows.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Its text, as it stands between the quotes of a JSON string.
    pub(crate) text: OnceLock<Box<str>>,
    /// Its reasoning, likewise.
    pub(crate) reasoning: OnceLock<Box<str>>,
    /// Its calls, as a JSON list.
    pub(crate) calls: OnceLock<Box<str>>,
    /// Where it is the last before a completion: what the messages since the last one add to a raw prompt.
    pub(crate) piece: OnceLock<Piece>,
    /// Its tokens, where its server counts none.
    pub(crate) tokens: OnceLock<u64>,
}

/// A piece of a raw prompt.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The template that wrote it.
    pub(crate) template: Digest,
    /// The tools it was written with.
    pub(crate) tools: Arc<Vec<ToolDefinition>>,
    /// As it stands between the quotes of a JSON string.
    pub(crate) text: Box<str>,
}

impl Rendered {
    /// What is kept of message `index` of `messages`; nothing when these are not the messages it was made of.
    pub(crate) fn kept(&self, messages: &Arc<Vec<Message>>, index: usize) -> Option<&Kept> {
        if Arc::ptr_eq(&self.of, messages) { self.kept.get(index).map(Arc::as_ref) } else { None }
    }
}

impl Conversation {
    /// A conversation that begins with `messages`.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut conversation = Self { messages: Arc::default(), chain: Vec::new(), kept: Arc::default() };
        for message in messages {
            conversation.push(message);
        }
        conversation
    }

    /// Adds a message. Costs what the message costs, unless a request of this conversation is still around: then the messages are copied
    /// once, so that the request keeps saying what it said.
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
        Arc::make_mut(&mut self.kept).push(Arc::default());
    }

    /// Takes back everything after the first `len` messages.
    pub fn truncate(&mut self, len: usize) {
        self.chain.truncate(len);
        Arc::make_mut(&mut self.messages).truncate(len);
        Arc::make_mut(&mut self.kept).truncate(len);
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

    /// What was made of the messages so far, shared: a request that carries it beside them leaves there what it makes.
    pub fn rendered(&self) -> Rendered {
        Rendered { of: Arc::clone(&self.messages), kept: Arc::clone(&self.kept) }
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
    #[test]
    fn a_message_copies_none_of_those_before_it_once_the_request_is_gone() {
        let mut conversation = Conversation::new([Message::text(Role::User, "q")]);
        conversation.push(Message::text(Role::Assistant, "a"));
        let place = Arc::as_ptr(&conversation.messages);
        drop((conversation.messages(), conversation.rendered()));
        conversation.push(Message::text(Role::User, "r"));
        assert_eq!(Arc::as_ptr(&conversation.messages), place);
    }

    #[test]
    fn what_is_kept_of_a_message_outlives_the_next_and_belongs_to_no_other_conversation() {
        let mut conversation = Conversation::new([Message::text(Role::User, "q")]);
        let (messages, rendered) = (conversation.messages(), conversation.rendered());
        let kept = rendered.kept(&messages, 0).expect("its own");
        assert!(kept.text.set("q".into()).is_ok());
        conversation.push(Message::text(Role::Assistant, "a"));
        let (later, after) = (conversation.messages(), conversation.rendered());
        assert_eq!(after.kept(&later, 0).and_then(|kept| kept.text.get()).map(AsRef::as_ref), Some("q"));
        assert!(after.kept(&later, 1).is_some_and(|kept| kept.text.get().is_none()));
        assert!(after.kept(&messages, 0).is_none() && rendered.kept(&Arc::new(later.to_vec()), 0).is_none());
        conversation.truncate(0);
        conversation.push(Message::text(Role::User, "other"));
        let kept = conversation.rendered().kept(&conversation.messages(), 0).map(|kept| kept.text.get().is_none());
        assert_eq!(kept, Some(true), "what is taken back is forgotten");
    }
}
