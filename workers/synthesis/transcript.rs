//! An open transcript: the conversation as the model sees it, and the turns as they will be recorded, growing together by whole turns.
//!
//! The two never drift apart, because one method adds to both. `withdraw` takes whole turns back when a server finds the conversation too
//! long; what was paid for them stays counted.

use std::collections::HashSet;

use model::repetition::sameness;
use model::settings::{Dialect, Mode};
use model::{Action, Completion, Digest, Message, Notice, Observation, Role, Turn, Usage};
use teacher::{Conversation, Tokens};

use crate::budget::Used;
use crate::clock::Elapsed;
use crate::speaker::Speaker;

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
    mode: Mode,
    tokens: Tokens,
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
    /// A transcript of `speaker` that begins with its system prompt and `opening`.
    pub(crate) fn open(speaker: &Speaker, opening: &str) -> Self {
        let mut transcript = Self {
            dialect: speaker.dialect(),
            mode: speaker.mode(),
            tokens: speaker.tokens().clone(),
            conversation: Conversation::new([]),
            turns: Vec::new(),
            marks: Vec::new(),
            used: Used::default(),
            usage: Usage::default(),
            done: HashSet::new(),
        };
        transcript.say(Message::text(Role::System, speaker.system.text.as_str()), None);
        transcript.say(Message::text(Role::User, opening), None);
        transcript
    }

    /// Begins another thread in the same conversation, with `opening`. What is spent per thread starts anew; the conversation goes on.
    pub(crate) fn go_on(&mut self, opening: &str) {
        self.turns.clear();
        self.marks.clear();
        self.usage = Usage::default();
        self.used = Used { context_tokens: self.used.context_tokens, ..Used::default() };
        self.say(Message::text(Role::User, opening), None);
    }

    /// Adds the cost of a completion that is no turn of this conversation.
    pub(crate) fn charge(&mut self, usage: Usage) {
        self.usage += usage;
        self.used.usage = self.usage;
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

    /// Notes what the journal's clocks say.
    pub(crate) fn note(&mut self, elapsed: Elapsed) {
        self.used.elapsed = elapsed;
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
        self.charge(turn.usage);
        self.used.turns += 1;
        self.used.tool_calls += turn.actions.iter().filter(|action| action.unreadable.is_none()).count() as u64;
        self.used.repeats = if is_repetition { self.used.repeats + 1 } else { 0 };
        self.used.fruitless = if turn.actions.is_empty() { self.used.fruitless + 1 } else { 0 };
        self.done.extend(turn.actions.iter().zip(&turn.observations).map(|(action, observation)| sameness(action, observation)));

        self.say(teacher::dialect::assistant_message(self.dialect, self.mode, &completion), None);
        for (action, observation) in turn.actions.iter().zip(&turn.observations) {
            let shown = observation.extract.as_ref().unwrap_or(&observation.text);
            let message = teacher::dialect::observation_message(self.dialect, self.mode, shown, action);
            self.say(message, Some(observation));
        }
        for notice in &turn.notices {
            self.say(Message::text(Role::User, notice.text.clone()), None);
        }
        self.turns.push(turn);
    }

    /// Adds a notice behind the latest turn. Returns whether there is one to put it behind.
    pub(crate) fn push_notice(&mut self, notice: Notice) -> bool {
        let Some(turn) = self.turns.last_mut() else { return false };
        turn.notices.push(notice.clone());
        self.say(Message::text(Role::User, notice.text), None);
        true
    }

    /// Takes the latest turn back; its cost stays counted. Returns whether there was one.
    pub(crate) fn withdraw(&mut self) -> bool {
        let (Some(_), Some((messages, before))) = (self.turns.pop(), self.marks.pop()) else { return false };
        self.conversation.truncate(messages);
        let Used { turns, usage, elapsed, .. } = self.used;
        self.used = Used { turns, usage, elapsed, ..before };
        true
    }

    /// The turns of the present thread and what they cost; the conversation stays as it is.
    pub(crate) fn take(&mut self) -> (Vec<Turn>, Usage) {
        self.marks.clear();
        (std::mem::take(&mut self.turns), std::mem::take(&mut self.usage))
    }

    fn say(&mut self, message: Message, observation: Option<&Observation>) {
        let tokens = match observation {
            // Counted once, when the observation was made.
            Some(observation) if matches!(self.tokens, Tokens::O200k) && observation.extract.is_none() => u64::from(observation.tokens),
            _ => {
                let reasoning = message.reasoning.as_deref().map_or(0, |text| self.tokens.count(text));
                let calls: u32 = message.calls.iter().map(|call| self.tokens.count(&call.arguments) + 8).sum();
                u64::from(self.tokens.count(&message.text) + reasoning + calls)
            }
        };
        self.used.context_tokens += tokens + FRAME_TOKENS;
        self.conversation.push(message);
    }
}
