//! The judge: one statement about the answer, by a model with a rubric or by comparing words, or nobody's.
//!
//! A judge gives a score; whether it is enough is the grade's business. What the rules can decide exactly is never asked of a judge.

mod final_line;
mod judgement;
pub(crate) mod lexical;
mod marks;
mod model;
mod normal;
mod outline;
mod request;

use std::time::Duration;

use ::model::settings::JudgeKind;
use ::model::{Digest, JudgeReport, Prompt, Trajectory, Usage};
use lexical::Comparison;
use teacher::{Teacher, TeacherError, TeacherErrorKind};

use self::model::ModelJudge;

/// Trouble with a judgement.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JudgeError {
    /// What kind, in the teacher's words; a judgement that cannot be read is transient.
    pub kind: TeacherErrorKind,
    /// What happened and where; never a key, never model text.
    pub message: String,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
}

impl From<TeacherError> for JudgeError {
    fn from(error: TeacherError) -> Self {
        Self { kind: error.kind, message: format!("ask the judge: {}", error.message), retry_after: error.retry_after }
    }
}

/// What a judge said.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) report: JudgeReport,
    /// The named scores that its score is the mean of, and those of the report that decide nothing; none where it gave one score.
    pub(crate) marks: Vec<(&'static str, f64)>,
}

/// Who judges.
#[derive(Debug, Clone)]
pub(crate) enum Judge {
    /// Nobody.
    Off,
    /// Words are compared.
    Lexical,
    /// A model.
    Model(ModelJudge),
}

impl Judge {
    /// The judge that the settings name; `rubric` replaces the built-in one of a model.
    pub(crate) fn new(kind: &JudgeKind, rubric: Option<String>) -> Self {
        match kind {
            JudgeKind::Off => Self::Off,
            JudgeKind::Lexical => Self::Lexical,
            JudgeKind::Http { model, grades, max_completion_tokens, .. } => {
                Self::Model(ModelJudge::new(model, rubric, *grades, *max_completion_tokens))
            }
        }
    }

    /// Every text that decides what this judge says.
    pub(crate) fn prompts(&self) -> Vec<Prompt> {
        let prompt = |name: &str, text: &str| Prompt { name: name.to_owned(), text: text.to_owned() };
        match self {
            Self::Off => Vec::new(),
            Self::Lexical => vec![prompt("judge.lexical", lexical::RULE)],
            Self::Model(judge) => judge.prompts().iter().map(|(name, text)| prompt(name, text)).collect(),
        }
    }

    /// The judge's report; nothing when nobody judges. `comparison` is that of the answer with its references.
    pub(crate) async fn judge(
        &self,
        trajectory: &Trajectory,
        comparison: Option<&Comparison>,
        teacher: Option<&dyn Teacher>,
    ) -> Result<Option<Judged>, JudgeError> {
        match (self, teacher) {
            (Self::Off, _) => Ok(None),
            (Self::Lexical, _) => Ok(Some(Judged { report: lexical_report(comparison), marks: Vec::new() })),
            (Self::Model(judge), Some(teacher)) => judge.judge(trajectory, comparison, teacher).await.map(Some),
            (Self::Model(judge), None) => Err(JudgeError {
                kind: TeacherErrorKind::Permanent,
                message: format!("ask the judge `{}`: no connection to it was given", judge.name()),
                retry_after: None,
            }),
        }
    }
}

/// Without a reference the lexical judge lets everything pass that the rules let pass, and says so.
fn lexical_report(comparison: Option<&Comparison>) -> JudgeReport {
    JudgeReport {
        judge: "lexical".to_owned(),
        rubric: Digest::of(lexical::RULE.as_bytes()),
        score: comparison.map_or(1.0, |comparison| comparison.score),
        correct: comparison.map(Comparison::is_correct),
        extracted_answer: comparison.and_then(|comparison| comparison.extracted.clone()),
        words: comparison
            .map_or("there is no reference answer to compare with: the rules alone decide", |comparison| &comparison.words)
            .to_owned(),
        halvings: 0,
        usage: Usage::default(),
    }
}
