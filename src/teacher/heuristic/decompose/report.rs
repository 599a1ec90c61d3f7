//! The summarizer: subtask answers joined into one report, each statement with the numbers it came with.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::references::Reference;
use model::{Message, Role, protocol};

use super::cited::{self, Statement};
use super::trail::{asked, refusals};
use super::untagged;
use super::wording::{Wording, about};
use crate::heuristic::answer::{abridged, key_sentences};
use crate::heuristic::evidence::Evidence;
use crate::heuristic::prose::Prose;
use crate::heuristic::question::Question;
use crate::heuristic::text::shortened;

/// Statements of one section, and what each refusal adds.
const STATEMENTS: usize = 6;
const STATEMENTS_MORE: usize = 3;
/// Text of all sections, in bytes.
const BODY_BYTES_MAX: usize = 16_000;
/// Sections that are written.
const SECTIONS_MAX: usize = 20;
/// The longest title and heading, in bytes.
const HEADING_BYTES_MAX: usize = 120;

/// The longest title in the list of references, in bytes.
const TITLE_BYTES_MAX: usize = 200;

/// A subtask and what was found on it that no earlier section says.
struct Section<'a> {
    subtask: &'a str,
    statements: Vec<Statement>,
    /// Whether something was found at all.
    is_found: bool,
}

/// The report on what the first user message holds.
pub(super) fn write(messages: &[Message]) -> String {
    let message = messages.iter().find(|message| message.role == Role::User).map_or("", |message| message.text.as_str());
    let question = Question::read(&asked(message));
    let wording = Wording::of(question.language);
    let list = message.rsplit_once("</subtask_answer>").map_or(message, |(_, list)| list);
    let references = cited::references(list);
    let statements_max = STATEMENTS + STATEMENTS_MORE * refusals(messages).min(4);
    let sections = sections(message, &references, statements_max);
    let report = Report { question, wording, references, sections };
    let answer = protocol::ProtocolTag::SuggestedAnswer.enclose(&format!("\n{}\n", report.text()));
    format!("<think>{}</think>\n{answer}", wording.reporting)
}

/// The parts `<subtask>…</subtask><subtask_answer>…</subtask_answer>` of a message, as sections.
fn sections<'a>(message: &'a str, references: &BTreeMap<u32, Reference>, statements_max: usize) -> Vec<Section<'a>> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut bytes = 0;
    let mut sections = Vec::new();
    for part in message.split("<subtask>").skip(1).take(SECTIONS_MAX) {
        let (subtask, rest) = part.split_once("</subtask>").unwrap_or((part, ""));
        let answer = rest.split_once("<subtask_answer>").map_or("", |(_, answer)| answer);
        let answer = answer.split("</subtask_answer>").next().unwrap_or(answer);
        let mut found = cited::statements(answer);
        for statement in &mut found {
            let numbers: BTreeSet<u32> = statement.numbers.iter().copied().filter(|number| references.contains_key(number)).collect();
            statement.numbers = numbers.into_iter().collect();
            statement.text = untagged(&statement.text);
        }
        found.retain(|statement| !statement.numbers.is_empty());
        let is_found = !found.is_empty();
        found.retain(|statement| seen.insert(statement.text.to_lowercase()));
        found.truncate(statements_max);
        found.retain(|statement| {
            bytes += statement.text.len();
            bytes <= BODY_BYTES_MAX
        });
        sections.push(Section { subtask: subtask.trim(), statements: found, is_found });
    }
    sections
}

struct Report<'a> {
    question: Question,
    wording: &'static Wording,
    references: BTreeMap<u32, Reference>,
    sections: Vec<Section<'a>>,
}

impl Report<'_> {
    fn text(&self) -> String {
        let wording = self.wording;
        let (keys, exact) = self.key_statements();
        let title = untagged(shortened(self.question.text.trim_end_matches(['?', '？', '。', '.', ' ']), HEADING_BYTES_MAX));
        let opening = about(wording.opening, &untagged(&self.question.text));
        let key_text: String = keys.iter().map(|key| written(key)).collect();
        let mut text = format!("# {title}\n\n## {}\n{opening}{}{key_text}\n", wording.introduction, wording.space);
        for section in &self.sections {
            let heading = untagged(shortened(section.subtask.trim_end_matches(['.', '。', ':', '：']), HEADING_BYTES_MAX));
            let body: String = match section.statements.as_slice() {
                [] if section.is_found => wording.nothing_new.to_owned(),
                [] => wording.nothing.to_owned(),
                statements => statements.iter().map(written).collect(),
            };
            text.push_str(&format!("\n## {heading}\n{body}\n"));
        }
        let end = if keys.is_empty() { wording.nothing.to_owned() } else { format!("{}{}{key_text}", wording.in_short, wording.space) };
        text.push_str(&format!(
            "\n## {}\n{end}\n\nExact Answer: {exact}\n\n## {}\n{}",
            wording.conclusion,
            wording.references,
            self.list()
        ));
        text
    }

    /// The statements that answer the question itself, and the short answer they hold.
    fn key_statements(&self) -> (Vec<&Statement>, String) {
        let statements: Vec<&Statement> = self.sections.iter().flat_map(|section| &section.statements).collect();
        let title_of = |statement: &Statement| {
            statement.numbers.first().and_then(|number| self.references.get(number)).map_or("", |of| of.title.as_str())
        };
        let pages = statements.iter().map(|statement| (title_of(statement), Prose::of_text(statement.text.as_str())));
        let evidence = Evidence::of(&self.question, std::iter::empty(), &[], pages);
        let best = evidence.best();
        let Some(first) = best.first() else {
            return (statements.first().copied().into_iter().collect(), self.wording.not_found.to_owned());
        };
        let (keys, exact) = key_sentences(&evidence, &best, first);
        let mut numbers: Vec<usize> = Vec::new();
        for key in keys {
            if !numbers.contains(&key.leaf) {
                numbers.push(key.leaf);
            }
        }
        let keys = numbers.into_iter().filter_map(|number| statements.get(number).copied()).collect();
        (keys, untagged(&abridged(&cited::unmarked(&exact), HEADING_BYTES_MAX * 2)))
    }

    /// The references that are cited, under their numbers.
    fn list(&self) -> String {
        let cited: BTreeSet<u32> =
            self.sections.iter().flat_map(|section| &section.statements).flat_map(|said| said.numbers.clone()).collect();
        let lines = cited.iter().filter_map(|number| {
            let Reference { url, title, .. } = self.references.get(number)?;
            let title = if title.is_empty() { url } else { title };
            Some(format!("[{number}]. {url} - {}", untagged(shortened(title, TITLE_BYTES_MAX))))
        });
        let lines: Vec<String> = lines.collect();
        if lines.is_empty() { self.wording.none.to_owned() } else { lines.join("\n") }
    }
}

/// A statement with its markers, each between spaces.
fn written(statement: &Statement) -> String {
    let markers: String = statement.numbers.iter().map(|number| format!("[{number}] ")).collect();
    format!("{} {markers}", statement.text)
}
