//! A thread's budgets: how far each is used, when to warn, when to force an answer.
//!
//! Everything counted here is a pure function of the transcript, except wall time, which enters through the journal. A budget that is reached
//! forces a final answer; it never loses the trajectory.

use model::settings::{BrowseSettings, BudgetSettings, DecomposeSettings};
use model::{Limit, Usage};

use crate::clock::Elapsed;
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
    /// All that the thread cost: withdrawn turns, and what was asked of others for it, included.
    pub(crate) usage: Usage,
    /// Work, from the journal.
    pub(crate) elapsed: Elapsed,
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
    /// Seconds of work on the job.
    pub(crate) job_wall_s: Option<u64>,
    /// What the thread may cost. Its seconds are those of work on the thread.
    pub(crate) cost: BudgetSettings,
}

impl From<&BrowseSettings> for Limits {
    fn from(browse: &BrowseSettings) -> Self {
        let job = browse.of_job();
        Self {
            turns: browse.max_turns,
            tool_calls: browse.max_tool_calls,
            context_tokens: browse.context_tokens,
            job_wall_s: job.wall_s,
            cost: browse.thread.and(job.share(&Usage::default(), 1)),
        }
    }
}

impl Limits {
    /// Those of each of `parts` threads that share what `spent` leaves of the job's.
    pub(crate) fn share(decompose: &DecomposeSettings, spent: &Usage, parts: u64) -> Self {
        let job = decompose.of_job();
        Self {
            turns: decompose.steps,
            tool_calls: decompose.max_tool_calls,
            context_tokens: decompose.context_tokens,
            job_wall_s: job.wall_s,
            cost: decompose.of_thread().and(job.share(spent, parts)),
        }
    }

    /// Whether a thread that cost `usage` has to do with what it has.
    pub(crate) fn are_reached(&self, usage: &Usage, elapsed: Elapsed) -> bool {
        let is_over = |seconds: Option<u64>, elapsed_ms| seconds.is_some_and(|seconds| elapsed_ms >= ms(seconds));
        self.cost.is_reached(usage) || is_over(self.job_wall_s, elapsed.job_ms) || is_over(self.cost.wall_s, elapsed.thread_ms)
    }
}

fn ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

/// How much is used of a budget.
type Measure = fn(&Used) -> u64;

/// The budgets of a thread.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    bounds: Vec<Bound>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Bound {
    limit: Limit,
    most: u64,
    used: Measure,
    /// The model was warned of it.
    was_told: bool,
}

impl Bound {
    fn level(&self, used: &Used) -> Level {
        Level { limit: self.limit, used: (self.used)(used), most: self.most }
    }

    fn is_reached(&self, used: &Used) -> bool {
        (self.used)(used) >= self.most
    }

    /// Repeats and fruitless turns have notices of their own, each time.
    fn counts_up_to_a_demand(&self) -> bool {
        matches!(self.limit, Limit::Repetition | Limit::FruitlessTurns)
    }
}

impl Budget {
    /// The budgets of a thread, for completions of at most `max_completion_tokens`.
    pub(crate) fn new(limits: &Limits, max_completion_tokens: u32) -> Self {
        let reserve = u64::from(max_completion_tokens) + CONTEXT_MARGIN_TOKENS;
        // A context hardly larger than one completion still leaves half of itself for reading.
        let context = u64::from(limits.context_tokens);
        let cost = &limits.cost;
        let mut bounds = Vec::new();
        let mut bound = |limit, most: Option<u64>, used: Measure| {
            bounds.extend(most.map(|most| Bound { limit, most, used, was_told: false }));
        };
        // The last turn is the forced answer.
        bound(Limit::Turns, Some(u64::from(limits.turns).saturating_sub(1)), |used| used.turns);
        bound(Limit::ToolCalls, Some(limits.tool_calls.into()), |used| used.tool_calls);
        bound(Limit::ContextTokens, Some(context.saturating_sub(reserve).max(context / 2)), |used| used.context_tokens);
        bound(Limit::Repetition, Some(REPEATS_MAX), |used| used.repeats);
        bound(Limit::FruitlessTurns, Some(FRUITLESS_MAX), |used| used.fruitless);
        bound(Limit::CompletionTokens, cost.completion_tokens, |used| used.usage.completion_tokens);
        bound(Limit::PromptTokens, cost.prompt_tokens, |used| used.usage.prompt_tokens);
        bound(Limit::Calls, cost.calls, |used| used.usage.calls);
        bound(Limit::Money, cost.money_micros, |used| used.usage.cost_micros);
        bound(Limit::WallTime, limits.job_wall_s.map(ms), |used| used.elapsed.job_ms);
        bound(Limit::WallTime, cost.wall_s.map(ms), |used| used.elapsed.thread_ms);
        Self { bounds }
    }

    /// What to do before the next turn. Before the first there is nobody to tell, so it is always taken.
    pub(crate) fn advise(&mut self, used: &Used) -> Advice {
        if used.turns == 0 {
            return Advice::GoOn;
        }
        if let Some(bound) = self.bounds.iter().find(|bound| bound.is_reached(used)) {
            return Advice::Force(bound.level(used));
        }
        for bound in &mut self.bounds {
            let level = bound.level(used);
            let is_near = level.used.saturating_mul(100) >= level.most.saturating_mul(WARN_AT_PERCENT);
            if is_near && !bound.counts_up_to_a_demand() && !bound.was_told {
                bound.was_told = true;
                return Advice::Warn(level);
            }
        }
        Advice::GoOn
    }

    /// The limit that a conversation which goes on has reached before it is asked anything: then there is no room for another question.
    pub(crate) fn full(&self, used: &Used) -> Option<Limit> {
        let lasting = |bound: &&Bound| matches!(bound.limit, Limit::ContextTokens | Limit::WallTime);
        self.bounds.iter().filter(lasting).find(|bound| bound.is_reached(used)).map(|bound| bound.limit)
    }

    /// Tool calls that may still be carried out.
    pub(crate) fn tool_calls_left(&self, used: &Used) -> u64 {
        let most = self.bounds.iter().find(|bound| bound.limit == Limit::ToolCalls).map_or(0, |bound| bound.most);
        most.saturating_sub(used.tool_calls)
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
            job_wall_s: Some(10),
            cost: BudgetSettings { wall_s: Some(5), ..BudgetSettings::default() },
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
        let limits = Limits { turns: 11, tool_calls: 100, context_tokens: 1000, job_wall_s: None, cost: BudgetSettings::default() };
        let used = |context_tokens| Used { turns: 1, context_tokens, ..Used::default() };
        assert!(!matches!(Budget::new(&limits, 8192).advise(&used(499)), Advice::Force(_)));
        assert!(matches!(Budget::new(&limits, 8192).advise(&used(500)), Advice::Force(level) if level.limit == Limit::ContextTokens));
    }

    #[test]
    fn what_a_thread_cost_forces_by_calls_tokens_and_money() {
        let limits = |cost| Limits { turns: 11, tool_calls: 100, context_tokens: 10_000, job_wall_s: None, cost };
        let usage = Usage { prompt_tokens: 900, completion_tokens: 400, calls: 4, cost_micros: 70 };
        let used = Used { turns: 1, usage, ..Used::default() };
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
        let job = BudgetSettings { calls: Some(20), money_micros: Some(10), wall_s: Some(3), ..none };
        let share = job.share(&Usage { calls: 2, cost_micros: 50, ..usage }, 3);
        assert_eq!((share.calls, share.money_micros, share.prompt_tokens), (Some(6), Some(0), None), "what the planner spent is gone");
        assert_eq!(share.wall_s, None, "and time is nobody's share");
    }

    #[test]
    fn wall_time_of_job_and_thread_forces_by_the_journal_s_clocks_each_after_its_own_warning() {
        let advice = |job_ms, thread_ms| {
            let used = Used { turns: 1, elapsed: Elapsed { job_ms, thread_ms }, ..Used::default() };
            budget(11).advise(&used)
        };
        let level = |used, most| Level { limit: Limit::WallTime, used, most };
        assert_eq!(advice(7999, 3999), Advice::GoOn);
        assert_eq!(advice(8000, 0), Advice::Warn(level(8000, 10_000)));
        assert_eq!(advice(10_000, 0), Advice::Force(level(10_000, 10_000)));
        assert_eq!(advice(5000, 4000), Advice::Warn(level(4000, 5000)));
        assert_eq!(advice(5000, 5000), Advice::Force(level(5000, 5000)));
        let both = Used { turns: 1, elapsed: Elapsed { job_ms: 9000, thread_ms: 4500 }, ..Used::default() };
        let mut budget = budget(11);
        assert_eq!(budget.advise(&both), Advice::Warn(level(9000, 10_000)));
        assert_eq!(budget.advise(&both), Advice::Warn(level(4500, 5000)));
        assert_eq!(budget.advise(&both), Advice::GoOn);
    }
}
