//! The summarizer's thread: one report out of all subtask answers, with citations that resolve.

use std::collections::BTreeSet;

use model::protocol::{self, ProtocolTag};
use model::references::{Reference, markers, renumber, split_references, write_references};
use model::{Attribution, Citation, FinishReason, JournalKey, Limit, NoticeKind, Outcome, Thread, ThreadRole, Usage};
use runtime::Failure;
use teacher::{Calls, JournalError, TeacherErrorKind, Tokens};

use super::{Decompose, ending};
use crate::prompts::notice;
use crate::research::{Ending, failed, push};
use crate::speaker::Work;

/// Reports that a summarizer may write; the last one stands, whatever it lacks.
const REPORTS_MAX: u32 = 3;
/// Share of the context, in percent, that the findings may fill: the rest is for reports that are asked for again.
const FINDINGS_PERCENT: u64 = 60;
/// Fewest headings: introduction, body, conclusion; the references are counted by themselves.
const HEADINGS_MIN: usize = 3;

/// The summarizer's part of a trajectory.
pub(super) struct Report {
    pub(super) thread: Thread,
    pub(super) usage: Usage,
    pub(super) ending: Ending,
    pub(super) citations: Vec<Citation>,
}

/// Writes the report on `question`; `None` when the job must hand itself on.
pub(super) async fn write(
    recipe: &Decompose,
    work: &Work<'_>,
    thread: u32,
    question: &str,
    found: &[Thread],
    references: &[Reference],
) -> Result<Option<Report>, Failure> {
    let speaker = &recipe.summarizer;
    let room = u64::from(recipe.settings.context_tokens) * FINDINGS_PERCENT / 100;
    let mut transcript = speaker.open(&findings(question, found, references, speaker.tokens(), room));
    let mut end = ending(Outcome::Empty);
    for turn in 0..REPORTS_MAX {
        if work.pace.must_yield() {
            return Ok(None);
        }
        let is_last = turn + 1 == REPORTS_MAX;
        let completion = match speaker.complete(work, JournalKey { thread, turn, call: 0 }, &transcript, Calls::Offered).await {
            Ok(completion) => completion,
            // What was written so far stands.
            Err(JournalError::Teacher(error)) if error.kind == TeacherErrorKind::ContextOverflow => {
                if end.answer.is_none() {
                    end = Ending { limit: Some(Limit::ContextTokens), ..ending(Outcome::TokenLimit) };
                }
                break;
            }
            Err(error) => return Err(failed(error)),
        };
        let reading = speaker.read(&completion);
        let text = protocol::last_part(&reading.text, ProtocolTag::SuggestedAnswer).unwrap_or(&reading.text).trim().to_owned();
        if completion.finish_reason == FinishReason::ContentFilter || text.len() < 400 && teacher::dialect::refuses(&text) {
            push(&mut transcript, completion, reading, Vec::new());
            if end.answer.is_none() {
                end = ending(Outcome::Refused);
            }
            break;
        }
        let cut = completion.finish_reason == FinishReason::Length;
        let problem = if cut { Some("It was cut off at the length limit.".to_owned()) } else { lacking(&text, references) };
        if !text.is_empty() && !cut {
            end = Ending { answer: Some(text), ..ending(Outcome::Answered) };
        } else if cut && end.answer.is_none() {
            // Half a report is none.
            end = Ending { limit: Some(Limit::CompletionTokens), ..ending(Outcome::TokenLimit) };
        }
        let Some(problem) = problem else {
            push(&mut transcript, completion, reading, Vec::new());
            break;
        };
        let notices = if is_last { Vec::new() } else { vec![notice(NoticeKind::ReportRefused, &problem)] };
        push(&mut transcript, completion, reading, notices);
    }
    let (turns, usage) = transcript.take();
    let written = end.answer.take().map(|text| finished(&text, references));
    let citations = written.as_deref().map(|report| resolve(report, references)).unwrap_or_default();
    end.answer = written;
    let thread = recipe.thread_of(ThreadRole::Summarizer, speaker, work, turns);
    Ok(Some(Report { thread, usage, ending: end, citations }))
}

/// What the summarizer is given: the question, each subtask with its answer, and the references. Answers that together are too long for the
/// context are each cut to an equal share, between lines.
fn findings(question: &str, found: &[Thread], references: &[Reference], tokens: &Tokens, room: u64) -> String {
    let mut text = format!("Question: {question}\n");
    let share = room / (found.len().max(1) as u64);
    for thread in found {
        let subtask = thread.subtask.as_deref().unwrap_or_default();
        let answer = thread.answer.as_deref().unwrap_or("Nothing was found.");
        let answer = within(answer, tokens, share);
        text.push_str(&format!("\n<subtask>\n{subtask}\n</subtask>\n<subtask_answer>\n{answer}\n</subtask_answer>\n"));
    }
    if !references.is_empty() {
        text.push('\n');
        text.push_str(&list(references));
    }
    text
}

fn list(references: &[Reference]) -> String {
    let mut text = "References".to_owned();
    for Reference { number, url, title } in references {
        let separator = if title.is_empty() { "" } else { " - " };
        text.push_str(&format!("\n[{number}]. {url}{separator}{title}"));
    }
    text
}

/// As many lines of `text` as fit `most` tokens; at least the first.
fn within(text: &str, tokens: &Tokens, most: u64) -> String {
    let mut kept = String::new();
    let mut used = 0;
    for line in text.split_inclusive('\n') {
        used += u64::from(tokens.count(line));
        if used > most && !kept.is_empty() {
            kept.push('…');
            break;
        }
        kept.push_str(line);
    }
    kept
}

/// What a report lacks, for the summarizer.
fn lacking(text: &str, references: &[Reference]) -> Option<String> {
    if text.is_empty() {
        return Some("There is no report in it.".to_owned());
    }
    let (body, _) = split_references(text);
    let cited: BTreeSet<u32> = markers(body).into_iter().map(|marker| marker.number).collect();
    let unknown: Vec<String> =
        cited.iter().filter(|number| !references.iter().any(|known| known.number == **number)).map(|n| format!("[{n}]")).collect();
    if !unknown.is_empty() {
        return Some(format!("It cites {}, which the list of references does not have.", unknown.join(", ")));
    }
    if cited.is_empty() && !references.is_empty() {
        return Some("No statement in it has a citation.".to_owned());
    }
    let headings = body.lines().filter(|line| line.trim_start().starts_with('#')).count();
    (headings < HEADINGS_MIN)
        .then(|| "It needs an introduction, a body and a conclusion, each under a heading that begins with ##.".to_owned())
}

/// The report with the list of exactly those references that it cites, each as the corpus has it.
fn finished(text: &str, references: &[Reference]) -> String {
    let (body, _) = split_references(text);
    let cited: BTreeSet<u32> = markers(body).into_iter().map(|marker| marker.number).collect();
    // The numbers stay; how they are written becomes the same everywhere.
    let body = renumber(body, &cited.iter().map(|number| (*number, *number)).collect());
    let used: Vec<Reference> = references.iter().filter(|reference| cited.contains(&reference.number)).cloned().collect();
    if used.is_empty() {
        return body.trim().to_owned();
    }
    format!("{}\n\n{}", body.trim_end(), write_references(&used).trim_end())
}

/// The citations of a finished report, in order of first appearance.
fn resolve(report: &str, references: &[Reference]) -> Vec<Citation> {
    let (body, _) = split_references(report);
    let mut citations: Vec<Citation> = Vec::new();
    let mut seen = BTreeSet::new();
    for number in markers(body).into_iter().map(|marker| marker.number).filter(|number| seen.insert(*number)) {
        let known = references.iter().find(|reference| reference.number == number);
        citations.push(Citation {
            marker: format!("[{number}]"),
            url: known.map(|known| known.url.clone()),
            title: known.map(|known| known.title.clone()).filter(|title| !title.is_empty()),
            lines: None,
            attribution: if known.is_some() { Attribution::Shown } else { Attribution::Unresolved },
        });
    }
    citations
}
