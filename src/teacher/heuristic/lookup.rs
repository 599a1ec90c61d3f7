//! What to look up on a page, and where to scroll to when it was found below the window.

use super::evidence::Leaf;
use super::plan::{Move, Planner};
use super::reading::{Page, PageKind};
use super::text::{Word, shortened, words};

/// Words of a phrase that is looked up.
const PATTERN_WORDS: usize = 3;
/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 80;
/// Lines above a match that are shown with it.
const LINES_BEFORE: u32 = 3;

/// Looks up something on the page read last: where the page goes on beyond its window, what the search result quoted from it; else the
/// rarest word of the question.
pub(super) fn find(planner: &Planner<'_>) -> Option<Move> {
    let leaf = planner.evidence.leaves.last()?;
    let page = &leaf.page;
    let is_whole = page.shown.0 == 0 && page.shown.1 >= page.last_line;
    let quoted = if is_whole { None } else { quoted_elsewhere(planner, leaf) };
    let pattern = quoted.or_else(|| rarest_word(planner, leaf, is_whole))?;
    let pattern = shortened(&pattern, PATTERN_BYTES_MAX).to_owned();
    Some(Move::Find { pattern, cursor: page.cursor })
}

/// The rarest word of the question that the window shows, in the page's spelling; if it shows none of them, the rarest of all. A word of the
/// title says little about where on a long page to look.
fn rarest_word(planner: &Planner<'_>, leaf: &Leaf<'_>, is_whole: bool) -> Option<String> {
    let evidence = planner.evidence;
    let shown = leaf.hits.iter().fold(0, |all, hits| all | hits);
    let telling = if is_whole { shown } else { shown & !leaf.title_hits };
    let weight = |number: &usize| evidence.weights.get(*number).copied().unwrap_or_default();
    let is_held = |number: &usize| (telling & (1 << number) != 0, shown & (1 << number) != 0);
    let rank = |a: &usize, b: &usize| is_held(a).cmp(&is_held(b)).then(weight(a).total_cmp(&weight(b))).then(b.cmp(a));
    let term = (0..evidence.question.terms.len()).max_by(rank).and_then(|number| evidence.terms.get(number))?;
    let on_page = leaf.prose.words.iter().find(|word| term.keys.contains(&word.key));
    let as_written = on_page.and_then(|word| leaf.prose.text.get(word.start..word.end));
    Some(as_written.unwrap_or(&term.surface).to_owned())
}

/// The few words of the search result's snippet that hold most of the question, unless the window shows them.
fn quoted_elsewhere(planner: &Planner<'_>, leaf: &Leaf<'_>) -> Option<String> {
    let opened_by = planner.conversation.steps.iter().find(|step| step.page.is_some_and(|page| page.cursor == leaf.page.cursor))?;
    let (id, cursor) = (opened_by.call.id?, opened_by.call.cursor?);
    let entry = planner.evidence.entries.iter().find(|entry| entry.id == id && i64::from(entry.cursor) == cursor)?;
    let mut best: Option<(f32, &str)> = None;
    for part in entry.snippet.split('…') {
        let words = words(part);
        let weights: Vec<f32> = words.iter().map(|word| weight_of(planner, word)).collect();
        for (window, weights) in words.windows(PATTERN_WORDS).zip(weights.windows(PATTERN_WORDS)) {
            let score: f32 = weights.iter().sum();
            let (Some(first), Some(last)) = (window.first(), window.last()) else { continue };
            let Some(text) = part.get(first.start..last.end) else { continue };
            if score > best.map_or(0.0, |(known, _)| known) && !leaf.prose.text.contains(text) {
                best = Some((score, text));
            }
        }
    }
    best.map(|(_, text)| text.to_owned())
}

fn weight_of(planner: &Planner<'_>, word: &Word) -> f32 {
    let evidence = planner.evidence;
    let number = evidence.question.terms.iter().position(|term| term.keys.contains(&word.key));
    number.and_then(|number| evidence.weights.get(number)).copied().unwrap_or_default()
}

/// Goes to the first match of the find just made that lies outside what was shown of its page.
pub(super) fn jump(planner: &Planner<'_>) -> Option<Move> {
    let step = planner.conversation.steps.last().filter(|step| step.call.tool == "find")?;
    let matches = step.page.filter(|page| page.kind == PageKind::Matches)?;
    let cursor = step.call.cursor?;
    let source = planner.evidence.leaves.iter().find(|leaf| i64::from(leaf.page.cursor) == cursor)?.page;
    let is_hidden = |line: &u32| *line < source.shown.0 || *line > source.shown.1;
    let loc = match_lines(&matches).find(is_hidden)?.saturating_sub(LINES_BEFORE);
    Some(Move::Scroll { cursor: source.cursor, loc })
}

/// The line numbers in "match at L12".
fn match_lines<'a>(page: &Page<'a>) -> impl Iterator<Item = u32> + use<'a> {
    page.lines().filter_map(|(_, line)| {
        let (_, after) = line.split_once("match at L")?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}
