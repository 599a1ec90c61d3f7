//! A model's marks on a piece of research, read out of whatever text it wrote around them.
//!
//! As robust as the reading of a judgement: thoughts, fences and a repeated form are passed over; keys in any spelling, numbers written as
//! text or as `8/10`, and marks that come as objects are read. Three marks of the research must be there: what is missing or out of range is an
//! error that says what. Four marks of the report alone are read where they are given, and decide nothing.

use serde_json::{Map, Value};

use super::judgement::{after_thinking, last_object};

/// What the best work gets.
const BEST: f64 = 10.0;
/// The names of the marks of the research, as they are asked for.
const RESEARCH: [&str; 3] = ["coherence", "tool_use", "grounding"];
/// The names of the marks of the report, as they are asked for and as scores of a verdict. They are the dimensions of RACE, the measure that
/// O-Researcher's results are given in.
const REPORT: [(&str, &str); 4] = [
    ("comprehensiveness", "judge_comprehensiveness"),
    ("insight", "judge_insight"),
    ("instruction_following", "judge_instruction_following"),
    ("readability", "judge_readability"),
];

/// A judge's marks, each from 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marks {
    research: [f64; 3],
    report: [Option<f64>; 4],
}

impl Marks {
    /// The mean of those of the research, 0 to 1.
    pub(super) fn score(&self) -> f64 {
        self.research.iter().sum::<f64>() / (self.research.len() as f64 * BEST)
    }

    /// Each as a score from 0 to 1, by its name in a verdict; `judge_overall` is the mean of the report's when all of them are there.
    pub(super) fn named(&self) -> Vec<(&'static str, f64)> {
        let [coherence, tool_use, grounding] = self.research.map(|mark| mark / BEST);
        let mut named = vec![("judge_coherence", coherence), ("judge_tool_use", tool_use), ("judge_grounding", grounding)];
        named.extend(REPORT.into_iter().zip(self.report).filter_map(|((_, name), mark)| Some((name, mark? / BEST))));
        named.extend(self.overall().map(|overall| ("judge_overall", overall)));
        named
    }

    fn overall(&self) -> Option<f64> {
        let sum = self.report.into_iter().sum::<Option<f64>>()?;
        Some(sum / (self.report.len() as f64 * BEST))
    }
}

/// Reads marks.
///
/// # Errors
/// What is wrong with them, as a clause that can be put before the model.
pub(super) fn read(text: &str) -> Result<Marks, String> {
    let spoken = after_thinking(text);
    if spoken.trim().is_empty() {
        return Err("it was empty".to_owned());
    }
    let found = last_object(spoken, |object| objects(object).any(is_marked));
    let found = found.ok_or("it held no JSON object with `coherence`, `tool_use` and `grounding` in it")?;
    let object = objects(&found).find(|object| is_marked(object)).unwrap_or(&found);
    let mut marks = [None; 3];
    for (key, value) in object {
        if let Some(slot) = mark_named(key).and_then(|at| marks.get_mut(at)) {
            *slot = Some(value);
        }
    }
    let mut read = [0.0; 3];
    for ((slot, value), name) in read.iter_mut().zip(marks).zip(RESEARCH) {
        *slot = mark(name, value)?;
    }
    let is_of_another_scale = read.iter().all(|mark| *mark <= 1.0) && read.iter().any(|mark| mark.fract() > 0.0);
    if is_of_another_scale {
        return Err("its marks seem to be from 0 to 1, where 0 to 10 was asked for".to_owned());
    }
    Ok(Marks { research: read, report: of_report(&found) })
}

/// The object, then those within it: marks may come as `{"scores": {…}}`, and those of the report as `{…, "report": {…}}`.
fn objects(object: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    std::iter::once(object).chain(object.values().filter_map(Value::as_object))
}

/// Whether a mark of the research is in it.
fn is_marked(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| mark_named(key).is_some())
}

/// The marks of the report. One that cannot be used counts as not given: it decides nothing, and a judgement that was paid for is not thrown
/// away for it.
fn of_report(found: &Map<String, Value>) -> [Option<f64>; 4] {
    REPORT.map(|(name, _)| {
        let mut values = objects(found).flatten().filter(|(key, _)| is_named(key, name));
        values.find_map(|(_, value)| mark(name, Some(value)).ok())
    })
}

/// Which mark of the research a key names.
fn mark_named(key: &str) -> Option<usize> {
    RESEARCH.iter().position(|name| is_named(key, name))
}

/// Whether a key names a mark: `Tool use`, `tool-use` and `tool_use_appropriateness` are all `tool_use`.
fn is_named(key: &str, name: &str) -> bool {
    let key: String = key.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let key = key.strip_prefix("judge_").unwrap_or(&key);
    // What a judge says about a mark is none.
    let is_comment = ["reason", "comment", "explanation", "rationale", "justification"].iter().any(|word| key.contains(word));
    !is_comment && (key.starts_with(name) || key.ends_with(name))
}

fn mark(name: &str, value: Option<&Value>) -> Result<f64, String> {
    let value = match value {
        None | Some(Value::Null) => return Err(format!("`{name}` was missing")),
        Some(Value::Object(object)) => ["score", "mark", "value", "rating"].iter().find_map(|key| object.get(*key)).unwrap_or(&Value::Null),
        Some(value) => value,
    };
    let mark = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number(text),
        _ => None,
    };
    match mark {
        Some(mark) if (0.0..=BEST).contains(&mark) => Ok(mark),
        Some(mark) => Err(format!("`{name}` was {mark}, which is not between 0 and 10")),
        None => Err(format!("`{name}` was no number")),
    }
}

/// `8`, `8/10` or `8 out of 10`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let of_ten = text.split_once('/').or_else(|| text.split_once("out of")).filter(|(_, whole)| whole.trim() == "10");
    of_ten.map_or(text, |(mark, _)| mark.trim()).parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_research(research: [f64; 3]) -> Marks {
        Marks { research, report: [None; 4] }
    }

    #[test]
    fn marks_are_read_from_any_wrapping() {
        let object = r#"{"coherence": 8, "tool_use": 7.5, "grounding": 4, "reasons": "some {claims} lack a page"}"#;
        for text in [
            object.to_owned(),
            format!("```json\n{object}\n```"),
            format!("<think>{{\"coherence\": 1}}</think>My marks:\n{object}\nThat is all {{}}."),
            format!("The form is {{\"coherence\": 0, \"tool_use\": 0, \"grounding\": 0}}. Mine: {object}"),
            format!("{{\"scores\": {object}, \"reasons\": \"as above\"}}"),
            r#"{"Coherence": "8/10", "Tool use": {"score": 7.5, "reason": "r"}, "evidence grounding": "4 out of 10"}"#.to_owned(),
            r#"{"coherence": 8, "coherence_reason": "clear", "tool_use": 7.5, "grounding": 4}"#.to_owned(),
            r#"{"coherence_score": "8", "tool-use appropriateness": "7.5", "judge_grounding": 4.0}"#.to_owned(),
        ] {
            assert_eq!(read(&text), Ok(of_research([8.0, 7.5, 4.0])), "{text}");
        }
    }

    #[test]
    fn the_score_is_the_mean_and_every_mark_has_its_name() {
        let marks = of_research([8.0, 7.0, 3.0]);
        assert!((marks.score() - 0.6).abs() < 1e-9);
        assert_eq!(marks.named(), [("judge_coherence", 0.8), ("judge_tool_use", 0.7), ("judge_grounding", 0.3)]);
        assert_eq!(read(r#"{"coherence": 1, "tool_use": 0, "grounding": 0}"#), Ok(of_research([1.0, 0.0, 0.0])));
    }

    #[test]
    fn marks_of_the_report_are_read_where_they_are_given_and_are_no_part_of_the_score() {
        let research = r#""coherence": 8, "tool_use": 7, "grounding": 3"#;
        let report = r#""comprehensiveness": 9, "insight": "5/10", "Instruction following": {"score": 8}, "readability_score": 6"#;
        for text in [
            format!("{{{research}, {report}}}"),
            format!("{{{report}, {research}, \"insights\": \"two of weight\"}}"),
            format!("{{{research}, \"report\": {{{report}}}, \"reasons\": \"sound\"}}"),
            format!("{{\"report\": {{{report}}}, \"research\": {{{research}}}}}"),
        ] {
            let marks = read(&text).expect(&text);
            assert_eq!(marks, Marks { report: [Some(9.0), Some(5.0), Some(8.0), Some(6.0)], ..of_research([8.0, 7.0, 3.0]) }, "{text}");
            assert!((marks.score() - 0.6).abs() < 1e-9);
            let beside = [
                ("judge_comprehensiveness", 0.9),
                ("judge_insight", 0.5),
                ("judge_instruction_following", 0.8),
                ("judge_readability", 0.6),
                ("judge_overall", 0.7),
            ];
            assert_eq!(marks.named().get(3..), Some(beside.as_slice()));
        }
    }

    #[test]
    fn a_mark_of_the_report_that_cannot_be_used_is_not_given_and_then_there_is_none_overall() {
        for unusable in ["null", "\"high\"", "80", "-1", "{\"reason\": \"r\"}"] {
            let text = format!(
                "{{\"coherence\": 8, \"tool_use\": 7, \"grounding\": 3, \"comprehensiveness\": 9, \"insight\": {unusable}, \
                 \"instruction_following\": 8, \"readability\": 6}}"
            );
            let marks = read(&text).expect(&text);
            assert_eq!(marks.report, [Some(9.0), None, Some(8.0), Some(6.0)], "{text}");
            let names: Vec<&str> = marks.named().into_iter().skip(3).map(|(name, _)| name).collect();
            assert_eq!(names, ["judge_comprehensiveness", "judge_instruction_following", "judge_readability"]);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, problem) in [
            ("<think>hm</think>", "empty"),
            ("Good work.", "no JSON object"),
            (r#"{"score": 8}"#, "no JSON object"),
            (r#"{"comprehensiveness": 8, "insight": 7, "instruction_following": 9, "readability": 6}"#, "no JSON object"),
            (r#"{"coherence": 8, "tool_use": 7}"#, "`grounding` was missing"),
            (r#"{"coherence": 8, "tool_use": null, "grounding": 3}"#, "`tool_use` was missing"),
            (r#"{"coherence": 80, "tool_use": 7, "grounding": 3}"#, "`coherence` was 80"),
            (r#"{"coherence": "NaN", "tool_use": 7, "grounding": 3}"#, "not between"),
            (r#"{"coherence": "high", "tool_use": 7, "grounding": 3}"#, "`coherence` was no number"),
            (r#"{"coherence": 8, "tool_use": {"reason": "r"}, "grounding": 3}"#, "`tool_use` was no number"),
            (r#"{"coherence": "8/100", "tool_use": 7, "grounding": 3}"#, "`coherence` was no number"),
            (r#"{"coherence": 0.8, "tool_use": 1, "grounding": 0.5}"#, "from 0 to 1"),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|[{}\":,\n]|\"coherence\": 5|\"tool_use\": \"3\"|\"grounding\": 9|\"insight\": 7){0,60}") {
            if let Ok(marks) = read(&text) {
                prop_assert!((0.0..=1.0).contains(&marks.score()));
            }
        }
    }
}
