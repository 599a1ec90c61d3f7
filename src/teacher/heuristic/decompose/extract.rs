//! The extractor: the passages of a page that bear on a question, word for word.

use std::collections::BTreeSet;

use model::{Message, Role};

use super::aim::Aim;
use super::trail::{asked, labelled};
use super::wording::Wording;
use crate::heuristic::evidence::{Evidence, Scored};
use crate::heuristic::prose::Prose;
use crate::heuristic::text::{Shape, shortened};

/// Sentences that bear on the question, and further ones that may lead on.
const PASSAGES: usize = 6;
const CLUES: usize = 4;
/// The longest passage, in bytes.
const PASSAGE_BYTES_MAX: usize = 1_500;
/// Links that are kept, and the longest.
const LINKS: usize = 8;
const LINK_BYTES_MAX: usize = 300;

/// The extract of the page in the latest user message.
pub(super) fn write(messages: &[Message]) -> String {
    let message = messages.iter().find(|message| message.role == Role::User).map_or("", |message| message.text.as_str());
    let (head, page) = message.split_once("\nPage [").unwrap_or((message, ""));
    let (heading, text) = page.split_once('\n').unwrap_or((page, ""));
    let title = heading.split_once("]:").map_or("", |(_, title)| title.trim());
    let aim = Aim::of(&asked(head), labelled(head, "Goal:").unwrap_or_default());
    let wording = Wording::of(aim.question.language);
    let evidence = Evidence::of(&aim.focus, std::iter::empty(), &[], [(title, Prose::of_text(text))]);
    let best = evidence.best();
    let (passages, rest) = best.split_at(best.len().min(PASSAGES));
    let clues: Vec<Scored> = rest.iter().filter(|scored| is_clue(&evidence, scored)).take(CLUES).copied().collect();
    let sections = [verbatim(&evidence, passages), verbatim(&evidence, &clues), links(text)];
    let sections = wording.extract.iter().zip(sections).map(|(heading, lines)| {
        let lines = if lines.is_empty() { wording.none.to_owned() } else { lines.join("\n") };
        format!("## {heading}\n{lines}")
    });
    format!("<extract>\n{}\n</extract>", sections.collect::<Vec<_>>().join("\n\n"))
}

/// Sentences as the page has them, in its order.
fn verbatim(evidence: &Evidence<'_>, chosen: &[Scored]) -> Vec<String> {
    let Some(leaf) = evidence.leaves.first() else { return Vec::new() };
    let places: BTreeSet<usize> = chosen.iter().map(|scored| scored.sentence).collect();
    places.into_iter().map(|at| format!("- {}", shortened(leaf.prose.sentence(at), PASSAGE_BYTES_MAX))).collect()
}

/// A name or a number leads on.
fn is_clue(evidence: &Evidence<'_>, of: &Scored) -> bool {
    let Some(leaf) = evidence.leaves.get(of.leaf) else { return false };
    let words = leaf.prose.sentences.get(of.sentence).and_then(|sentence| leaf.prose.words.get(sentence.words.clone()));
    words.is_some_and(|words| words.iter().skip(1).any(|word| matches!(word.shape, Shape::Capital | Shape::Number | Shape::Dense)))
}

/// The addresses that the page's text names, each once.
fn links(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("http") {
        let rest = text.get(at..).unwrap_or_default();
        let rest = rest.get(..rest.floor_char_boundary(LINK_BYTES_MAX)).unwrap_or_default();
        if !rest.starts_with("http://") && !rest.starts_with("https://") {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ')' | ']' | '|')).unwrap_or(rest.len());
        let url = rest.get(..end).unwrap_or_default().trim_end_matches(['.', ',', ';', '。', '，']);
        let line = format!("- {url}");
        if url.len() > "https://".len() && !found.contains(&line) {
            found.push(line);
        }
        if found.len() == LINKS {
            break;
        }
    }
    found
}
