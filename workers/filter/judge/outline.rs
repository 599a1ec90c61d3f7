//! An outline of how a question was researched, short enough for a judge: subtasks, thoughts, calls, what they showed and opened, answers.
//!
//! The longest outline that fits is taken, of a few with less and less of each text in them. What no shortening makes fit is cut at the end.
//! The work is bounded by the number of those levels, each linear in the trajectory.

use corpus::count_tokens;
use model::{Action, Observation, Thread, ThreadRole, Trajectory, Turn};

use super::request::{cut, neutral};

/// How much of each text an outline holds, in characters, and how many addresses of a result page.
struct Detail {
    thought: usize,
    call: usize,
    addresses: usize,
    observation: usize,
    answer: usize,
}

const DETAILS: [Detail; 6] = [
    Detail { thought: 1_000, call: 600, addresses: 10, observation: 2_000, answer: 8_000 },
    Detail { thought: 500, call: 400, addresses: 10, observation: 1_000, answer: 6_000 },
    Detail { thought: 300, call: 300, addresses: 6, observation: 500, answer: 4_000 },
    Detail { thought: 150, call: 200, addresses: 4, observation: 200, answer: 2_000 },
    Detail { thought: 60, call: 150, addresses: 2, observation: 60, answer: 1_000 },
    Detail { thought: 0, call: 100, addresses: 0, observation: 0, answer: 400 },
];

/// Longest subtask and longest address, in characters.
const SUBTASK_CHARS_MAX: usize = 600;
const ADDRESS_CHARS_MAX: usize = 200;
/// Tokens kept for the line that says how much was cut, and for the end of each line.
const CUT_LINE_TOKENS: u32 = 16;
const LINE_END_TOKENS: u32 = 1;

/// The research of `trajectory` in at most `tokens_max` tokens.
pub(super) fn outline(trajectory: &Trajectory, tokens_max: u32) -> String {
    let mut lines = Vec::new();
    for detail in &DETAILS {
        lines = all_lines(trajectory, detail);
        let text = lines.join("\n");
        if count_tokens(&text) <= tokens_max {
            return text;
        }
    }
    beginning(&lines, tokens_max)
}

/// As many lines as fit, and how many did not.
fn beginning(lines: &[String], tokens_max: u32) -> String {
    let mut left = tokens_max.saturating_sub(CUT_LINE_TOKENS);
    let mut kept: Vec<&str> = Vec::new();
    for line in lines {
        let needed = count_tokens(line).saturating_add(LINE_END_TOKENS);
        if needed > left {
            break;
        }
        left -= needed;
        kept.push(line);
    }
    let more = lines.len() - kept.len();
    format!("{}\n[… {more} more lines]", kept.join("\n"))
}

fn all_lines(trajectory: &Trajectory, detail: &Detail) -> Vec<String> {
    let mut lines = Vec::new();
    let mut subtasks = 0;
    for thread in trajectory.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher) {
        subtasks += 1;
        match &thread.subtask {
            Some(subtask) => lines.push(format!("Subtask {subtasks}: {}", one_line(subtask, SUBTASK_CHARS_MAX))),
            None => lines.push("Research".to_owned()),
        }
        thread_lines(thread, detail, &mut lines);
    }
    lines.iter().map(|line| neutral(line)).collect()
}

fn thread_lines(thread: &Thread, detail: &Detail, lines: &mut Vec<String>) {
    for (turn, n) in thread.turns.iter().zip(1..) {
        // What a turn without a call says is the subtask's answer, and stands below.
        let said = if turn.actions.is_empty() { None } else { Some(turn.text.as_str()) };
        let thought = [turn.reasoning.as_deref(), said].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let thought = one_line(&thought, detail.thought);
        if !thought.is_empty() {
            lines.push(format!("{n}. thought: {thought}"));
        }
        call_lines(turn, n, detail, lines);
    }
    let answer = thread.answer.as_deref().map_or_else(|| "(none)".to_owned(), |answer| one_line(answer, detail.answer));
    if thread.subtask.is_some() {
        lines.push(format!("Answer: {answer}"));
    }
}

fn call_lines(turn: &Turn, n: u32, detail: &Detail, lines: &mut Vec<String>) {
    for (at, action) in turn.actions.iter().enumerate() {
        lines.push(format!("{n}. call: {}", call(action, detail)));
        let Some(observation) = turn.observations.get(at) else {
            lines.push("   (not carried out)".to_owned());
            continue;
        };
        lines.push(format!("   {}", result(observation, detail)));
        // Where there is an extract, the researcher saw that.
        let seen = observation.extract.as_deref().unwrap_or(&observation.text);
        let excerpt = one_line(seen, detail.observation);
        if !excerpt.is_empty() {
            lines.push(format!("   | {excerpt}"));
        }
    }
}

fn call(action: &Action, detail: &Detail) -> String {
    match &action.unreadable {
        Some(reason) => format!("{} (could not be read: {})", one_line(&action.tool, detail.call), one_line(reason, detail.call)),
        None => {
            let arguments = serde_json::to_string(&action.arguments).unwrap_or_default();
            format!("{} {}", one_line(&action.tool, detail.call), one_line(&arguments, detail.call))
        }
    }
}

/// What a call came to, in a line.
fn result(observation: &Observation, detail: &Detail) -> String {
    let address = |url: &String| one_line(url, ADDRESS_CHARS_MAX);
    if let Some(error) = &observation.error {
        return format!("refused: {}", one_line(error, ADDRESS_CHARS_MAX));
    }
    let opened: Vec<String> = observation.url_opened.iter().chain(&observation.urls_opened_too).map(address).collect();
    if !opened.is_empty() {
        return format!("opened: {}", opened.join(" "));
    }
    let listed: Vec<String> = observation.urls_shown.iter().take(detail.addresses).map(address).collect();
    let more = observation.urls_shown.len() - listed.len();
    match (listed.is_empty(), more) {
        (true, 0) => "showed no document".to_owned(),
        (true, all) => format!("showed {all} documents"),
        (false, 0) => format!("showed: {}", listed.join(" ")),
        (false, more) => format!("showed: {} and {more} more", listed.join(" ")),
    }
}

/// The text in one line of at most `chars_max` characters.
fn one_line(text: &str, chars_max: usize) -> String {
    if chars_max == 0 {
        return String::new();
    }
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), chars_max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn subtasks_thoughts_calls_pages_and_answers_are_outlined_in_order() {
        let mut trajectory = sample::decompose();
        trajectory.threads[2].turns[0].observations[0].error = Some("no_results".into());
        trajectory.threads[2].turns[2].observations.clear();
        let outline = outline(&trajectory, 16_384);
        let mut rest = outline.as_str();
        for expected in [
            "Subtask 1: When was the mill first recorded?\n1. thought: What does a page of 1170 say?\n",
            "1. call: web_search {\"query\":[\"mill records 1170\"],\"num\":5}\n   showed: https://example.org/tidal-mill\n   | [1] Tidal mill\n",
            "2. call: crawl_page {\"url\":[\"https://example.org/tidal-mill\"]}\n   opened: https://example.org/tidal-mill\n",
            "5. thought: That is enough.\nAnswer: The deed is of 1170 [1] .",
            "Subtask 2: Who owned the mill after the abbey?",
            "   refused: no_results\n",
            "   (not carried out)\n",
        ] {
            let at = rest.find(expected);
            rest = at.and_then(|at| rest.get(at + expected.len()..)).unwrap_or_else(|| panic!("{expected} in {outline}"));
        }
    }

    #[test]
    fn an_outline_stays_within_its_tokens_and_shortens_observations_before_it_drops_calls() {
        let mut trajectory = sample::decompose();
        let page = "The mill stands at the mouth of the river, and 潮汐磨坊 beside it. ".repeat(400);
        for turn in trajectory.threads.iter_mut().flat_map(|thread| &mut thread.turns) {
            for observation in &mut turn.observations {
                observation.text = page.clone();
            }
        }
        let long = outline(&trajectory, 8_192);
        let short = outline(&trajectory, 2_048);
        assert!(count_tokens(&long) <= 8_192 && count_tokens(&short) <= 2_048 && short.len() < long.len());
        for outline in [&long, &short] {
            assert_eq!(outline.matches(". call: ").count(), 8, "every call is there: {outline}");
            assert_eq!(outline.matches("Answer: ").count(), 2);
        }
        let cut = outline_of_many(&trajectory, 12, 1_024);
        assert!(count_tokens(&cut) <= 1_024 && cut.contains(" more lines]"), "{cut}");
    }

    fn outline_of_many(trajectory: &Trajectory, times: usize, tokens_max: u32) -> String {
        let mut trajectory = trajectory.clone();
        let thread = trajectory.threads[1].clone();
        trajectory.threads.extend(std::iter::repeat_n(thread, times));
        outline(&trajectory, tokens_max)
    }

    #[test]
    fn a_research_of_one_conversation_is_outlined_without_subtasks() {
        let outline = outline(&sample::trajectory(), 4_096);
        assert!(outline.starts_with("Research\n1. call: search {\"query\":\"oldest tidal mill\""), "{outline}");
        assert!(!outline.contains("Subtask") && !outline.contains("Answer:"));
    }

    proptest! {
        // Each case tokenises up to six outlines, which is slow without optimisation.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_text_is_outlined_within_its_tokens(text in "(\\PC|\n|<<<|<\\|){0,400}", times in 1_usize..12) {
            let mut trajectory = sample::decompose();
            for turn in &mut trajectory.threads[1].turns {
                turn.reasoning = Some(text.repeat(times));
                for observation in &mut turn.observations {
                    observation.text = text.repeat(times);
                }
            }
            let outline = outline(&trajectory, 1_024);
            prop_assert!(count_tokens(&outline) <= 1_024);
            prop_assert!(!outline.contains("<<<"));
        }
    }
}
