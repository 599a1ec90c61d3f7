//! `[recipe]`: what is typed and what it means.

use super::{Check, cost_limits};
use crate::settings::{BrowseSettings, BudgetSettings, Crawl, DecomposeSettings, RecipeSettings, SubtaskMode};
use crate::written::{CostTable, RecipeTable};

pub(super) fn resolve(table: &RecipeTable, check: &mut Check) -> RecipeSettings {
    let settings = match table.kind.as_deref().unwrap_or("browse") {
        "decompose" => RecipeSettings::Decompose(decompose(table, check)),
        kind => {
            check.that(kind == "browse", "recipe.kind", kind, "one of: browse, decompose");
            RecipeSettings::Browse(browse(table, check))
        }
    };
    let (context_tokens, max_tool_calls) = match &settings {
        RecipeSettings::Browse(browse) => (browse.context_tokens, browse.max_tool_calls),
        RecipeSettings::Decompose(decompose) => (decompose.context_tokens, decompose.max_tool_calls),
    };
    check.that((1..=100_000).contains(&max_tool_calls), "recipe.max_tool_calls", max_tool_calls, "from 1 to 100000");
    check.that(context_tokens >= 4096, "recipe.context_tokens", context_tokens, "at least 4096");
    check.that(table.completion_tokens != Some(0), "recipe.completion_tokens", 0, "at least 1, or absent");
    check.that(table.wall_s != Some(0), "recipe.wall_s", 0, "at least 1, or absent");
    if let Some(date) = &table.as_of {
        check.that(is_date(date), "recipe.as_of", date, "a date, YYYY-MM-DD");
    }
    settings
}

fn browse(t: &RecipeTable, check: &mut Check) -> BrowseSettings {
    for (key, given) in [
        ("steps", t.steps.is_some()),
        ("min_tool_calls", t.min_tool_calls.is_some()),
        ("min_subtasks", t.min_subtasks.is_some()),
        ("max_subtasks", t.max_subtasks.is_some()),
        ("mode", t.mode.is_some()),
        ("parallel", t.parallel.is_some()),
        ("crawl", t.crawl.is_some()),
        ("page_tokens", t.page_tokens.is_some()),
        ("strict", t.strict.is_some()),
    ] {
        check.that(!given, &format!("recipe.{key}"), "given", "only for kind = \"decompose\"");
    }
    let max_turns = t.max_turns.unwrap_or(200);
    check.that((2..=10_000).contains(&max_turns), "recipe.max_turns", max_turns, "from 2 to 10000: the last turn is the forced answer");
    BrowseSettings {
        max_turns,
        max_tool_calls: t.max_tool_calls.unwrap_or(400),
        context_tokens: t.context_tokens.unwrap_or(262_144),
        completion_tokens: t.completion_tokens,
        wall_s: t.wall_s,
        job: cost(&t.job, "recipe.job", check),
        thread: cost(&t.thread, "recipe.thread", check),
        as_of: t.as_of.clone(),
    }
}

fn decompose(t: &RecipeTable, check: &mut Check) -> DecomposeSettings {
    check.that(t.max_turns.is_none(), "recipe.max_turns", "given", "only for kind = \"browse\"; a researcher's turns are `steps`");
    let mode = match t.mode.as_deref().unwrap_or("parallel") {
        "sequential" => SubtaskMode::Sequential,
        written => {
            check.that(written == "parallel", "recipe.mode", written, "one of: parallel, sequential");
            SubtaskMode::Parallel
        }
    };
    let crawl = match t.crawl.as_deref().unwrap_or("page") {
        "extract" => Crawl::Extract,
        written => {
            check.that(written == "page", "recipe.crawl", written, "one of: page, extract");
            Crawl::Page
        }
    };
    let max_subtasks = t.max_subtasks.unwrap_or(6);
    let max_tool_calls = t.max_tool_calls.unwrap_or(8);
    let steps = t.steps.unwrap_or(10);
    let settings = DecomposeSettings {
        steps,
        // A campaign that allows fewer calls than the default asks for, or fewer turns to make them in, means what it says.
        min_tool_calls: t.min_tool_calls.unwrap_or(5.min(max_tool_calls).min(steps.saturating_sub(1))),
        max_tool_calls,
        min_subtasks: t.min_subtasks.unwrap_or(2.min(max_subtasks)),
        max_subtasks,
        mode,
        parallel: t.parallel.unwrap_or(max_subtasks),
        crawl,
        page_tokens: t.page_tokens.unwrap_or(2048),
        strict: t.strict.unwrap_or(false),
        context_tokens: t.context_tokens.unwrap_or(65_536),
        completion_tokens: t.completion_tokens,
        wall_s: t.wall_s,
        job: cost(&t.job, "recipe.job", check),
        thread: cost(&t.thread, "recipe.thread", check),
        as_of: t.as_of.clone(),
    };
    check.that((2..=1000).contains(&settings.steps), "recipe.steps", settings.steps, "from 2 to 1000: the last turn is the forced answer");
    let calls = settings.min_tool_calls..=settings.max_tool_calls;
    check.that(!calls.is_empty(), "recipe.min_tool_calls", settings.min_tool_calls, "at most recipe.max_tool_calls");
    check.that((1..=32).contains(&max_subtasks), "recipe.max_subtasks", max_subtasks, "from 1 to 32");
    let is_fit = (1..=max_subtasks).contains(&settings.min_subtasks);
    check.that(is_fit, "recipe.min_subtasks", settings.min_subtasks, "from 1 to recipe.max_subtasks");
    check.that((1..=32).contains(&settings.parallel), "recipe.parallel", settings.parallel, "from 1 to 32");
    check.that((256..=65_536).contains(&settings.page_tokens), "recipe.page_tokens", settings.page_tokens, "from 256 to 65536");
    settings
}

fn cost(t: &CostTable, table: &str, check: &mut Check) -> BudgetSettings {
    check.that(t.wall_s != Some(0), &format!("{table}.wall_s"), 0, "at least 1, or absent");
    BudgetSettings { wall_s: t.wall_s, ..cost_limits(table, [t.completion_tokens, t.prompt_tokens, t.calls], t.money, check) }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<Option<u32>> = text.split('-').map(|part| part.parse().ok()).collect();
    matches!(parts.as_slice(), [Some(year), Some(1..=12), Some(1..=31)] if (1000..=9999).contains(year)) && text.len() == 10
}
