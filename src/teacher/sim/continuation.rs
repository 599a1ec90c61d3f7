//! Going on where a partial turn of the assistant ends.
//!
//! The played teacher always answers from the start. Where the beginning is its own, what is missing follows to the letter; where somebody
//! else began, the part of the answer follows that fits: the thought, or what comes after it.

const THINK_OPEN: &str = "<think>";
const THINK_CLOSE: &str = "</think>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";

/// What follows `partial`, so that the turn says what `whole` says.
pub(super) fn after(partial: &str, whole: String) -> String {
    let begun = partial.trim_end();
    if begun.is_empty() {
        return whole;
    }
    let space = partial.strip_prefix(begun).unwrap_or_default();
    if let Some(rest) = whole.strip_prefix(begun) {
        return rest.strip_prefix(space).unwrap_or_else(|| rest.trim_start()).to_owned();
    }
    if partial.contains(CHANNEL) {
        let is_final = partial.rsplit(CHANNEL).next().is_some_and(|last| last.starts_with("final"));
        let rest = if is_final { whole.rsplit_once(MESSAGE) } else { whole.split_once(MESSAGE) };
        return rest.map_or(whole.clone(), |(_, rest)| rest.to_owned());
    }
    let thought = whole.strip_prefix(THINK_OPEN);
    if is_thinking(partial) {
        return thought.map_or(whole.clone(), |thought| thought.trim_start().to_owned());
    }
    match thought.and_then(|thought| thought.split_once(THINK_CLOSE)) {
        Some((_, said)) => said.trim_start().to_owned(),
        None => whole,
    }
}

/// Whether the partial turn has said something already that is neither thought nor call.
pub(super) fn has_begun_to_answer(partial: &str) -> bool {
    if partial.contains(CHANNEL) {
        return partial.rsplit(CHANNEL).next().is_some_and(|last| last.starts_with("final"));
    }
    let said = partial.rsplit_once(THINK_CLOSE).map_or(partial, |(_, said)| said);
    // In every dialect a call begins with a bracket, and hardly any answer does.
    let begins_call = said.trim_start().starts_with(['<', '[', '{']) || said.contains("<tool_call>");
    !is_thinking(partial) && !said.trim().is_empty() && !begins_call
}

fn is_thinking(partial: &str) -> bool {
    match (partial.rfind(THINK_OPEN), partial.rfind(THINK_CLOSE)) {
        (Some(open), Some(close)) => open > close,
        (open, _) => open.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_goes_on_where_it_was_left() {
        let whole = "<think>a thought</think>\nThe answer.";
        for (partial, rest) in [
            ("", whole),
            ("\n", whole),
            ("<think>\n", "a thought</think>\nThe answer."),
            ("<think>a th", "ought</think>\nThe answer."),
            ("<think>a thought</think>\n", "The answer."),
            ("<think>a thought</think>", "\nThe answer."),
            ("<think>another thought, ", "a thought</think>\nThe answer."),
            ("<think>\n\n</think>\n\n", "The answer."),
            ("In short: ", "The answer."),
        ] {
            assert_eq!(after(partial, whole.to_owned()), rest, "{partial:?}");
        }
        let whole = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The answer.";
        for (partial, rest) in [
            ("<|channel|>analysis<|message|>hm", "<|end|><|start|>assistant<|channel|>final<|message|>The answer."),
            ("<|channel|>final<|message|>", "The answer."),
        ] {
            assert_eq!(after(partial, whole.to_owned()), rest, "{partial:?}");
        }
    }

    #[test]
    fn only_visible_words_are_the_beginning_of_an_answer() {
        for (partial, has_begun) in [
            ("", false),
            ("<think>\nso", false),
            ("<think>so</think>\n", false),
            ("<think>so</think>\n<tool_call>\n{", false),
            ("Let me see.\n<tool_call>\n{", false),
            ("[TOOL_CALLS]sea", false),
            ("<think>so</think>\nIt is", true),
            ("It is", true),
            ("<|channel|>analysis<|message|>so", false),
            ("<|channel|>final<|message|>", true),
        ] {
            assert_eq!(has_begun_to_answer(partial), has_begun, "{partial:?}");
        }
    }
}
