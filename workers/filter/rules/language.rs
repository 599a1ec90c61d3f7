//! The answer is in the question's language: the one the seed names, else the one the question is told to be in. So are the answers of the
//! subtasks, of which at most one finding tells: of the first that rejects, else of the first that is noted.
//!
//! Citation markers, references, code and addresses are taken off first. A wrong script rejects; a wrong language within one script rejects
//! only when both were told surely, and are no near relatives. What could not be told surely is noted and never rejects.

use model::settings::LanguageRule;
use model::{Finding, Severity, ThreadRole, Trajectory};

use super::told::{Told, are_relatives, of_code, share_a_script, tell};
use super::{hard, note, words};
use crate::plain;

const NAME: &str = "language";
/// Letters of a question from which on its script is no accident.
const QUESTION_LETTERS_MIN: u64 = 12;
/// Letters of a question from which on its language, told surely, is taken for certain. Below, a few foreign names decide.
const QUESTION_LETTERS_SURE: u64 = 40;
/// The same for an answer.
const ANSWER_LETTERS_SURE: u64 = 80;
/// Share of a text in its main script below which it is mixed, and its language a matter of opinion.
const SCRIPT_SHARE_MIN: f64 = 2.0 / 3.0;

pub(super) fn check(rule: &LanguageRule, trajectory: &Trajectory) -> Vec<Finding> {
    let heard = |text: &str| tell(&plain::prose(text)).filter(|told| told.letters >= rule.min_chars);
    let answer = words(trajectory).and_then(|words| heard(&words));
    let subtasks: Vec<(usize, Told)> =
        subtask_answers(trajectory).filter_map(|(number, text)| Some((number, heard(&plain::without_references(text))?))).collect();
    if answer.is_none() && subtasks.is_empty() {
        return Vec::new();
    }
    let seed = &trajectory.seed;
    let (expected, source) = match seed.language.as_deref() {
        Some(code) => match of_code(code) {
            Some(lang) => (Told { lang, sure: true, letters: u64::MAX, script_share: 1.0 }, "by the seed"),
            None => return vec![note(NAME, format!("the seed's language `{code}` is none that can be told; not checked"))],
        },
        None => match tell(&seed.question) {
            Some(told) => (Told { sure: told.sure && told.letters >= QUESTION_LETTERS_SURE, ..told }, "by its words"),
            None => return vec![note(NAME, "the question's language could not be told; not checked".to_owned())],
        },
    };
    let of_answer = answer.and_then(|heard| compare(expected, source, "the answer", heard));
    let of_subtasks = subtasks.into_iter().filter_map(|(number, heard)| {
        let what = format!("the answer of subtask {number}");
        compare(expected, source, &what, heard)
    });
    // The first that rejects, else the first.
    let of_subtasks = of_subtasks.min_by_key(|finding| finding.severity != Severity::Hard);
    of_answer.into_iter().chain(of_subtasks).collect()
}

/// The answers of the subtasks that have one, with the number of each subtask.
fn subtask_answers(trajectory: &Trajectory) -> impl Iterator<Item = (usize, &str)> {
    let researchers = trajectory.threads.iter().filter(|thread| thread.role == ThreadRole::Researcher);
    (1..).zip(researchers).filter_map(|(number, thread)| Some((number, thread.answer.as_deref()?)))
}

/// What is to be said of `what`, a text that was heard in one language where another was expected.
fn compare(expected: Told, source: &str, what: &str, heard: Told) -> Option<Finding> {
    if expected.lang == heard.lang {
        return None;
    }
    let (asked, answered) = (expected.lang.eng_name(), heard.lang.eng_name());
    let said = format!("the question is {asked} {source}, {what} {answered} by {} letters", heard.letters);
    if are_relatives(expected.lang, heard.lang) {
        return Some(note(NAME, format!("{said}; the two are easily taken for each other")));
    }
    let is_mixed = expected.script_share < SCRIPT_SHARE_MIN || heard.script_share < SCRIPT_SHARE_MIN;
    let both_sure = expected.sure && heard.sure && heard.letters >= ANSWER_LETTERS_SURE;
    // Chinese and Japanese share ideographs: there the script alone does not settle it.
    let may_share_a_script = share_a_script(expected.lang, heard.lang) || (is_cjk(expected) && is_cjk(heard));
    if !may_share_a_script && !is_mixed && expected.letters >= QUESTION_LETTERS_MIN {
        return Some(hard(NAME, format!("{said}, in another script")));
    }
    if may_share_a_script && !is_mixed && both_sure {
        return Some(hard(NAME, said));
    }
    Some(note(NAME, format!("{said}; not told surely enough to reject")))
}

fn is_cjk(told: Told) -> bool {
    use whatlang::Lang::{Cmn, Jpn, Kor};
    matches!(told.lang, Cmn | Jpn | Kor)
}

#[cfg(test)]
mod tests {
    use model::Severity;

    use super::*;
    use crate::sample;

    const ENGLISH: &str =
        "The mill at the mouth of the river was first recorded in a grant of land to the abbey, and it worked until the war.";
    const GERMAN: &str =
        "Die Mühle an der Mündung des Flusses wurde zuerst in einer Schenkung an die Abtei erwähnt und lief bis zum Krieg.";
    const CHINESE: &str = "河口的潮汐磨坊最早见于一份把土地赠与修道院的文书，此后一直运转到战争爆发为止。";
    const DANISH: &str =
        "Møllen ved flodens munding blev først nævnt i et gavebrev til klosteret, og den kørte indtil krigen brød ud i landet.";
    const JAPANESE: &str = "河口の潮汐水車は、修道院への土地の寄進状に初めて記録され、戦争が始まるまで動いていた。";

    fn severities(language: Option<&str>, question: &str, answer: &str) -> Vec<Severity> {
        let mut trajectory = sample::answering(answer);
        trajectory.seed.language = language.map(str::to_owned);
        trajectory.seed.question = question.into();
        check(&LanguageRule { min_chars: 60, ..LanguageRule::default() }, &trajectory).into_iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn an_answer_in_the_questions_language_is_accepted_in_four_languages() {
        for text in [ENGLISH, GERMAN, CHINESE, JAPANESE] {
            assert_eq!(severities(None, text, text), [], "{text}");
        }
    }

    #[test]
    fn an_answer_in_another_language_is_rejected() {
        for (question, answer) in
            [(ENGLISH, GERMAN), (GERMAN, ENGLISH), (ENGLISH, CHINESE), (CHINESE, ENGLISH), (CHINESE, JAPANESE), (JAPANESE, CHINESE)]
        {
            assert_eq!(severities(None, question, answer), [Severity::Hard], "{question} / {answer}");
        }
    }

    #[test]
    fn the_seeds_own_word_goes_before_what_its_question_looks_like() {
        assert_eq!(severities(Some("zh"), "Tesla Model S?", CHINESE), []);
        assert_eq!(severities(Some("de"), ENGLISH, ENGLISH), [Severity::Hard]);
        assert_eq!(severities(Some("tlh"), ENGLISH, ENGLISH), [Severity::Note]);
    }

    #[test]
    fn a_short_answer_is_not_told_and_min_chars_decides_what_is_short() {
        assert_eq!(severities(None, CHINESE, "Apple Inc., Cupertino"), []);
        let mut trajectory = sample::answering("Die Mühle lief bis zum Krieg, das weiß hier jedes Kind.");
        trajectory.seed.language = Some("zh".into());
        assert_eq!(check(&LanguageRule { min_chars: 20, ..LanguageRule::default() }, &trajectory).len(), 1);
        assert_eq!(check(&LanguageRule { min_chars: 200, ..LanguageRule::default() }, &trajectory), []);
    }

    #[test]
    fn what_cannot_be_told_surely_is_noted_and_does_not_reject() {
        assert_eq!(severities(None, "Abba Gorkhum?", ENGLISH), [Severity::Note]);
        assert_eq!(severities(None, "1 + 1 = ?", ENGLISH), [Severity::Note]);
        let mixed = "Кто написал Liber servitoris de praeparatione? Мельница у реки, мельница у моря и мельница на холме — которая старше?";
        assert_eq!(severities(None, "Кто написал Liber servitoris?", mixed), [Severity::Note]);
    }

    #[test]
    fn near_relatives_are_noted_and_do_not_reject() {
        assert_eq!(severities(Some("nb"), "Når ble møllen bygget?", DANISH), [Severity::Note]);
        assert_eq!(severities(Some("nb"), "Når ble møllen bygget?", ENGLISH), [Severity::Hard]);
    }

    #[test]
    fn the_titles_of_a_reports_references_are_no_part_of_its_language() {
        let mut report = sample::decompose();
        assert_eq!(check(&LanguageRule::default(), &report), []);
        let titles =
            "[1]. https://example.org/tidal-mill - The very long English title of a page about the mill at the mouth of the river\n"
                .repeat(8);
        report.seed.language = Some("zh".into());
        report.answer = Some(format!("## 引言\n{CHINESE} [1] \n\n## References\n{titles}"));
        assert_eq!(check(&LanguageRule::default(), &report), []);
        report.seed.language = Some("en".into());
        assert_eq!(check(&LanguageRule::default(), &report).len(), 1);
    }

    /// Findings where the final answer is too short to be told, and the subtasks have these answers.
    fn of_subtasks(language: &str, answers: [Option<&str>; 2]) -> Vec<Finding> {
        let mut trajectory = sample::decompose();
        trajectory.seed.language = Some(language.into());
        trajectory.answer = Some("1170".into());
        for (thread, answer) in trajectory.threads.iter_mut().filter(|thread| thread.role == ThreadRole::Researcher).zip(answers) {
            thread.answer = answer.map(str::to_owned);
        }
        check(&LanguageRule::default(), &trajectory)
    }

    #[test]
    fn a_subtask_answered_in_another_language_rejects_and_the_first_one_is_named() {
        for (answers, expected) in [
            ([Some(ENGLISH), Some(GERMAN)], "the question is English by the seed, the answer of subtask 2 German by"),
            ([None, Some(CHINESE)], "the answer of subtask 2 Mandarin by"),
            ([Some(GERMAN), Some(CHINESE)], "the answer of subtask 1 German by"),
        ] {
            let found = of_subtasks("en", answers);
            assert!(found.len() == 1 && found[0].severity == Severity::Hard && found[0].message.contains(expected), "{found:?}");
        }
        assert_eq!(of_subtasks("en", [Some(ENGLISH), None]), []);
        assert_eq!(of_subtasks("en", [Some("Die Mühle."), Some("磨坊")]), [], "a short answer is not told");
    }

    #[test]
    fn of_all_subtasks_that_are_only_noted_one_is_and_none_beside_one_that_rejects() {
        let severities = |answers: [&str; 2]| -> Vec<(Severity, bool)> {
            let found = of_subtasks("nb", answers.map(Some));
            found.into_iter().map(|finding| (finding.severity, finding.message.contains("subtask 1"))).collect()
        };
        assert_eq!(severities([DANISH, DANISH]), [(Severity::Note, true)]);
        assert_eq!(severities([DANISH, ENGLISH]), [(Severity::Hard, false)]);
        assert_eq!(of_subtasks("tlh", [Some(ENGLISH), Some(ENGLISH)]).len(), 1, "what cannot be told is noted once");
    }

    #[test]
    fn the_references_of_a_subtask_are_no_part_of_its_language() {
        let titles = "[1]. https://example.org/tidal-mill - The very long English title of a page about the mill at the river\n".repeat(8);
        let answer = format!("{GERMAN} [1] \n\nReferences\n{titles}");
        assert_eq!(of_subtasks("de", [Some(answer.as_str()), None]), []);
    }

    #[test]
    fn markers_code_and_quoted_names_do_not_count() {
        let code = format!(
            "{CHINESE}\n```python\nprint('this is a rather long line of English text inside of a code block, nothing more')\n```\n"
        );
        assert_eq!(severities(None, CHINESE, &code), []);
        let quoted = format!("{ENGLISH} Its Chinese name is 河口的潮汐磨坊最早见于一份把土地.【3†L1】");
        assert_eq!(severities(None, ENGLISH, &quoted), []);
    }
}
