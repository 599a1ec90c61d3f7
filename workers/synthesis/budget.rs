//! A thread's budgets: how far each is used, when to warn, when to force an answer.
//!
//! Everything counted here is a pure function of the transcript, except wall time, which enters through the journal. A budget that is reached
//! forces a final answer; it never loses the trajectory.

use model::Limit;
use model::settings::BrowseSettings;

use crate::prompts::Level;

/// Share of a budget, in percent, at which the model is warned, once.
const WARN_AT_PERCENT: u64 = 80;
/// Tokens kept free for the demand of a final answer and the message frames around it.
const CONTEXT_MARGIN_TOKENS: u64 = 512;
/// Turns in a row that only repeat, after which an answer is forced.
pub(crate) const REPEATS_MAX: u64 = 6;
/// Turns in a row without call or answer, after which an answer is forced.
pub(crate) const FRUITLESS_MAX: u64 = 3;

/// What is used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Turns taken.
    pub(crate) turns: u64,
    /// Tool calls carried out.
    pub(crate) tool_calls: u64,
    /// Tokens of the conversation.
    pub(crate) context_tokens: u64,
    /// Tokens the model wrote, as its server counted them.
    pub(crate) completion_tokens: u64,
    /// Milliseconds of work, from the journal.
    pub(crate) busy_ms: u64,
    /// Turns in a row that only repeat.
    pub(crate) repeats: u64,
    /// Turns in a row without call or answer.
    pub(crate) fruitless: u64,
}

/// What the budgets say before a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Go on.
    GoOn,
    /// Go on, but tell the model.
    Warn(Level),
    /// This turn must answer.
    Force(Level),
}

/// The budgets, and which of them the model was warned of.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    levels: Vec<(Limit, u64)>,
    warned: Vec<Limit>,
}

impl Budget {
    /// The budgets of `browse`, for completions of at most `max_completion_tokens`.
    pub(crate) fn new(browse: &BrowseSettings, max_completion_tokens: u32) -> Self {
        let reserve = u64::from(max_completion_tokens) + CONTEXT_MARGIN_TOKENS;
        // A context hardly larger than one completion still leaves half of itself for reading.
        let context = u64::from(browse.context_tokens);
        let mut levels = vec![
            // The last turn is the forced answer.
            (Limit::Turns, u64::from(browse.max_turns) - 1),
            (Limit::ToolCalls, u64::from(browse.max_tool_calls)),
            (Limit::ContextTokens, context.saturating_sub(reserve).max(context / 2)),
            (Limit::Repetition, REPEATS_MAX),
            (Limit::FruitlessTurns, FRUITLESS_MAX),
        ];
        levels.extend(browse.completion_tokens.map(|most| (Limit::CompletionTokens, most)));
        levels.extend(browse.wall_s.map(|seconds| (Limit::WallTime, seconds.saturating_mul(1000))));
        Self { levels, warned: Vec::new() }
    }

    /// What to do before the next turn. Before the first there is nobody to tell, so it is always taken.
    pub(crate) fn advise(&mut self, used: &Used) -> Advice {
        if used.turns == 0 {
            return Advice::GoOn;
        }
        for &(limit, most) in &self.levels {
            let level = Level { limit, used: used.of(limit), most };
            if level.used >= most {
                return Advice::Force(level);
            }
        }
        for &(limit, most) in &self.levels {
            let level = Level { limit, used: used.of(limit), most };
            // Repeats and fruitless turns have notices of their own, each time.
            let counts_up_to_a_demand = matches!(limit, Limit::Repetition | Limit::FruitlessTurns);
            let is_near = level.used.saturating_mul(100) >= most.saturating_mul(WARN_AT_PERCENT);
            if is_near && !counts_up_to_a_demand && !self.warned.contains(&limit) {
                self.warned.push(limit);
                return Advice::Warn(level);
            }
        }
        Advice::GoOn
    }

    /// Tool calls that may still be carried out.
    pub(crate) fn tool_calls_left(&self, used: &Used) -> u64 {
        let most = self.levels.iter().find(|(limit, _)| *limit == Limit::ToolCalls).map_or(0, |(_, most)| *most);
        most.saturating_sub(used.tool_calls)
    }
}

impl Used {
    fn of(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Turns => self.turns,
            Limit::ToolCalls => self.tool_calls,
            Limit::ContextTokens => self.context_tokens,
            Limit::CompletionTokens => self.completion_tokens,
            Limit::WallTime => self.busy_ms,
            Limit::Repetition => self.repeats,
            Limit::FruitlessTurns => self.fruitless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(max_turns: u32) -> Budget {
        let browse = BrowseSettings {
            max_turns,
            max_tool_calls: 100,
            context_tokens: 10_000,
            completion_tokens: None,
            wall_s: Some(10),
            as_of: None,
        };
        Budget::new(&browse, 1000)
    }

    #[test]
    fn a_budget_warns_once_and_then_forces() {
        let mut budget = budget(11);
        let used = |turns| Used { turns, ..Used::default() };
        assert_eq!(budget.advise(&used(7)), Advice::GoOn);
        assert_eq!(budget.advise(&used(8)), Advice::Warn(Level { limit: Limit::Turns, used: 8, most: 10 }));
        assert_eq!(budget.advise(&used(9)), Advice::GoOn);
        assert_eq!(budget.advise(&used(10)), Advice::Force(Level { limit: Limit::Turns, used: 10, most: 10 }));
    }

    #[test]
    fn the_context_keeps_room_for_the_forced_answer() {
        let used = Used { turns: 1, context_tokens: 10_000 - 1000 - CONTEXT_MARGIN_TOKENS, ..Used::default() };
        assert!(matches!(budget(11).advise(&used), Advice::Force(level) if level.limit == Limit::ContextTokens));
    }

    #[test]
    fn wall_time_forces_by_the_journal_s_clock() {
        let used = Used { turns: 1, busy_ms: 10_000, ..Used::default() };
        assert!(matches!(budget(11).advise(&used), Advice::Force(level) if level.limit == Limit::WallTime));
    }
}
