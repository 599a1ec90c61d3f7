//! The part of a system prompt that describes tools and the form of a call, for models that are not told by their server.

use model::ToolDefinition;
use model::settings::Dialect;
use serde_json::json;

use super::spaced::spaced;
use super::typescript;

/// The part of a system prompt that describes the tools, the form of a call, and how what a tool returns is given back, for text dialects.
pub fn instructions(dialect: Dialect, tools: &[ToolDefinition]) -> String {
    let text = match dialect {
        Dialect::Openai | Dialect::Hermes => include_str!("../prompts/tools_hermes.txt"),
        Dialect::Qwen3Coder => include_str!("../prompts/tools_qwen3_coder.txt"),
        Dialect::Harmony => include_str!("../prompts/tools_harmony.txt"),
        Dialect::Deepseek => include_str!("../prompts/tools_deepseek.txt"),
        Dialect::Kimi => include_str!("../prompts/tools_kimi.txt"),
        Dialect::LlamaJson => include_str!("../prompts/tools_llama_json.txt"),
        Dialect::LlamaPythonic => include_str!("../prompts/tools_llama_pythonic.txt"),
        Dialect::Mistral => include_str!("../prompts/tools_mistral.txt"),
        Dialect::Tags => include_str!("../prompts/tools_tags.txt"),
    };
    let described = match dialect {
        Dialect::Harmony => typescript::namespace(tools),
        _ => {
            let lines: Vec<String> = tools.iter().map(|tool| spaced(&json!({"type": "function", "function": tool}))).collect();
            lines.join("\n")
        }
    };
    text.replacen("{tools}", &described, 1)
}
