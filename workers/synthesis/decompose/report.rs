//! The summarizer's thread: one report out of all subtask answers, with citations that resolve.

use std::borrow::Cow;
use std::collections::BTreeSet;

use model::protocol::{self, ProtocolTag};
use model::references::{Reference, markers, renumber, split_references, write_references};
use model::report::Sections;
use model::{Attribution, Citation, FinishReason, JournalKey, Limit, NoticeKind, Outcome, Thread, ThreadRole, Usage};
use runtime::Failure;
use teacher::{Calls, JournalError, TeacherErrorKind, Tokens};

use super::{Decompose, ending};
use crate::budget::Limits;
use crate::clock::Clock;
use crate::prompts::notice;
use crate::research::{Ending, failed, push};
use crate::speaker::Work;

/// Reports that a summarizer may write; the last one stands, whatever it lacks.
const REPORTS_MAX: u32 = 3;
/// Share of the context, in percent, that the answers of the subtasks may fill: the rest is for the question, the references, and reports
/// that are asked for again.
const ANSWERS_PERCENT: u64 = 60;
/// The longest word that is not cut in two, in bytes.
const WORD_BYTES_MAX: usize = 120;

/// The summarizer's part of a trajectory.
pub(super) struct Report {
    pub(super) thread: Thread,
    pub(super) usage: Usage,
    pub(super) ending: Ending,
    pub(super) citations: Vec<Citation>,
}

/// Writes the report on `question`, and asks for a better one while there is something `left`; `None` when the job must hand itself on.
pub(super) async fn write(
    recipe: &Decompose,
    work: &Work<'_>,
    thread: u32,
    question: &str,
    found: &[Thread],
    references: &[Reference],
    left: &Limits,
) -> Result<Option<Report>, Failure> {
    let speaker = &recipe.summarizer;
    let room = u64::from(recipe.settings.context_tokens) * ANSWERS_PERCENT / 100;
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    let mut transcript = speaker.open(&findings(question, found, references, speaker.tokens(), room));
    let mut end = ending(Outcome::Empty);
    let mut clock = Clock::new(left);
    let mut refused: Option<String> = None;
    for turn in 0..REPORTS_MAX {
        let key = JournalKey { thread, turn, call: 0 };
        let elapsed = clock.read(work, key).await?;
        if let Some(problem) = refused.take() {
            if left.are_reached(&transcript.used().usage, elapsed) {
                break;
            }
            transcript.push_notice(notice(NoticeKind::ReportRefused, &problem));
        }
        if work.pace.must_yield() {
            return Ok(None);
        }
        let mut completion = match speaker.complete(work, key, &transcript, Calls::Offered).await {
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
        let reading = speaker.read(&mut completion);
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
        push(&mut transcript, completion, reading, Vec::new());
        refused = Some(problem);
    }
    let (turns, usage) = transcript.take();
    let written = end.answer.take().map(|text| finished(&text, references));
    let citations = written.as_deref().map(|report| resolve(report, references)).unwrap_or_default();
    end.answer = written;
    let thread = recipe.thread_of(ThreadRole::Summarizer, speaker, work, turns);
    Ok(Some(Report { thread, usage, ending: end, citations }))
}

/// What the summarizer is given: the question, each subtask with its answer, and the references. Where the answers have more than `room`
/// tokens together, the long ones are cut, each to an equal share of what the short ones leave.
fn findings(question: &str, found: &[Thread], references: &[Reference], tokens: &Tokens, room: u32) -> String {
    let mut text = format!("Question: {question}\n");
    let answers: Vec<&str> = found.iter().map(|thread| thread.answer.as_deref().unwrap_or("Nothing was found.")).collect();
    let wanted: Vec<u32> = answers.iter().map(|answer| tokens.count(answer)).collect();
    for ((thread, answer), share) in found.iter().zip(answers).zip(corpus::shares(&wanted, room)) {
        let subtask = thread.subtask.as_deref().unwrap_or_default();
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

/// `text` if it has at most `most` tokens. Else as many whole lines of it as fit, and a "…" behind them; where they are not even half of
/// `most`, as many words of the next line come too.
fn within<'a>(text: &'a str, tokens: &Tokens, most: u32) -> Cow<'a, str> {
    if tokens.count(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut left = most;
    for line in text.split_inclusive('\n') {
        let count = tokens.count(line);
        if count > left {
            if left > most / 2 {
                kept.push_str(words_within(line, tokens, left));
            }
            break;
        }
        left -= count;
        kept.push_str(line);
    }
    kept.push('…');
    Cow::Owned(kept)
}

/// As many words of `line` as fit `most` tokens. A word that is too long for one, or a script without spaces, is cut between characters.
fn words_within<'a>(line: &'a str, tokens: &Tokens, most: u32) -> &'a str {
    let ends: Vec<usize> = line.char_indices().map(|(at, _)| at).collect();
    let fitting = ends.partition_point(|end| line.get(..*end).is_some_and(|start| tokens.count(start) <= most));
    let end = ends.get(fitting.saturating_sub(1)).copied().unwrap_or(0);
    let start = line.get(..end).unwrap_or_default();
    let word_end = start.rfind(char::is_whitespace).filter(|at| end - at <= WORD_BYTES_MAX);
    word_end.and_then(|at| line.get(..at)).unwrap_or(start).trim_end()
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
    // What the filter's rule `report` would turn down.
    let problems = Sections::of(body).problems(body).join("; ");
    (!problems.is_empty()).then(|| {
        format!(
            "The report lacks something: {problems}. It needs an introduction, a body and a conclusion, each under a heading that begins \
             with ##."
        )
    })
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

#[cfg(test)]
mod tests {
    use model::Digest;

    use super::*;

    const REPORT: &str = "## Introduction\nAsked was much.\n\n## Bridges\nIt was Edevane [1] .\n\n## Conclusion\nSure.\n";

    fn reference(number: u32) -> Reference {
        Reference { number, url: format!("https://e.org/{number}"), title: String::new() }
    }

    fn found(answers: &[&str]) -> Vec<Thread> {
        let thread = |(number, answer): (usize, &&str)| Thread {
            subtask: Some(format!("subtask {number}")),
            answer: Some((*answer).to_owned()),
            ..Thread::new(ThreadRole::Researcher, Digest::of(b"prompt"), Vec::new())
        };
        answers.iter().enumerate().map(thread).collect()
    }

    #[test]
    fn answers_are_cut_only_when_together_they_have_no_room_and_then_the_long_ones() {
        let tokens = Tokens::default();
        let long = "The mill at Marl was built of stone.\n".repeat(40);
        let all = tokens.count("Short.") * 2 + tokens.count(&long);
        let threads = found(&["Short.", &long, "Short."]);
        let given = findings("Who?", &threads, &[reference(1)], &tokens, all);
        assert!(given.contains(&long) && !given.contains('…'), "one long answer takes what the short ones leave: {given}");
        assert!(
            given.starts_with("Question: Who?\n\n<subtask>\nsubtask 0\n") && given.ends_with("References\n[1]. https://e.org/1"),
            "{given}"
        );
        let given = findings("Who?", &threads, &[], &tokens, all / 2);
        assert_eq!((given.matches("\nShort.\n").count(), given.matches("built of stone.\n…\n").count()), (2, 1), "{given}");
        assert!(given.matches("built of stone.").count() > 15, "{given}");
    }

    #[test]
    fn a_text_is_cut_behind_a_line_or_in_a_long_line_behind_a_word() {
        let tokens = Tokens::default();
        let lines = "One mill stood here.\nAnother mill stood there.\n";
        assert_eq!(within(lines, &tokens, tokens.count(lines)), lines);
        assert_eq!(within(lines, &tokens, tokens.count(lines) - 1), "One mill stood here.\n…");
        let line = "One mill stood here, another mill stood there, and a third one burnt before anybody saw it.";
        for most in 2..tokens.count(line) {
            let cut = within(line, &tokens, most);
            assert!(tokens.count(&cut) <= most + 2, "{most}: {cut}");
            let start = cut.strip_suffix('…').expect("it says that there was more");
            assert!(line.strip_prefix(start).is_some_and(|rest| start.is_empty() || rest.starts_with(' ')), "{most}: {cut}");
        }
        let below = format!("## Answer\n{line}");
        let cut = within(&below, &tokens, 12);
        assert!(cut.starts_with("## Answer\nOne mill stood") && cut.ends_with('…'), "a heading alone is no answer: {cut}");
    }

    #[test]
    fn a_line_without_spaces_is_cut_too() {
        let tokens = Tokens::default();
        for line in ["水车建于一一七〇年，".repeat(60), "a1-".repeat(400)] {
            let cut = within(&line, &tokens, 50);
            assert!((40..=52).contains(&tokens.count(&cut)) && cut.ends_with('…'), "{cut}");
        }
    }

    #[test]
    fn a_report_without_one_of_its_sections_is_told_which() {
        let references = [reference(1)];
        assert_eq!(lacking(REPORT, &references), None);
        let missing = lacking(&REPORT.replace("## Introduction", "## What is asked"), &references).expect("no introduction");
        assert!(missing.starts_with("The report lacks something: no heading of introduction. It needs an introduction"), "{missing}");
        let empty = lacking(&REPORT.replace("Sure.\n", ""), &references).expect("no conclusion");
        assert!(empty.contains("the conclusion is empty"), "{empty}");
        let both = REPORT.replace("## Introduction\n", "").replace("## Conclusion\n", "");
        let both = lacking(&both, &references).expect("neither");
        assert!(both.contains("no heading of introduction; no heading of conclusion"), "{both}");
    }

    #[test]
    fn a_report_is_not_asked_for_again_for_the_form_or_the_language_of_its_headings() {
        let references = [reference(1)];
        for report in
            ["**引言**\n磨坊。\n\n**正文**\n建于 1170 年 [1] 。\n\n**结论**\n古老。", "Einleitung\n\na\n\n### Bau\nb [1]\n\nFazit\n\nc"]
        {
            assert_eq!(lacking(report, &references), None, "{report}");
        }
    }

    #[test]
    fn a_report_cites_and_cites_only_what_is_listed() {
        assert!(lacking(REPORT, &[reference(2)]).is_some_and(|problem| problem.contains("[1]")));
        assert!(lacking(&REPORT.replace(" [1] ", ""), &[reference(1)]).is_some_and(|problem| problem.contains("citation")));
        assert_eq!(lacking("", &[]).as_deref(), Some("There is no report in it."));
    }
}
