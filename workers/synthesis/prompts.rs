//! The prompts of the recipes: files, included at build time, versioned by digest in the campaign.
//!
//! A prompt is the whole text as sent. What varies between campaigns (the date a prompt may know, the tool descriptions of a text dialect) is
//! rendered here once per campaign, never per job, so that all jobs share one prefix.

use model::settings::{BrowseSettings, RecipeSettings, Settings, TeacherSettings};
use model::{Limit, Notice, NoticeKind, Prompt, ToolDefinition};

use crate::recipe::with_tools;

pub mod decompose;

const BROWSE_SYSTEM: &str = include_str!("prompts/browse.system.txt");
const NOTICES: &str = include_str!("prompts/notices.txt");

/// Every prompt and tool definition that a campaign with these settings uses.
pub fn prompts_of(settings: &Settings) -> Vec<Prompt> {
    match &settings.recipe {
        RecipeSettings::Browse(browse) => browse_prompts(browse, &settings.teacher),
        RecipeSettings::Decompose(decompose) => decompose::all(decompose, &settings.teacher),
    }
}

/// The system prompt of `browse` without the tool instructions of a text dialect; exports for native tool calls begin with it.
fn browse_system_plain(browse: &BrowseSettings) -> Prompt {
    Prompt { name: "browse.system.plain".into(), text: dated(BROWSE_SYSTEM.trim_end(), browse.as_of.as_deref()) }
}

/// The system prompt of `browse` as sent.
pub(crate) fn browse_system(browse: &BrowseSettings, teacher: &TeacherSettings, tools: &[ToolDefinition]) -> Prompt {
    Prompt { name: "browse.system".into(), text: with_tools(browse_system_plain(browse).text, teacher, tools) }
}

fn browse_prompts(browse: &BrowseSettings, teacher: &TeacherSettings) -> Vec<Prompt> {
    let tools = corpus::definitions(corpus::ToolBox::Browse);
    let definitions = serde_json::to_string_pretty(&tools).unwrap_or_default();
    vec![
        browse_system(browse, teacher, &tools),
        browse_system_plain(browse),
        Prompt { name: "browse.tools".into(), text: definitions },
        Prompt { name: "browse.notices".into(), text: NOTICES.to_owned() },
    ]
}

/// `text`, with the only date that it may know.
fn dated(text: &str, as_of: Option<&str>) -> String {
    match as_of {
        Some(date) => format!("{text}\n\nToday is {date}."),
        None => text.to_owned(),
    }
}

/// How far a budget is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// Which budget.
    pub(crate) limit: Limit,
    /// Used so far.
    pub(crate) used: u64,
    /// The most there is.
    pub(crate) most: u64,
}

/// A notice with numbers: that a budget is nearly, or quite, used up.
pub(crate) fn budget_notice(kind: NoticeKind, level: Level) -> Notice {
    Notice { kind, text: budget_text(template(name_of(kind)), level) }
}

fn budget_text(template: &str, level: Level) -> String {
    let name = match level.limit {
        Limit::Turns => "the number of turns",
        Limit::ToolCalls => "the number of tool calls",
        Limit::ContextTokens => "the length of this conversation in tokens",
        Limit::CompletionTokens => "the number of tokens you may write",
        Limit::PromptTokens => "the number of tokens you may read",
        Limit::Calls => "the number of messages you may write",
        Limit::Money => "the money, in millionths,",
        Limit::WallTime => "the time in milliseconds",
        Limit::Repetition => "the number of repeated calls",
        Limit::FruitlessTurns => "the number of messages without a call or an answer",
    };
    let text = template.replace("{limit}", name).replace("{used}", &level.used.to_string()).replace("{most}", &level.most.to_string());
    capitalised_after_colon(&text)
}

/// A notice without numbers; `problem` fills those that name one.
pub(crate) fn notice(kind: NoticeKind, problem: &str) -> Notice {
    Notice { kind, text: template(name_of(kind)).replace("{problem}", problem) }
}

/// "Notice: the …" reads better as "Notice: The …"; the limit's name opens the sentence.
fn capitalised_after_colon(text: &str) -> String {
    match text.split_once(": t") {
        Some((head, tail)) => format!("{head}: T{tail}"),
        None => text.to_owned(),
    }
}

fn name_of(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::BudgetWarning => "[budget_warning]",
        NoticeKind::FinalAnswerDemanded => "[final_answer_demanded]",
        NoticeKind::ParseError => "[parse_error]",
        NoticeKind::EmptyTurn => "[empty_turn]",
        NoticeKind::Truncated => "[truncated]",
        NoticeKind::Repetition => "[repetition]",
        NoticeKind::NarratedCall => "[narrated_call]",
        NoticeKind::TooFewCalls => "[too_few_calls]",
        NoticeKind::SubtasksRefused => "[subtasks_refused]",
        NoticeKind::ReportRefused => "[report_refused]",
    }
}

/// The line below `name` in the file of notices.
fn template(name: &str) -> &'static str {
    let mut lines = NOTICES.lines();
    lines.find(|line| *line == name);
    lines.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_has_its_text() {
        use NoticeKind::{
            BudgetWarning, EmptyTurn, FinalAnswerDemanded, NarratedCall, ParseError, Repetition, ReportRefused, SubtasksRefused,
            TooFewCalls, Truncated,
        };
        for kind in [
            BudgetWarning,
            FinalAnswerDemanded,
            ParseError,
            EmptyTurn,
            Truncated,
            Repetition,
            NarratedCall,
            TooFewCalls,
            SubtasksRefused,
            ReportRefused,
        ] {
            assert!(template(name_of(kind)).starts_with("Notice: "), "{kind:?}");
        }
        let level = Level { limit: Limit::Turns, used: 8, most: 10 };
        let warning = budget_notice(BudgetWarning, level).text;
        assert!(warning.contains("The number of turns") && warning.contains("8 of 10") && !warning.contains('{'), "{warning}");
        let demanded = decompose::subtask_answer_demanded(level).text;
        assert!(demanded.contains("The number of turns") && demanded.contains("<subtask_answer>"), "{demanded}");
        let next = decompose::next_subtask("q");
        assert!(next.starts_with("Notice: ") && next.contains("called again") && next.ends_with("\nSubtask: q"), "{next}");
    }

    #[test]
    fn prompts_are_rendered_whole_without_a_date_and_name_the_form_of_what_is_asked_for() {
        for (recipe, forms) in [
            ("browse", &["Exact Answer:"][..]),
            ("decompose", &["<subtask_list>", "<subtask_answer>", "<suggested_answer>", "<extract>", "<plan>"][..]),
        ] {
            let text = format!(
                "[campaign]\nname = \"sample\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[recipe]\nkind = \"{recipe}\"\n\
                 [teacher]\nkind = \"heuristic\"\ndialect = \"openai\"\n"
            );
            let file = model::written::CampaignFile::parse(&text).expect("well-formed");
            let prompts = prompts_of(&file.resolve(std::path::Path::new("/")).expect("valid"));
            let systems: Vec<&Prompt> =
                prompts.iter().filter(|prompt| !prompt.name.ends_with(".tools") && !prompt.name.ends_with(".notices")).collect();
            for Prompt { name, text } in &systems {
                assert!(!text.contains(['{', '}']), "{name} has something left to fill in: {text}");
                assert!(!text.contains("Today is"), "{name} knows a date that nobody gave it");
            }
            for form in forms {
                assert!(systems.iter().any(|prompt| prompt.text.contains(form)), "no prompt of {recipe} names {form}");
            }
        }
    }
}
