//! A model's marks on a piece of research, read out of whatever text it wrote around them.
//!
//! As robust as the reading of a judgement: thoughts, fences and a repeated form are passed over; keys in any spelling, numbers written as
//! text or as `8/10`, and marks that come as objects are read. What is missing or out of range is an error that says what.

use serde_json::{Map, Value};

use super::judgement::{after_thinking, last_object};

/// What the best work gets.
const BEST: f64 = 10.0;
/// The names of the marks, as they are asked for.
const NAMES: [&str; 3] = ["coherence", "tool_use", "grounding"];

/// A judge's marks, each from 0 to 10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marks([f64; 3]);

impl Marks {
    /// Their mean, 0 to 1.
    pub(super) fn score(&self) -> f64 {
        self.0.iter().sum::<f64>() / (self.0.len() as f64 * BEST)
    }

    /// Each as a score from 0 to 1, by its name in a verdict.
    pub(super) fn named(&self) -> Vec<(&'static str, f64)> {
        let [coherence, tool_use, grounding] = self.0.map(|mark| mark / BEST);
        vec![("judge_coherence", coherence), ("judge_tool_use", tool_use), ("judge_grounding", grounding)]
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
    let is_marked = |object: &Map<String, Value>| object.keys().any(|key| mark_named(key).is_some());
    let found = last_object(spoken, |object| is_marked(object) || nested(object).is_some_and(is_marked));
    let found = found.ok_or("it held no JSON object with `coherence`, `tool_use` and `grounding` in it")?;
    let object = if is_marked(&found) { &found } else { nested(&found).unwrap_or(&found) };
    let mut marks = [None; 3];
    for (key, value) in object {
        if let Some(slot) = mark_named(key).and_then(|at| marks.get_mut(at)) {
            *slot = Some(value);
        }
    }
    let mut read = [0.0; 3];
    for ((slot, value), name) in read.iter_mut().zip(marks).zip(NAMES) {
        *slot = mark(name, value)?;
    }
    let is_of_another_scale = read.iter().all(|mark| *mark <= 1.0) && read.iter().any(|mark| mark.fract() > 0.0);
    if is_of_another_scale {
        return Err("its marks seem to be from 0 to 1, where 0 to 10 was asked for".to_owned());
    }
    Ok(Marks(read))
}

/// Marks within another object: `{"scores": {…}}`.
fn nested(object: &Map<String, Value>) -> Option<&Map<String, Value>> {
    object.values().find_map(Value::as_object)
}

/// Which mark a key names: `Tool use`, `tool-use` and `tool_use_appropriateness` are all the second.
fn mark_named(key: &str) -> Option<usize> {
    let key: String = key.trim().chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let key = key.strip_prefix("judge_").unwrap_or(&key);
    // What a judge says about a mark is none.
    let is_comment = ["reason", "comment", "explanation", "rationale", "justification"].iter().any(|word| key.contains(word));
    NAMES.iter().position(|name| !is_comment && (key.starts_with(name) || key.ends_with(name)))
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
            assert_eq!(read(&text), Ok(Marks([8.0, 7.5, 4.0])), "{text}");
        }
    }

    #[test]
    fn the_score_is_the_mean_and_every_mark_has_its_name() {
        let marks = Marks([8.0, 7.0, 3.0]);
        assert!((marks.score() - 0.6).abs() < 1e-9);
        assert_eq!(marks.named(), [("judge_coherence", 0.8), ("judge_tool_use", 0.7), ("judge_grounding", 0.3)]);
        assert_eq!(read(r#"{"coherence": 1, "tool_use": 0, "grounding": 0}"#), Ok(Marks([1.0, 0.0, 0.0])));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, problem) in [
            ("<think>hm</think>", "empty"),
            ("Good work.", "no JSON object"),
            (r#"{"score": 8}"#, "no JSON object"),
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
        fn any_text_is_read_or_refused(text in "(\\PC|[{}\":,\n]|\"coherence\": 5|\"tool_use\": \"3\"|\"grounding\": 9){0,60}") {
            if let Ok(marks) = read(&text) {
                prop_assert!((0.0..=1.0).contains(&marks.score()));
            }
        }
    }
}
