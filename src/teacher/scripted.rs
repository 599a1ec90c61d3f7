//! A teacher that reads its completions from a script: a recorded journal, or a file written by hand. For tests and demonstrations.
//!
//! Each line names the thread, turn and call it answers; a line without a seed answers for every job. A request that no line answers is a
//! permanent error that says which.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use model::{Completion, Fact, JobId, JournalEntry, JournalKey};
use serde::Deserialize;

use crate::{Request, Teacher, TeacherError, TeacherErrorKind};

/// A script, and how often each of its lines was asked for.
#[derive(Debug, Default)]
pub struct ScriptedTeacher {
    lines: HashMap<(Option<JobId>, JournalKey), Completion>,
    asked: Mutex<HashMap<(JobId, JournalKey), u32>>,
}

/// One line of a script file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    job: Option<JobId>,
    #[serde(default)]
    thread: u32,
    turn: u32,
    #[serde(default)]
    call: u32,
    completion: Completion,
}

impl ScriptedTeacher {
    /// The completions of a recorded journal, for every job.
    pub fn from_journal(entries: impl IntoIterator<Item = JournalEntry>) -> Self {
        let mut teacher = Self::default();
        for entry in entries {
            if let Fact::Completion(completion) = entry.fact {
                teacher.lines.insert((None, entry.key), *completion);
            }
        }
        teacher
    }

    /// The text of a script: one JSON object a line with `turn`, `completion`, and optionally `job`, `thread`, `call`.
    ///
    /// # Errors
    /// The first line that is no such object, by number.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut teacher = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line: Line = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
            let key = JournalKey { thread: line.thread, turn: line.turn, call: line.call };
            teacher.lines.insert((line.job, key), line.completion);
        }
        Ok(teacher)
    }

    /// Requests answered so far, and how many of them were asked before by the same job.
    pub fn requests(&self) -> (u32, u32) {
        let asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let total: u32 = asked.values().sum();
        let distinct = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        (total, total - distinct)
    }
}

#[async_trait]
impl Teacher for ScriptedTeacher {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        let of_job = self.lines.get(&(Some(request.job.clone()), request.key));
        let Some(completion) = of_job.or_else(|| self.lines.get(&(None, request.key))) else {
            let JournalKey { thread, turn, call } = request.key;
            let message = format!("complete job {}: the script has no line for thread {thread}, turn {turn}, call {call}", request.job);
            return Err(TeacherError { kind: TeacherErrorKind::Permanent, message, retry_after: None });
        };
        let mut asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *asked.entry((request.job.clone(), request.key)).or_default() += 1;
        Ok(completion.clone())
    }
}
