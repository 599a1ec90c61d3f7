//! One configuration of rules and judge, named by its digest: rules, then judge, then verdict.
//!
//! A verdict is a pure function of the trajectory, the grade and the judge's journaled completions. Rules are asked first; any that rejects
//! spares the judge, so that nothing is spent on what is rejected anyway.

use model::settings::{FilterSettings, Settings};
use std::collections::BTreeMap;

use model::{Digest, Finding, Prompt, Severity, Trajectory, Verdict};
use serde_json::Value;
use teacher::Teacher;

use crate::candidate::Candidate;
pub use crate::judge::JudgeError;
use crate::judge::lexical::Comparison;
use crate::judge::{Judge, Judged};
use crate::rules::{self, RULES_VERSION, hard};
use crate::scores::scores;

/// The marks of a judge of research that its score is the mean of. Those of the report stand beside them, and decide nothing.
const DECIDING: [&str; 3] = ["judge_coherence", "judge_tool_use", "judge_grounding"];

/// A configuration of rules and judge.
#[derive(Debug, Clone)]
pub struct Grade {
    filter: FilterSettings,
    judge: Judge,
    accept_at: f64,
    digest: Digest,
}

impl Grade {
    /// The grade that `settings` describe. `rubric` replaces the built-in rubric of a model judge.
    pub fn new(settings: &Settings, rubric: Option<String>) -> Self {
        let judge = Judge::new(&settings.judge.kind, rubric);
        let identity = sorted(settings.grade_identity()).to_string();
        let prompts: Vec<Digest> = judge.prompts().iter().map(Prompt::digest).collect();
        let version = RULES_VERSION.to_le_bytes();
        let parts = [identity.as_bytes(), version.as_slice()].into_iter().chain(prompts.iter().map(|digest| digest.as_str().as_bytes()));
        Self { filter: settings.filter.clone(), judge, accept_at: settings.judge.accept_at, digest: Digest::of_parts(parts) }
    }

    /// What names this grade: a digest over every threshold, the judge and its sampling, every text the judge is given, and [`RULES_VERSION`].
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Every text that decides what the judge says, for the campaign's prompts folder.
    pub fn prompts(&self) -> Vec<Prompt> {
        self.judge.prompts()
    }

    /// The verdict on a trajectory. A model judge is asked through `teacher`, under journal keys of the thread `JournalKey::JUDGE`.
    ///
    /// # Errors
    /// When the judge cannot be asked, or its judgement cannot be read.
    pub async fn evaluate(&self, trajectory: &Trajectory, teacher: Option<&dyn Teacher>) -> Result<Verdict, JudgeError> {
        let Looked { mut findings, mut scores, comparison } = self.look(trajectory);
        let is_spared = findings.iter().any(|finding| finding.severity == Severity::Hard);
        let judged = if is_spared { None } else { self.judge.judge(trajectory, comparison.as_ref(), teacher).await? };
        if let Some(judged) = &judged {
            scores.insert("judge".to_owned(), judged.report.score);
            scores.extend(judged.marks.iter().map(|(name, mark)| ((*name).to_owned(), *mark)));
            if judged.report.score < self.accept_at {
                findings.push(hard("judge", below(judged, self.accept_at)));
            }
        }
        let accepted = !findings.iter().any(|finding| finding.severity == Severity::Hard);
        let judge = judged.map(|judged| judged.report);
        Ok(Verdict { accepted, grade: self.digest.clone(), findings, scores, judge })
    }

    fn look(&self, trajectory: &Trajectory) -> Looked {
        let candidate = Candidate::of(trajectory);
        let seed = &trajectory.seed;
        let comparison = Comparison::of(&seed.question, &seed.answers, &rules::words(trajectory).unwrap_or_default());
        let scores = scores(&candidate, comparison.as_ref());
        Looked { findings: rules::check(&self.filter, &candidate), scores, comparison }
    }
}

/// All that is said of a trajectory without asking anybody.
struct Looked {
    findings: Vec<Finding>,
    scores: BTreeMap<String, f64>,
    comparison: Option<Comparison>,
}

fn below(judged: &Judged, accept_at: f64) -> String {
    let report = &judged.report;
    let because = match report.correct {
        _ if !judged.marks.is_empty() => {
            let deciding = judged.marks.iter().filter(|(name, _)| DECIDING.contains(name));
            let marks: Vec<String> = deciding.map(|(name, mark)| format!("{name} {mark:.2}")).collect();
            format!(": {}", marks.join(", "))
        }
        Some(true) => ", though it takes the answer for correct".to_owned(),
        Some(false) => ", and takes the answer for incorrect".to_owned(),
        None => String::new(),
    };
    format!("`{}` gives {:.3}, below {accept_at}{because}", report.judge, report.score)
}

/// The value with every object's keys in order, so that its text does not depend on the order of fields in our code.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use model::settings::{Graded, HttpSettings, JudgeKind, JudgeSettings};
    use model::written::CampaignFile;
    use model::{Completion, FinishReason, JournalKey, Role, Usage};
    use teacher::{Request, TeacherError, TeacherErrorKind};

    use super::*;
    use crate::sample;

    /// What a server answers to what is longer than its context.
    const TOO_LONG: &str = "too long";
    const GOOD: &str = r#"{"extracted_answer": "1170", "correct": true, "score": 0.9, "reasons": "as the reference"}"#;

    /// Replies in order; remembers what it was asked.
    struct Replies {
        texts: Vec<&'static str>,
        asked: Mutex<Vec<Request>>,
    }

    impl Replies {
        fn new(texts: &[&'static str]) -> Self {
            Self { texts: texts.to_vec(), asked: Mutex::default() }
        }

        fn asked(&self) -> Vec<Request> {
            self.asked.lock().expect("no test panics while asking").clone()
        }
    }

    #[async_trait]
    impl Teacher for Replies {
        async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
            let mut asked = self.asked.lock().expect("no test panics while asking");
            asked.push(request.clone());
            let Some(text) = self.texts.get(asked.len() - 1) else {
                let retry_after = Some(Duration::from_secs(7));
                return Err(TeacherError { kind: TeacherErrorKind::Outage, message: "reach the server".into(), retry_after });
            };
            if *text == TOO_LONG {
                let message = "the conversation is too long for the server".into();
                return Err(TeacherError { kind: TeacherErrorKind::ContextOverflow, message, retry_after: None });
            }
            let usage = Usage { prompt_tokens: 100, completion_tokens: 10, calls: 1, ..Usage::default() };
            Ok(Completion {
                text: (*text).into(),
                reasoning: None,
                calls: Vec::new(),
                finish_reason: FinishReason::Stop,
                usage,
                model: None,
            })
        }
    }

    fn settings(kind: JudgeKind) -> Settings {
        let text = "[campaign]\nname = \"sample\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n";
        let file = CampaignFile::parse(text).expect("well-formed");
        let settings = file.resolve(std::path::Path::new("/")).expect("valid");
        Settings { judge: JudgeSettings { kind, accept_at: 0.5 }, ..settings }
    }

    fn by_model(endpoint: &str) -> JudgeKind {
        let http = HttpSettings { endpoints: vec![endpoint.into()], timeout_s: 60, ..HttpSettings::default() };
        let (model, grades) = ("grader".into(), Graded::Answer);
        JudgeKind::Http { http: Box::new(http), model, rubric: None, grades, max_completion_tokens: 512, price: None }
    }

    fn of_research(trace_tokens: u32) -> JudgeKind {
        match by_model("http://a/v1") {
            JudgeKind::Http { http, model, rubric, max_completion_tokens, price, .. } => {
                JudgeKind::Http { http, model, rubric, grades: Graded::Research { trace_tokens }, max_completion_tokens, price }
            }
            other => other,
        }
    }

    fn model_grade() -> Grade {
        Grade::new(&settings(by_model("http://127.0.0.1:1/v1")), None)
    }

    #[tokio::test]
    async fn a_good_trajectory_is_accepted_with_all_its_scores() {
        let teacher = Replies::new(&[GOOD]);
        let grade = model_grade();
        let verdict = grade.evaluate(&sample::trajectory(), Some(&teacher)).await.expect("a judgement");
        assert!(verdict.accepted && verdict.findings.is_empty() && verdict.grade == *grade.digest(), "{verdict:?}");
        for name in ["tool_calls", "turns", "citation_precision", "search_hit", "open_hit", "answer_f1", "answer_contains", "judge"] {
            assert!(verdict.scores.contains_key(name), "{name}");
        }
        let report = verdict.judge.expect("a report");
        assert_eq!((report.judge.as_str(), report.words.as_str(), report.correct), ("grader", GOOD, Some(true)));
    }

    #[tokio::test]
    async fn research_is_marked_in_three_respects_and_a_wrong_answer_is_labelled_and_not_rejected() {
        let teacher = Replies::new(&["Fine work.", r#"{"coherence": 9, "tool_use": 6, "grounding": 9, "reasons": "sound"}"#]);
        let grade = Grade::new(&settings(of_research(4_096)), None);
        let mut trajectory = sample::decompose();
        trajectory.seed.answers = vec!["Ada Miller".into()];
        let verdict = grade.evaluate(&trajectory, Some(&teacher)).await.expect("marks");
        assert!(verdict.accepted, "{:?}", verdict.findings);
        for (name, score) in [("judge_coherence", 0.9), ("judge_tool_use", 0.6), ("judge_grounding", 0.9), ("judge", 0.8)] {
            assert!((verdict.scores[name] - score).abs() < 1e-9, "{name}");
        }
        assert!(!verdict.scores.contains_key("judge_insight") && !verdict.scores.contains_key("judge_overall"), "{:?}", verdict.scores);
        assert_eq!((verdict.scores["answer_correct"], verdict.scores["answer_lexical"]), (0.0, 0.0));
        assert_eq!(verdict.judge.expect("a report").correct, Some(false));
        let asked = teacher.asked();
        assert!(
            asked[0].messages[0].text.contains("tool_use: were the tools used")
                && asked[0].messages[1].text.contains("<<<RESEARCH\nSubtask 1")
        );
        let again = &asked[1].messages.last().expect("a message").text;
        assert!(again.contains("no JSON object") && again.contains("\"grounding\""), "{again}");
    }

    #[tokio::test]
    async fn marks_of_the_report_are_recorded_and_decide_nothing() {
        let reply = concat!(
            r#"{"coherence": 9, "tool_use": 6, "grounding": 9, "#,
            r#""comprehensiveness": 1, "insight": 0, "instruction_following": 2, "readability": 1}"#
        );
        let grade = Grade::new(&settings(of_research(4_096)), None);
        let verdict = grade.evaluate(&sample::decompose(), Some(&Replies::new(&[reply]))).await.expect("marks");
        assert!(verdict.accepted, "{:?}", verdict.findings);
        for (name, score) in [
            ("judge", 0.8),
            ("judge_comprehensiveness", 0.1),
            ("judge_insight", 0.0),
            ("judge_instruction_following", 0.2),
            ("judge_readability", 0.1),
            ("judge_overall", 0.1),
        ] {
            assert!((verdict.scores[name] - score).abs() < 1e-9, "{name}");
        }
        let rubric = grade.prompts().into_iter().find(|prompt| prompt.name == "judge.rubric").expect("a rubric");
        for mark in ["comprehensiveness: does", "insight: does", "instruction_following: does", "readability: is"] {
            assert!(rubric.text.contains(mark), "{mark}");
        }
    }

    #[tokio::test]
    async fn poor_research_is_rejected_with_the_marks_that_decided() {
        let teacher = Replies::new(&[r#"{"coherence": 5, "tool_use": "2/10", "grounding": 4, "readability": 9}"#]);
        let grade = Grade::new(&settings(of_research(4_096)), None);
        let verdict = grade.evaluate(&sample::decompose(), Some(&teacher)).await.expect("marks");
        let expected = "`grader` gives 0.367, below 0.5: judge_coherence 0.50, judge_tool_use 0.20, judge_grounding 0.40";
        assert!(!verdict.accepted && verdict.findings[0].message == expected, "{:?}", verdict.findings);
        assert_eq!(verdict.scores["answer_correct"], 1.0);
    }

    #[tokio::test]
    async fn a_hard_finding_spares_the_judge() {
        let teacher = Replies::new(&[GOOD]);
        let mut trajectory = sample::trajectory();
        trajectory.citations.clear();
        let verdict = model_grade().evaluate(&trajectory, Some(&teacher)).await.expect("a verdict");
        assert!(!verdict.accepted && verdict.judge.is_none() && !verdict.scores.contains_key("judge"));
        assert_eq!(teacher.asked().len(), 0);
        assert_eq!(verdict.scores["answer_contains"], 1.0, "what needs no judge is scored all the same");
    }

    #[tokio::test]
    async fn a_note_neither_rejects_nor_spares_the_judge() {
        let teacher = Replies::new(&[GOOD]);
        let mut trajectory = sample::trajectory();
        trajectory.seed.language = Some("tlh".into());
        let verdict = model_grade().evaluate(&trajectory, Some(&teacher)).await.expect("a verdict");
        assert!(verdict.accepted && verdict.findings.len() == 1 && teacher.asked().len() == 1, "{verdict:?}");
    }

    #[tokio::test]
    async fn a_reply_that_cannot_be_read_is_sent_back_once_under_the_next_key() {
        let teacher = Replies::new(&["It is fine.", GOOD]);
        let verdict = model_grade().evaluate(&sample::trajectory(), Some(&teacher)).await.expect("a judgement");
        assert_eq!(
            verdict.judge.expect("a report").usage,
            Usage { prompt_tokens: 200, completion_tokens: 20, calls: 2, ..Usage::default() }
        );
        let asked = teacher.asked();
        let keys: Vec<JournalKey> = asked.iter().map(|request| request.key).collect();
        assert_eq!(keys, [0, 1].map(|call| JournalKey { thread: JournalKey::JUDGE, turn: 0, call }));
        let last = asked[1].messages.last().expect("a message");
        assert!(last.role == Role::User && last.text.contains("no JSON object"), "{last:?}");
    }

    #[tokio::test]
    async fn two_replies_that_cannot_be_read_fail_the_candidate_for_good() {
        let teacher = Replies::new(&["Fine.", "{\"score\": 12}"]);
        let error = model_grade().evaluate(&sample::trajectory(), Some(&teacher)).await.expect_err("no judgement");
        assert_eq!(error.kind, TeacherErrorKind::Permanent);
        assert!(error.message.contains("`score` was 12") && teacher.asked().len() == 2, "{error}");
    }

    #[tokio::test]
    async fn a_judge_with_a_short_context_is_shown_less_and_less() {
        let mut trajectory = sample::decompose();
        let report = trajectory.answer.clone().unwrap_or_default();
        let deeds: Vec<String> = (0..800).map(|n| format!("Deed {n} of {}.", n * 7)).collect();
        trajectory.answer = Some(format!("{report}\n{}", deeds.join("\n")));
        for kind in [by_model("http://a/v1"), of_research(4_096)] {
            let good = if matches!(kind, JudgeKind::Http { grades: Graded::Answer, .. }) {
                GOOD
            } else {
                r#"{"coherence": 9, "tool_use": 9, "grounding": 9}"#
            };
            let teacher = Replies::new(&["Fine.", TOO_LONG, TOO_LONG, good]);
            let verdict = Grade::new(&settings(kind), None).evaluate(&trajectory, Some(&teacher)).await.expect("a judgement");
            assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
            assert_eq!(verdict.judge.expect("a report").usage.calls, 2, "with the reply that could not be read");
            let asked = teacher.asked();
            let keys: Vec<(u32, u32)> = asked.iter().map(|request| (request.key.turn, request.key.call)).collect();
            assert_eq!(keys, [(0, 0), (0, 1), (1, 0), (2, 0)]);
            let length = |at: usize| asked[at].messages[1].text.len();
            assert!(length(2) < length(0) && length(3) * 3 < length(0), "{} {} {}", length(0), length(2), length(3));
        }
    }

    #[tokio::test]
    async fn a_judge_whose_context_is_too_short_for_anything_is_told_of() {
        let error = model_grade().evaluate(&sample::trajectory(), Some(&Replies::new(&[TOO_LONG; 9]))).await.expect_err("too short");
        assert_eq!(error.kind, TeacherErrorKind::ContextOverflow);
        assert!(error.message.contains("halved 4 times") && error.message.contains("longer context"), "{error}");
    }

    #[tokio::test]
    async fn the_judges_server_decides_what_its_error_means() {
        let error = model_grade().evaluate(&sample::trajectory(), Some(&Replies::new(&[]))).await.expect_err("an outage");
        assert_eq!((error.kind, error.retry_after), (TeacherErrorKind::Outage, Some(Duration::from_secs(7))));
        let error = model_grade().evaluate(&sample::trajectory(), None).await.expect_err("nobody to ask");
        assert_eq!(error.kind, TeacherErrorKind::Permanent);
    }

    #[tokio::test]
    async fn a_score_below_accept_at_rejects_with_both_numbers() {
        let lexical = Grade::new(&settings(JudgeKind::Lexical), None);
        let mut trajectory = sample::trajectory();
        assert!(lexical.evaluate(&trajectory, None).await.expect("a verdict").accepted);
        trajectory.seed.answers = vec!["Ada Miller".into()];
        let verdict = lexical.evaluate(&trajectory, None).await.expect("a verdict");
        assert!(!verdict.accepted);
        assert!(verdict.findings[0].message.contains("`lexical` gives 0.000, below 0.5"), "{:?}", verdict.findings);
    }

    #[tokio::test]
    async fn without_a_reference_the_lexical_judge_leaves_it_to_the_rules() {
        let mut trajectory = sample::trajectory();
        trajectory.seed.answers.clear();
        let verdict = Grade::new(&settings(JudgeKind::Lexical), None).evaluate(&trajectory, None).await.expect("a verdict");
        let report = verdict.judge.expect("a report");
        assert!(verdict.accepted && report.correct.is_none() && report.score == 1.0);
        assert!(!verdict.scores.contains_key("answer_f1"));
        let off = Grade::new(&settings(JudgeKind::Off), None).evaluate(&trajectory, None).await.expect("a verdict");
        assert!(off.accepted && off.judge.is_none());
    }

    #[test]
    fn what_decides_verdicts_changes_the_digest_and_how_to_reach_a_judge_does_not() {
        let digest = |settings: &Settings, rubric: Option<&str>| Grade::new(settings, rubric.map(str::to_owned)).digest().clone();
        let plain = settings(by_model("http://a/v1"));
        let base = digest(&plain, None);
        assert_eq!(base, digest(&settings(by_model("http://b/v1")), None));
        assert_ne!(base, digest(&plain, Some("Be kind.")));
        let mut stricter = plain.clone();
        stricter.filter.citations.min = 2;
        let mut higher = plain.clone();
        higher.judge.accept_at = 0.6;
        let JudgeKind::Http { mut http, model, rubric, grades, max_completion_tokens, .. } = by_model("http://a/v1") else {
            panic!("a model")
        };
        http.extra.insert("chat_template_kwargs".into(), serde_json::json!({"enable_thinking": true}));
        let thinking = settings(JudgeKind::Http { http, model, rubric, grades, max_completion_tokens, price: None });
        for other in [thinking, stricter, higher, settings(JudgeKind::Lexical), settings(JudgeKind::Off), settings(of_research(4_096))] {
            assert_ne!(base, digest(&other, None));
        }
        assert_ne!(digest(&settings(of_research(4_096)), None), digest(&settings(of_research(8_192)), None));
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = serde_json::json!({"b": [{"d": 1, "c": 2}], "a": {"z": 1, "y": 2}});
        assert_eq!(sorted(value).to_string(), r#"{"a":{"y":2,"z":1},"b":[{"c":2,"d":1}]}"#);
    }
}
