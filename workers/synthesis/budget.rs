//! A thread's budgets: how far each is used, when to warn, when to force an answer.
//!
//! Everything counted here is a pure function of the transcript, except wall time, which enters through the journal. A budget that is reached
//! forces a final answer; it never loses the trajectory.

use model::settings::{BrowseSettings, BudgetSettings, DecomposeSettings};
use model::{Limit, Usage};

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
    /// All that the thread cost: withdrawn turns, and what was asked of others for it, included.
    pub(crate) usage: Usage,
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

/// What one thread may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Turns, the forced answer included.
    pub(crate) turns: u32,
    pub(crate) tool_calls: u32,
    /// Tokens of the conversation.
    pub(crate) context_tokens: u32,
    /// Tokens the model writes.
    pub(crate) completion_tokens: Option<u64>,
    /// Seconds of work on the job.
    pub(crate) wall_s: Option<u64>,
    /// What the thread may cost.
    pub(crate) cost: BudgetSettings,
}

impl From<&BrowseSettings> for Limits {
    fn from(browse: &BrowseSettings) -> Self {
        Self {
            turns: browse.max_turns,
            tool_calls: browse.max_tool_calls,
            context_tokens: browse.context_tokens,
            completion_tokens: browse.completion_tokens,
            wall_s: browse.wall_s,
            cost: browse.thread.and(browse.job),
        }
    }
}

impl From<&DecomposeSettings> for Limits {
    fn from(decompose: &DecomposeSettings) -> Self {
        Self {
            turns: decompose.steps,
            tool_calls: decompose.max_tool_calls,
            context_tokens: decompose.context_tokens,
            completion_tokens: decompose.completion_tokens,
            wall_s: decompose.wall_s,
            cost: decompose.thread,
        }
    }
}

/// The budgets, and which of them the model was warned of.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    levels: Vec<(Limit, u64)>,
    warned: Vec<Limit>,
}

impl Budget {
    /// The budgets of a thread, for completions of at most `max_completion_tokens`.
    pub(crate) fn new(limits: &Limits, max_completion_tokens: u32) -> Self {
        let reserve = u64::from(max_completion_tokens) + CONTEXT_MARGIN_TOKENS;
        // A context hardly larger than one completion still leaves half of itself for reading.
        let context = u64::from(limits.context_tokens);
        let mut levels = vec![
            // The last turn is the forced answer.
            (Limit::Turns, u64::from(limits.turns).saturating_sub(1)),
            (Limit::ToolCalls, u64::from(limits.tool_calls)),
            (Limit::ContextTokens, context.saturating_sub(reserve).max(context / 2)),
            (Limit::Repetition, REPEATS_MAX),
            (Limit::FruitlessTurns, FRUITLESS_MAX),
        ];
        let cost = &limits.cost;
        let written = limits.completion_tokens.into_iter().chain(cost.completion_tokens).min();
        levels.extend(written.map(|most| (Limit::CompletionTokens, most)));
        levels.extend(cost.prompt_tokens.map(|most| (Limit::PromptTokens, most)));
        levels.extend(cost.calls.map(|most| (Limit::Calls, most)));
        levels.extend(cost.money_micros.map(|most| (Limit::Money, most)));
        levels.extend(limits.wall_s.map(|seconds| (Limit::WallTime, seconds.saturating_mul(1000))));
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

    /// The limit that a conversation which goes on has reached before it is asked anything: then there is no room for another question.
    pub(crate) fn full(&self, used: &Used) -> Option<Limit> {
        let lasting = self.levels.iter().filter(|(limit, _)| matches!(limit, Limit::ContextTokens | Limit::WallTime));
        lasting.into_iter().find(|(limit, most)| used.of(*limit) >= *most).map(|(limit, _)| *limit)
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
            Limit::PromptTokens => self.usage.prompt_tokens,
            Limit::Calls => self.usage.calls,
            Limit::Money => self.usage.cost_micros,
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
        let limits = Limits {
            turns: max_turns,
            tool_calls: 100,
            context_tokens: 10_000,
            completion_tokens: None,
            wall_s: Some(10),
            cost: BudgetSettings::default(),
        };
        Budget::new(&limits, 1000)
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
    fn a_context_smaller_than_one_completion_still_leaves_half_of_itself_for_reading() {
        let limits = Limits {
            turns: 11,
            tool_calls: 100,
            context_tokens: 1000,
            completion_tokens: None,
            wall_s: None,
            cost: BudgetSettings::default(),
        };
        let used = |context_tokens| Used { turns: 1, context_tokens, ..Used::default() };
        assert!(!matches!(Budget::new(&limits, 8192).advise(&used(499)), Advice::Force(_)));
        assert!(matches!(Budget::new(&limits, 8192).advise(&used(500)), Advice::Force(level) if level.limit == Limit::ContextTokens));
    }

    #[test]
    fn what_a_thread_cost_forces_by_calls_tokens_and_money() {
        let limits = |cost| Limits { turns: 11, tool_calls: 100, context_tokens: 10_000, completion_tokens: Some(500), wall_s: None, cost };
        let usage = Usage { prompt_tokens: 900, completion_tokens: 400, calls: 4, cost_micros: 70 };
        let used = Used { turns: 1, completion_tokens: usage.completion_tokens, usage, ..Used::default() };
        let forced = |cost: BudgetSettings| match Budget::new(&limits(cost), 1000).advise(&used) {
            Advice::Force(level) => Some((level.limit, level.used, level.most)),
            _ => None,
        };
        let none = BudgetSettings::default();
        assert_eq!(forced(none), None);
        assert_eq!(forced(BudgetSettings { calls: Some(4), ..none }), Some((Limit::Calls, 4, 4)));
        assert_eq!(forced(BudgetSettings { prompt_tokens: Some(800), ..none }), Some((Limit::PromptTokens, 900, 800)));
        assert_eq!(forced(BudgetSettings { money_micros: Some(70), ..none }), Some((Limit::Money, 70, 70)));
        assert_eq!(forced(BudgetSettings { completion_tokens: Some(300), ..none }), Some((Limit::CompletionTokens, 400, 300)));
        let job = BudgetSettings { calls: Some(20), money_micros: Some(10), ..none };
        let share = job.share(&Usage { calls: 2, cost_micros: 50, ..usage }, 3);
        assert_eq!((share.calls, share.money_micros, share.prompt_tokens), (Some(6), Some(0), None), "what the planner spent is gone");
    }

    #[test]
    fn wall_time_forces_by_the_journal_s_clock() {
        let used = Used { turns: 1, busy_ms: 10_000, ..Used::default() };
        assert!(matches!(budget(11).advise(&used), Advice::Force(level) if level.limit == Limit::WallTime));
    }
}
