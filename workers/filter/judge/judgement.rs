//! A model's judgement, read out of whatever text it wrote around it.
//!
//! Models think aloud, fence their JSON, repeat the asked-for form before filling it in, and write numbers and truth values as text. All of
//! that is read; what is missing or out of range is an error that says what, because it is told to the model.

use serde_json::{Map, Value};

/// Opening braces that are tried; the last complete object wins, so the last ones are.
const BRACES_MAX: usize = 256;

/// What a judge said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    pub(super) extracted_answer: Option<String>,
    pub(super) correct: Option<bool>,
    pub(super) score: f64,
}

/// Reads a judgement.
///
/// # Errors
/// What is wrong with it, as a clause that can be put before the model.
pub(super) fn read(text: &str) -> Result<Judgement, String> {
    let spoken = after_thinking(text);
    if spoken.trim().is_empty() {
        return Err("it was empty".to_owned());
    }
    let is_judgement = |object: &Map<String, Value>| object.contains_key("score") || object.contains_key("correct");
    let object = last_object(spoken, is_judgement).ok_or("it held no JSON object with a `score` or `correct` in it")?;
    let correct = read_correct(object.get("correct"))?;
    let score = match (read_score(object.get("score"))?, correct) {
        (Some(score), _) => score,
        (None, Some(correct)) => f64::from(u8::from(correct)),
        (None, None) => return Err("`score` was missing".to_owned()),
    };
    let extracted_answer = object.get("extracted_answer").and_then(Value::as_str).map(str::trim).filter(|answer| !answer.is_empty());
    Ok(Judgement { extracted_answer: extracted_answer.map(str::to_owned), correct, score })
}

/// What follows the last closed `<think>`; all of it when none is closed, since a model cut off while thinking has said nothing else.
pub(super) fn after_thinking(text: &str) -> &str {
    text.rsplit_once("</think>").map_or(text, |(_, spoken)| spoken)
}

/// The last object in `text` that is wanted. Objects inside another are not looked at.
pub(super) fn last_object(text: &str, is_wanted: impl Fn(&Map<String, Value>) -> bool) -> Option<Map<String, Value>> {
    let braces: Vec<usize> = text.match_indices('{').map(|(at, _)| at).collect();
    let skipped = braces.len().saturating_sub(BRACES_MAX);
    let mut found = None;
    let mut end = 0;
    for at in braces.into_iter().skip(skipped) {
        if at < end {
            continue;
        }
        let rest = text.get(at..)?;
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        if let Some(Ok(object)) = stream.next() {
            end = at + stream.byte_offset();
            if is_wanted(&object) {
                found = Some(object);
            }
        }
    }
    found
}

fn read_correct(value: Option<&Value>) -> Result<Option<bool>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(correct)) => Ok(Some(*correct)),
        Some(Value::String(text)) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "correct" => Ok(Some(true)),
            "false" | "no" | "incorrect" => Ok(Some(false)),
            "null" | "none" | "unknown" | "n/a" | "" => Ok(None),
            _ => Err("`correct` was a text other than true, false or null".to_owned()),
        },
        Some(_) => Err("`correct` was neither true, false nor null".to_owned()),
    }
}

fn read_score(value: Option<&Value>) -> Result<Option<f64>, String> {
    let score = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(_) => None,
    };
    match score {
        Some(score) if (0.0..=1.0).contains(&score) => Ok(Some(score)),
        Some(score) => Err(format!("`score` was {score}, which is not between 0 and 1")),
        None => Err("`score` was no number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(correct: Option<bool>, score: f64) -> Judgement {
        Judgement { extracted_answer: Some("1170".into()), correct, score }
    }

    #[test]
    fn a_judgement_is_read_from_any_wrapping() {
        let object = r#"{"extracted_answer": "1170", "correct": true, "score": 0.9, "reasons": "it {agrees}"}"#;
        for text in [
            object.to_owned(),
            format!("```json\n{object}\n```"),
            format!("Here is my grade:\n{object}\nI hope this helps {{}}."),
            format!("<think>maybe {{\"score\": 0.1}}</think>{object}"),
            format!("The form is {{\"score\": number}} or {{\"correct\": null, \"score\": 0}}. Mine: {object}"),
        ] {
            assert_eq!(read(&text), Ok(judged(Some(true), 0.9)), "{text}");
        }
    }

    #[test]
    fn values_written_as_text_are_read() {
        assert_eq!(read(r#"{"extracted_answer":" 1170 ","correct":"No","score":"0.25"}"#), Ok(judged(Some(false), 0.25)));
        assert_eq!(read(r#"{"extracted_answer":"1170","correct":"null","score":1}"#), Ok(judged(None, 1.0)));
        assert_eq!(read(r#"{"extracted_answer":"1170","correct":true}"#), Ok(judged(Some(true), 1.0)));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, problem) in [
            ("", "empty"),
            ("<think>hm</think>\n", "empty"),
            ("The answer is fine.", "no JSON object"),
            ("{\"score\": 0.8", "no JSON object"),
            (r#"{"score": 8}"#, "`score` was 8"),
            (r#"{"score": "good"}"#, "`score` was no number"),
            (r#"{"score": "NaN"}"#, "not between"),
            (r#"{"correct": null}"#, "`score` was missing"),
            (r#"{"correct": "partly", "score": 0.5}"#, "`correct` was a text"),
            (r#"{"correct": 1, "score": 0.5}"#, "neither"),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(problem), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|[{}\":,\n]|\"score\": 0.5){0,200}") {
            if let Ok(judgement) = read(&text) {
                prop_assert!((0.0..=1.0).contains(&judgement.score));
            }
        }
    }
}
