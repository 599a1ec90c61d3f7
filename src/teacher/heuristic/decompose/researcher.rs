//! The researcher of a subtask: searches, crawls the pages that promise most, and answers with what they say.
//!
//! The stage is read off the calls made so far, two searches to three pages. Pages are weighed only when their sentences are needed; whether a
//! page is worth reading follows from the results alone.

use std::collections::HashSet;

use model::settings::Dialect;
use model::{Message, protocol};
use serde_json::{Map, Value, json};

use super::aim::Aim;
use super::cited::{URL_BYTES_MAX, unmarked};
use super::trail::Trail;
use super::wording::{Wording, about};
use super::{part, queries, quotes, untagged};
use crate::heuristic::evidence::{Entry, Evidence};
use crate::heuristic::plan::{COVERAGE_STRONG, Dice};
use crate::heuristic::prose::Prose;
use crate::heuristic::query::Known;
use crate::heuristic::reading::{Conversation, Demand};
use crate::heuristic::text::{key, mix, shortened, words};
use crate::{Calls, dialect};

/// Tool calls, where the instructions name no numbers; those of O-Researcher.
const CALLS: (usize, usize) = (5, 8);
/// Queries of one search.
const QUERIES: usize = 2;
/// Results we ask for.
const RESULTS: u32 = 10;
/// Calls beyond what we set out to make, while the evidence is weak.
const EXTRA_CALLS: usize = 2;
/// Sentences of an answer, and those of one page.
const QUOTES: usize = 5;
const QUOTES_OF_PAGE: usize = 2;
/// The longest text that is mentioned in a thought or as a title, in bytes.
const MENTION_BYTES_MAX: usize = 160;

/// One call to make.
enum Move {
    Search { queries: Vec<String> },
    Crawl { urls: Vec<String>, title: String },
}

/// What there is to decide with.
struct Researcher<'r> {
    aim: &'r Aim,
    trail: &'r Trail<'r>,
    wording: &'static Wording,
    dice: Dice,
}

fn mention(text: &str) -> String {
    untagged(shortened(text, MENTION_BYTES_MAX))
}

/// The words of a query, in no order.
fn keys(query: &str) -> Vec<u64> {
    let mut keys: Vec<u64> = words(query).iter().map(|word| word.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A call, or the answer to the subtask.
pub(super) fn next_text(system: &str, messages: &[Message], calls: Calls, seed: Option<u64>) -> String {
    let conversation = Conversation::read(messages);
    let trail = Trail::of(&conversation);
    let aim = Aim::of(&trail.question, &trail.subtask);
    let system = system.to_lowercase();
    let most = part::number(&system, "at most ", "tool call").unwrap_or(CALLS.1);
    let fewest = part::number(&system, "at least ", "tool call").unwrap_or(CALLS.0).min(most);
    let of_question = mix(key(&aim.question.text), key(&aim.subtask.text));
    let wording = Wording::of(aim.question.language);
    let researcher = Researcher { aim: &aim, trail: &trail, wording, dice: Dice { seed, of_question } };
    let must_answer = calls == Calls::Forbidden || trail.demand == Demand::Answer || trail.made >= most;
    match if must_answer { None } else { researcher.next_move(fewest, most) } {
        Some(made) => researcher.written(&made),
        None => researcher.answer(),
    }
}

impl Researcher<'_> {
    /// The next call; none when it is time to answer, or nothing new can be asked.
    fn next_move(&self, fewest: usize, most: usize) -> Option<Move> {
        let made = self.trail.made;
        let meant = fewest + self.dice.pick((most - fewest).min(EXTRA_CALLS) + 1, 17);
        let is_hasty = self.trail.demand == Demand::Haste && made >= fewest;
        if is_hasty || made >= meant + EXTRA_CALLS || made >= meant && self.is_strong() {
            return None;
        }
        if self.trail.searches * 3 <= self.trail.crawls * 2 {
            return self.search().or_else(|| self.crawl());
        }
        self.crawl().or_else(|| self.search())
    }

    fn search(&self) -> Option<Move> {
        let mut plain = queries::plain(self.aim);
        let turn = self.dice.pick(plain.len().min(3), 2 + self.trail.searches as u64);
        plain.rotate_left(turn);
        let mut candidates = Vec::new();
        if !self.trail.pages.is_empty() {
            let evidence = self.of_pages();
            let best = evidence.best();
            let shortest = plain.iter().min_by_key(|query| query.len()).map_or("", String::as_str);
            let known = Known { evidence: &evidence, best: &best, searched: self.trail.queries.clone() };
            // Terms of an unspaced script are pairs of characters, of which no query can be made.
            let learnt = match queries::is_unspaced(&self.aim.question) {
                true => known.name_near().map(|name| format!("{shortest} {name}")),
                false => known.queries(shortest).into_iter().next(),
            };
            candidates.extend(learnt);
        }
        candidates.extend(plain);
        candidates.extend(queries::spare(self.aim, self.wording));
        // The same words in another order find the same.
        let mut made: HashSet<Vec<u64>> = self.trail.queries.iter().map(|query| keys(query)).collect();
        // The bar stands between two queries where calls are tags.
        let written = candidates.iter().map(|query| untagged(&query.replace('|', " ")));
        let new = written.filter(|query| !query.is_empty() && made.insert(keys(query)));
        let count = if self.dice.one_in(4, 23 + self.trail.searches as u64) { 1 } else { QUERIES };
        let queries: Vec<String> = new.take(count).collect();
        (!queries.is_empty()).then_some(Move::Search { queries })
    }

    fn crawl(&self) -> Option<Move> {
        let hits = &self.trail.hits;
        let texts: Vec<(&str, &str)> = hits.iter().map(|hit| (hit.title, hit.snippet)).collect();
        let evidence = Evidence::of(&self.aim.focus, self.trail.queries.iter().copied(), &texts, []);
        let mut read = 0;
        let mut open: Vec<(usize, &Entry)> = Vec::new();
        for (number, (hit, entry)) in hits.iter().zip(&evidence.entries).enumerate() {
            if self.trail.was_crawled(hit) {
                read |= entry.title_hits;
            } else if hit.url.len() <= URL_BYTES_MAX {
                open.push((number, entry));
            }
        }
        let promise = |number: usize, entry: &Entry| {
            let rank = hits.get(number).map_or(0, |hit| hit.rank);
            let by_title = 0.3 * evidence.coverage(entry.title_hits & evidence.asked());
            let by_news = if read == 0 { 0.0 } else { 0.6 * evidence.coverage(entry.title_hits & !read) };
            evidence.coverage(entry.hits & evidence.asked()) + by_title + by_news + 0.6 / (1.0 + 0.5 * rank as f32)
        };
        let mut ranked: Vec<(f32, usize)> = open.into_iter().map(|(number, entry)| (promise(number, entry), number)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let is_close = matches!(ranked.as_slice(), [first, second, ..] if first.0 - second.0 < 0.1);
        if is_close && self.dice.one_in(4, 31 + self.trail.made as u64) {
            ranked.swap(0, 1);
        }
        // Two pages that promise the same are read in one call once in a while.
        let count = if is_close && mix(self.dice.of_question, self.trail.made as u64).is_multiple_of(4) { 2 } else { 1 };
        let chosen: Vec<_> = ranked.iter().take(count).filter_map(|(_, number)| hits.get(*number)).collect();
        let title = chosen.first()?.title.to_owned();
        Some(Move::Crawl { urls: chosen.iter().map(|hit| hit.url.to_owned()).collect(), title })
    }

    /// All that was read, weighed.
    fn of_pages(&self) -> Evidence<'_> {
        let pages = self.trail.pages.iter().map(|page| (self.trail.title_of(page), Prose::of_text(unmarked(page.text))));
        Evidence::of(&self.aim.focus, self.trail.queries.iter().copied(), &[], pages)
    }

    /// Whether the best sentence, with what surrounds it, covers most of what is asked.
    fn is_strong(&self) -> bool {
        let evidence = self.of_pages();
        let covered = evidence.best().first().map_or(0, |best| evidence.surroundings(best) & evidence.asked());
        evidence.coverage(covered) >= COVERAGE_STRONG
    }

    /// A turn with a call: thought, plan, call.
    fn written(&self, made: &Move) -> String {
        let variant = mix(self.dice.of_question, self.trail.made as u64) as usize;
        let pick = |wordings: &[&'static str]| wordings.get(variant % wordings.len().max(1)).copied().unwrap_or_default();
        let (thought, plan, name, arguments) = match made {
            Move::Search { queries } => {
                let query = mention(queries.first().map_or("", String::as_str));
                let subtask = if self.trail.subtask.is_empty() { &self.trail.question } else { &self.trail.subtask };
                let (thought, plan) = if self.trail.searches == 0 {
                    (about(pick(&self.wording.first_search.0), &mention(subtask)), self.wording.first_search.1)
                } else {
                    (pick(&self.wording.search.0).to_owned(), self.wording.search.1)
                };
                (thought, about(plan, &query), "web_search", json!({"query": queries, "num": RESULTS}))
            }
            Move::Crawl { urls, title } => {
                let title = mention(if title.is_empty() { urls.first().map_or("", String::as_str) } else { title });
                let (thoughts, plan) = &self.wording.crawl;
                (about(pick(thoughts), &title), about(plan, &title), "crawl_page", json!({ "url": urls }))
            }
        };
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        let plan = protocol::ProtocolTag::Plan.enclose(&plan);
        format!("<think>{thought}</think>\n{plan}\n{}", dialect::write(Dialect::Hermes, name, &arguments))
    }

    /// The answer to the subtask: sentences, each with the number of its page, and the pages by number.
    fn answer(&self) -> String {
        let evidence = self.of_pages();
        let quotes = quotes::choose(&evidence, QUOTES, QUOTES_OF_PAGE);
        let [found, nothing] = self.wording.concluding;
        let (thought, answer) = if quotes.is_empty() { (nothing, self.wording.nothing.to_owned()) } else { (found, self.cited(&quotes)) };
        let answer = protocol::ProtocolTag::SubtaskAnswer.enclose(&format!("\n{answer}\n"));
        format!("<think>{thought}</think>\n{answer}")
    }

    fn cited(&self, quotes: &[quotes::Quote]) -> String {
        let mut numbered: Vec<usize> = Vec::new();
        let mut text = String::new();
        for quote in quotes {
            let number = numbered.iter().position(|page| *page == quote.page).unwrap_or_else(|| {
                numbered.push(quote.page);
                numbered.len() - 1
            });
            text.push_str(&format!("{} [{}] ", quote.text, number + 1));
        }
        let pages = numbered.iter().enumerate().filter_map(|(number, page)| Some((number + 1, self.trail.pages.get(*page)?)));
        let lines: Vec<String> =
            pages.map(|(number, page)| format!("[{number}]. {} - {}", page.url, mention(self.trail.title_of(page)))).collect();
        format!("{text}\n\nReferences\n{}", lines.join("\n"))
    }
}
