//! The prompts of the recipe `decompose`.

use model::settings::{DecomposeSettings, TeacherSettings};
use model::{Notice, NoticeKind, Prompt, ToolDefinition};

use super::{Level, NOTICES, budget_text, dated, template};
use crate::recipe::with_tools;

const PLANNER: &str = include_str!("decompose.planner.txt");
const RESEARCHER: &str = include_str!("decompose.researcher.txt");
const SUMMARIZER: &str = include_str!("decompose.summarizer.txt");
const EXTRACTOR: &str = include_str!("decompose.extractor.txt");
const TRACE: &str = include_str!("decompose.trace.txt");

/// Name of the prompt that a student of merged traces stands under, among a campaign's prompts.
pub const TRACE_PROMPT: &str = "decompose.trace.system";
/// Name of the tool definitions among a campaign's prompts.
pub const TOOLS_PROMPT: &str = "decompose.tools";

/// The planner's system prompt.
pub(crate) fn planner(settings: &DecomposeSettings) -> Prompt {
    let text =
        PLANNER.replace("{min_subtasks}", &settings.min_subtasks.to_string()).replace("{max_subtasks}", &settings.max_subtasks.to_string());
    Prompt { name: "decompose.planner".into(), text: dated(text.trim_end(), settings.as_of.as_deref()) }
}

/// A researcher's system prompt as sent.
pub(crate) fn researcher(settings: &DecomposeSettings, teacher: &TeacherSettings, tools: &[ToolDefinition]) -> Prompt {
    let text = RESEARCHER
        .replace("{min_tool_calls}", &settings.min_tool_calls.to_string())
        .replace("{max_tool_calls}", &settings.max_tool_calls.to_string());
    let text = with_tools(dated(text.trim_end(), settings.as_of.as_deref()), teacher, tools);
    Prompt { name: "decompose.researcher".into(), text }
}

/// The summarizer's system prompt.
pub(crate) fn summarizer(settings: &DecomposeSettings) -> Prompt {
    Prompt { name: "decompose.summarizer".into(), text: dated(SUMMARIZER.trim_end(), settings.as_of.as_deref()) }
}

/// The extractor's system prompt.
pub(crate) fn extractor() -> Prompt {
    Prompt { name: "decompose.extractor".into(), text: EXTRACTOR.trim_end().to_owned() }
}

/// Every prompt and tool definition that a `decompose` campaign uses.
pub(super) fn all(settings: &DecomposeSettings, teacher: &TeacherSettings) -> Vec<Prompt> {
    let tools = corpus::definitions(corpus::ToolBox::Web);
    let definitions = serde_json::to_string_pretty(&tools).unwrap_or_default();
    vec![
        planner(settings),
        researcher(settings, teacher, &tools),
        summarizer(settings),
        extractor(),
        Prompt { name: TRACE_PROMPT.into(), text: dated(TRACE.trim_end(), settings.as_of.as_deref()) },
        Prompt { name: TOOLS_PROMPT.into(), text: definitions },
        Prompt { name: "decompose.notices".into(), text: NOTICES.to_owned() },
    ]
}

/// What begins another subtask in a conversation that goes on.
pub(crate) fn next_subtask(subtask: &str) -> String {
    format!("{}\nSubtask: {subtask}", template("[next_subtask]"))
}

/// The notice that a budget is used up, for whoever answers a subtask.
pub(crate) fn subtask_answer_demanded(level: Level) -> Notice {
    Notice { kind: NoticeKind::FinalAnswerDemanded, text: budget_text(template("[final_answer_demanded.subtask]"), level) }
}
