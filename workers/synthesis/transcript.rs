//! An open transcript: the conversation as the model sees it, and the turns as they will be recorded, growing together by whole turns.
//!
//! The two never drift apart, because one method adds to both. `withdraw` takes whole turns back when a server finds the conversation too
//! long; what was paid for them stays counted.

use std::collections::HashSet;

use model::repetition::sameness;
use model::settings::Dialect;
use model::{Action, Completion, Digest, Message, Observation, Role, Turn, Usage};
use teacher::Conversation;

use crate::budget::Used;

/// Tokens that a chat template puts around one message; an estimate on the safe side.
const FRAME_TOKENS: u64 = 8;

/// What one turn adds.
pub(crate) struct NewTurn {
    /// As it will be recorded.
    pub(crate) turn: Turn,
    /// As the model wrote it.
    pub(crate) completion: Completion,
    /// Whether each action repeats an earlier one.
    pub(crate) is_repetition: bool,
}

/// A growing transcript.
#[derive(Debug)]
pub(crate) struct Transcript {
    dialect: Dialect,
    conversation: Conversation,
    turns: Vec<Turn>,
    /// Before each turn: messages and counts, to withdraw it.
    marks: Vec<(usize, Used)>,
    used: Used,
    usage: Usage,
    /// What was done so far, for recognising repetition.
    done: HashSet<Digest>,
}

impl Transcript {
    /// A transcript that begins with the system prompt and the question.
    pub(crate) fn open(dialect: Dialect, system: &str, question: &str) -> Self {
        let messages = [Message::text(Role::System, system), Message::text(Role::User, question)];
        let context_tokens = messages.iter().map(|message| u64::from(corpus::count_tokens(&message.text)) + FRAME_TOKENS).sum();
        Self {
            dialect,
            conversation: Conversation::new(messages),
            turns: Vec::new(),
            marks: Vec::new(),
            used: Used { context_tokens, ..Used::default() },
            usage: Usage::default(),
            done: HashSet::new(),
        }
    }

    /// The conversation to be completed next.
    pub(crate) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// What is used so far.
    pub(crate) fn used(&self) -> Used {
        self.used
    }

    /// Turns so far.
    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Notes the journal's clock.
    pub(crate) fn note_busy(&mut self, busy_ms: u64) {
        self.used.busy_ms = busy_ms;
    }

    /// Whether all of `actions` were made before, with the same result.
    pub(crate) fn repeats(&self, actions: &[Action], observations: &[Observation]) -> bool {
        let mut pairs = actions.iter().zip(observations);
        !actions.is_empty() && pairs.all(|(action, observation)| self.done.contains(&sameness(action, observation)))
    }

    /// Adds a turn: to the record, and to what the model will see.
    pub(crate) fn push(&mut self, new: NewTurn) {
        let NewTurn { turn, completion, is_repetition } = new;
        self.marks.push((self.conversation.len(), self.used));
        self.usage += turn.usage;
        self.used.turns += 1;
        self.used.tool_calls += turn.actions.len() as u64;
        self.used.completion_tokens += turn.usage.completion_tokens;
        self.used.repeats = if is_repetition { self.used.repeats + 1 } else { 0 };
        self.used.fruitless = if turn.actions.is_empty() { self.used.fruitless + 1 } else { 0 };
        self.done.extend(turn.actions.iter().zip(&turn.observations).map(|(action, observation)| sameness(action, observation)));

        self.say(teacher::dialect::assistant_message(self.dialect, &completion), None);
        for (action, observation) in turn.actions.iter().zip(&turn.observations) {
            let message = teacher::dialect::observation_message(self.dialect, &observation.text, action);
            self.say(message, Some(observation));
        }
        for notice in &turn.notices {
            self.say(Message::text(Role::User, notice.text.clone()), None);
        }
        self.turns.push(turn);
    }

    /// Adds a notice behind the latest turn. Returns whether there is one to put it behind.
    pub(crate) fn push_notice(&mut self, notice: model::Notice) -> bool {
        let Some(turn) = self.turns.last_mut() else { return false };
        turn.notices.push(notice.clone());
        self.say(Message::text(Role::User, notice.text), None);
        true
    }

    /// Takes the latest turn back; its cost stays counted. Returns whether there was one.
    pub(crate) fn withdraw(&mut self) -> bool {
        let (Some(_), Some((messages, before))) = (self.turns.pop(), self.marks.pop()) else { return false };
        self.conversation.truncate(messages);
        self.used = Used { turns: self.used.turns, completion_tokens: self.used.completion_tokens, busy_ms: self.used.busy_ms, ..before };
        true
    }

    /// The turns and what they cost.
    pub(crate) fn close(self) -> (Vec<Turn>, Usage) {
        (self.turns, self.usage)
    }

    fn say(&mut self, message: Message, observation: Option<&Observation>) {
        let tokens = match observation {
            // Counted once, when the observation was made.
            Some(observation) => u64::from(observation.tokens),
            None => {
                let reasoning = message.reasoning.as_deref().map_or(0, corpus::count_tokens);
                let calls: u32 = message.calls.iter().map(|call| corpus::count_tokens(&call.arguments) + 8).sum();
                u64::from(corpus::count_tokens(&message.text) + reasoning + calls)
            }
        };
        self.used.context_tokens += tokens + FRAME_TOKENS;
        self.conversation.push(message);
    }
}
