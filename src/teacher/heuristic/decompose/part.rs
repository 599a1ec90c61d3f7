//! Which role a system message asks for, and the numbers it names.

/// A role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Planner,
    Researcher,
    Extractor,
    Summarizer,
    /// Scores a trajectory by a rubric.
    Judge,
}

/// The tag that a role answers in.
const TAGS: [(&str, Part); 4] = [
    ("<subtask_list>", Part::Planner),
    ("<subtask_answer>", Part::Researcher),
    ("<suggested_answer>", Part::Summarizer),
    ("<extract>", Part::Extractor),
];

/// The scores of the rubric, which a judge's instructions name.
pub(super) const SCORES: [&str; 3] = ["coherence", "tool_use", "grounding"];

impl Part {
    /// The role whose tag `system` asks for. A judge may be told of tags too, so its scores are looked for first.
    pub(super) fn of(system: &str) -> Option<Self> {
        if system.contains("JSON") && SCORES.iter().all(|score| system.contains(score)) {
            return Some(Self::Judge);
        }
        TAGS.iter().find(|(tag, _)| system.contains(tag)).map(|(_, part)| *part)
    }
}

/// How far behind its number a noun may stand, in bytes: "at least 5 and at most 8 tool calls".
const NOUN_BYTES: usize = 32;

/// The number in "at least 5 tool calls", for "at least " and "tool call". Texts are read in lower case.
pub(super) fn number(text: &str, phrase: &str, noun: &str) -> Option<usize> {
    text.match_indices(phrase).find_map(|(at, _)| {
        let (number, rest) = leading_number(text.get(at + phrase.len()..)?)?;
        near(rest).contains(noun).then_some(number)
    })
}

/// The numbers in "between 2 and 6 subtasks", for "subtask".
pub(super) fn range(text: &str, noun: &str) -> Option<(usize, usize)> {
    text.match_indices("between ").find_map(|(at, phrase)| {
        let (from, rest) = leading_number(text.get(at + phrase.len()..)?)?;
        let (to, rest) = leading_number(rest.trim_start_matches(['*', ' ']).strip_prefix("and ")?)?;
        near(rest).contains(noun).then_some((from, to))
    })
}

fn leading_number(text: &str) -> Option<(usize, &str)> {
    let text = text.trim_start_matches(['*', ' ']);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?))
}

fn near(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NOUN_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_known_by_the_tag_it_answers_in() {
        assert_eq!(Part::of("Answer with <subtask_list>…</subtask_list>."), Some(Part::Planner));
        assert_eq!(Part::of("Write <think> first, then <subtask_answer>."), Some(Part::Researcher));
        assert_eq!(Part::of("The report stands in <suggested_answer>."), Some(Part::Summarizer));
        assert_eq!(Part::of("Reply with <extract>."), Some(Part::Extractor));
        assert_eq!(Part::of("You answer one question with three tools: search, open and find."), None);
        let judge = "Score the <suggested_answer>. Reply with JSON: {\"coherence\": 0-10, \"tool_use\": 0-10, \"grounding\": 0-10}";
        assert_eq!(Part::of(judge), Some(Part::Judge));
    }

    #[test]
    fn the_numbers_of_the_instructions_are_read() {
        let text =
            "Make at least **5** and at most 8 tool calls. Divide it into between 2 and 6 subtasks. At least 3 sentences.".to_lowercase();
        let text = text.as_str();
        assert_eq!(number(text, "at least ", "tool call"), Some(5));
        assert_eq!(number(text, "at most ", "tool call"), Some(8));
        assert_eq!(range(text, "subtask"), Some((2, 6)));
        assert_eq!(number(text, "at most ", "subtask"), None);
        assert_eq!(number("at least 99999999999999999999999 tool calls", "at least ", "tool call"), None);
    }
}
