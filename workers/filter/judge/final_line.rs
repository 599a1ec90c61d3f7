//! The line of an answer that says "this is my answer", where it has one.
//!
//! Models asked for an explanation and an exact answer, and many that were not, end with such a line. What it says goes before everything
//! else in the text: an answer that mentions a name on the way and settles for another has not given the first.

/// Labels, in lower case. Longer ones that end in a shorter one come first.
const LABELS: [&str; 17] = [
    "exact answer",
    "final answer",
    "short answer",
    "the answer is",
    "answer",
    "最终答案",
    "最終答案",
    "答案",
    "最終回答",
    "回答",
    "答え",
    "정답",
    "답변",
    "respuesta final",
    "réponse finale",
    "endgültige antwort",
    "окончательный ответ",
];

/// What the last labelled line of `plain` answers: the rest of that line, or the next line when the label stands alone.
pub(super) fn final_line(plain: &str) -> Option<String> {
    let mut found = None;
    let mut label_alone = false;
    for line in plain.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(rest) = after_label(line) {
            label_alone = rest.is_empty();
            if !label_alone {
                found = Some(rest);
            }
        } else if label_alone {
            found = Some(line.to_owned());
            label_alone = false;
        }
    }
    found
}

/// The text without lines that only say how sure the model is.
pub(super) fn without_confidence(plain: &str) -> String {
    let is_confidence = |line: &&str| line.trim_start_matches(['*', '_', ' ']).to_lowercase().starts_with("confidence");
    plain.lines().filter(|line| !is_confidence(line)).collect::<Vec<_>>().join("\n")
}

fn after_label(line: &str) -> Option<String> {
    let line: String = line.chars().filter(|c| !matches!(c, '*' | '_' | '`' | '#')).collect();
    let lower = line.trim().to_lowercase();
    let label = LABELS.iter().find(|label| lower.starts_with(**label))?;
    let rest: String = line.trim().chars().skip(label.chars().count()).collect();
    let rest = rest.trim_start();
    let is_label = rest.is_empty() || rest.starts_with([':', '：']) || *label == "the answer is";
    is_label.then(|| rest.trim_start_matches([':', '：']).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_labelled_line_is_the_answer_in_three_languages() {
        for (text, expected) in [
            ("Explanation: Bergen was first.\n**Exact Answer:** Oslo\nConfidence: 80%", Some("Oslo")),
            ("分析很长。\n答案：东京", Some("东京")),
            ("## Answer\n\nOslo is the capital.\nMore words.", Some("Oslo is the capital.")),
            ("正答は不明。\n最終回答: 大阪", Some("大阪")),
            ("Answer: Bergen\nFinal answer: Oslo", Some("Oslo")),
            ("Answering this is hard.", None),
            ("Answers: many", None),
            ("", None),
        ] {
            assert_eq!(final_line(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn how_sure_a_model_is_is_no_part_of_its_answer() {
        assert_eq!(without_confidence("Oslo\n**Confidence:** 90%"), "Oslo");
    }
}
