//! The prompts of the recipes: files, included at build time, versioned by digest in the campaign.
//!
//! A prompt is the whole text as sent. What varies between campaigns (the date a prompt may know, the tool descriptions of a text dialect) is
//! rendered here once per campaign, never per job, so that all jobs share one prefix.

use model::settings::{BrowseSettings, Dialect};
use model::{Limit, Notice, NoticeKind, Prompt, ToolDefinition};

const BROWSE_SYSTEM: &str = include_str!("prompts/browse.system.txt");
const NOTICES: &str = include_str!("prompts/notices.txt");

/// The system prompt of `browse` without the tool instructions of a text dialect; exports for native tool calls begin with it.
fn browse_system_plain(browse: &BrowseSettings) -> Prompt {
    let mut text = BROWSE_SYSTEM.trim_end().to_owned();
    if let Some(date) = &browse.as_of {
        text.push_str(&format!("\n\nToday is {date}."));
    }
    Prompt { name: "browse.system.plain".into(), text }
}

/// The system prompt of `browse` as sent.
pub fn browse_system(browse: &BrowseSettings, dialect: Dialect, tools: &[ToolDefinition]) -> Prompt {
    let Prompt { mut text, .. } = browse_system_plain(browse);
    if dialect != Dialect::Openai {
        text.push_str("\n\n");
        text.push_str(teacher::dialect::instructions(tools).trim_end());
    }
    Prompt { name: "browse.system".into(), text }
}

/// Every prompt and tool definition that a `browse` campaign uses.
pub fn browse_prompts(browse: &BrowseSettings, dialect: Dialect) -> Vec<Prompt> {
    let tools = corpus::definitions();
    let definitions = serde_json::to_string_pretty(&tools).unwrap_or_default();
    vec![
        browse_system(browse, dialect, &tools),
        browse_system_plain(browse),
        Prompt { name: "browse.tools".into(), text: definitions },
        Prompt { name: "browse.notices".into(), text: NOTICES.to_owned() },
    ]
}

/// How far a budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Which budget.
    pub limit: Limit,
    /// Used so far.
    pub used: u64,
    /// The most there is.
    pub most: u64,
}

/// The notice that a budget is nearly, or quite, used up.
pub fn budget_notice(kind: NoticeKind, level: Level) -> Notice {
    let name = match level.limit {
        Limit::Turns => "the number of turns",
        Limit::ToolCalls => "the number of tool calls",
        Limit::ContextTokens => "the length of this conversation in tokens",
        Limit::CompletionTokens => "the number of tokens you may write",
        Limit::WallTime => "the time in milliseconds",
        Limit::Repetition => "the number of repeated calls",
        Limit::FruitlessTurns => "the number of messages without a call or an answer",
    };
    let text =
        template(kind).replace("{limit}", name).replace("{used}", &level.used.to_string()).replace("{most}", &level.most.to_string());
    Notice { kind, text: capitalised_after_colon(&text) }
}

/// A notice without numbers; `problem` fills the one about unreadable calls.
pub fn notice(kind: NoticeKind, problem: &str) -> Notice {
    Notice { kind, text: template(kind).replace("{problem}", problem) }
}

/// "Notice: the …" reads better as "Notice: The …"; the limit's name opens the sentence.
fn capitalised_after_colon(text: &str) -> String {
    match text.split_once(": t") {
        Some((head, tail)) => format!("{head}: T{tail}"),
        None => text.to_owned(),
    }
}

fn template(kind: NoticeKind) -> &'static str {
    let name = match kind {
        NoticeKind::BudgetWarning => "[budget_warning]",
        NoticeKind::FinalAnswerDemanded => "[final_answer_demanded]",
        NoticeKind::ParseError => "[parse_error]",
        NoticeKind::EmptyTurn => "[empty_turn]",
        NoticeKind::Truncated => "[truncated]",
        NoticeKind::Repetition => "[repetition]",
    };
    let mut lines = NOTICES.lines();
    lines.find(|line| *line == name);
    lines.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_has_its_text() {
        use NoticeKind::{BudgetWarning, EmptyTurn, FinalAnswerDemanded, ParseError, Repetition, Truncated};
        for kind in [BudgetWarning, FinalAnswerDemanded, ParseError, EmptyTurn, Truncated, Repetition] {
            assert!(template(kind).starts_with("Notice: "), "{kind:?}");
        }
        let level = Level { limit: Limit::Turns, used: 8, most: 10 };
        let warning = budget_notice(BudgetWarning, level).text;
        assert!(warning.contains("The number of turns") && warning.contains("8 of 10") && !warning.contains('{'), "{warning}");
    }
}
