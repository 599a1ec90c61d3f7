//! What to do next: search, open, find, search again with what was learnt, open another page, and answer when that is enough.
//!
//! The stage is read off the calls made so far, so that nothing has to be remembered between turns. No call is ever made twice.

use super::evidence::{Entry, Evidence, Leaf, Scored};
use super::question::Kind;
use super::reading::{Call, Conversation, Demand, Page, PageKind};
use super::span;
use super::text::{Shape, Word, mix, words};

/// After this many calls the answer has to be found in what was read.
const CALLS_MAX: usize = 10;
/// Searches in one trajectory.
const SEARCHES_MAX: usize = 3;
/// Below this share of the question's weight the best sentence and its surroundings are weak evidence.
const COVERAGE_STRONG: f32 = 0.6;
/// One trajectory in this many makes two calls in one turn.
const PAIRED_ONE_IN: u64 = 10;
/// Words of a phrase that is looked up.
const PATTERN_WORDS: usize = 3;
/// Results we ask for: what one window shows.
pub(super) const RESULTS: u32 = 15;
/// The longest query we write, in bytes.
const QUERY_BYTES_MAX: usize = 240;

/// One call to make.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Move {
    Search { query: String },
    Open { id: i64, cursor: u32, title: String },
    Scroll { cursor: u32, loc: u32 },
    Find { pattern: String, cursor: u32 },
}

/// Chance, as far as sampling allows it: none at temperature 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    /// `None` when nothing may vary.
    pub(super) seed: Option<u64>,
    /// A number drawn from the question alone.
    pub(super) of_question: u64,
}

impl Dice {
    /// True once in `n`, by the seed.
    fn one_in(self, n: u64, salt: u64) -> bool {
        self.seed.is_some_and(|seed| mix(seed, salt).is_multiple_of(n))
    }

    fn pick(self, n: usize, salt: u64) -> usize {
        self.seed.map_or(0, |seed| (mix(seed, salt) % n.max(1) as u64) as usize)
    }

    /// Whether this trajectory makes two calls in one turn.
    fn is_paired(self) -> bool {
        mix(self.of_question, self.seed.unwrap_or_default()).is_multiple_of(PAIRED_ONE_IN)
    }
}

/// The calls of the next turn; none when it is time to answer.
pub(super) fn next(evidence: &Evidence<'_>, best: &[Scored], conversation: &Conversation<'_>, dice: Dice) -> Vec<Move> {
    let planner = Planner { evidence, best, conversation, dice };
    planner.next()
}

struct Planner<'p> {
    evidence: &'p Evidence<'p>,
    best: &'p [Scored],
    conversation: &'p Conversation<'p>,
    dice: Dice,
}

impl Planner<'_> {
    fn next(&self) -> Vec<Move> {
        let calls = self.conversation.steps.len();
        let opened = self.opened();
        let is_over = self.conversation.demand == Demand::Answer || calls >= CALLS_MAX;
        if is_over || self.conversation.demand == Demand::Haste && opened > 0 {
            return Vec::new();
        }
        let searches = self.conversation.count("search");
        if searches == 0 {
            return self.first_searches();
        }
        let ranked = self.ranked();
        if ranked.is_empty() && opened == 0 {
            return self.search();
        }
        let finds = self.conversation.count("find");
        let is_strong = self.is_strong();
        let open = |count: usize| ranked.iter().take(count).map(|entry| opening(entry)).collect::<Vec<_>>();
        let one = |found: Option<Move>| found.into_iter().collect::<Vec<_>>();
        let stages: [(bool, &dyn Fn() -> Vec<Move>); 8] = [
            (opened == 0, &|| open(if self.dice.is_paired() && searches == 1 { 2 } else { 1 })),
            (finds == 0, &|| one(self.find())),
            (!is_strong || finds < 2, &|| one(self.jump())),
            (searches == 1, &|| self.search()),
            (opened == 1 || searches >= SEARCHES_MAX && opened == 2 && !is_strong, &|| open(1)),
            (finds == 1, &|| one(self.find())),
            (searches == 2 && !is_strong, &|| self.search()),
            (opened < 3 && !is_strong, &|| open(1)),
        ];
        for (applies, moves) in stages {
            if applies {
                let moves: Vec<Move> = moves().into_iter().filter(|made| !self.was_made(made)).collect();
                if !moves.is_empty() {
                    return moves;
                }
            }
        }
        Vec::new()
    }

    /// Pages opened from a list of results.
    fn opened(&self) -> usize {
        let opens = self.conversation.steps.iter().filter(|step| step.call.tool == "open" && step.call.id.is_some());
        opens.filter(|step| step.page.is_some_and(|page| page.kind == PageKind::Document)).count()
    }

    /// Whether the best sentence, with what surrounds it, covers most of the question.
    fn is_strong(&self) -> bool {
        let Some(best) = self.best.first() else { return false };
        let hits = self.evidence.surroundings(best) & self.evidence.asked();
        self.evidence.coverage(hits) >= COVERAGE_STRONG
    }

    fn was_made(&self, made: &Move) -> bool {
        self.conversation.steps.iter().any(|step| is_same(&step.call, made))
    }

    fn first_searches(&self) -> Vec<Move> {
        let mut queries = self.plain_queries();
        let first = if queries.len() > 1 && self.dice.one_in(3, 1) { 1 } else { 0 };
        queries.swap(0, first);
        let count = if self.dice.is_paired() && self.dice.of_question.is_multiple_of(2) { 2 } else { 1 };
        queries.into_iter().take(count).map(|query| Move::Search { query }).collect()
    }

    /// Queries made of the question alone, the fullest first.
    fn plain_queries(&self) -> Vec<String> {
        let question = self.evidence.question;
        let terms = &question.terms;
        let is_dense = words(&question.text).iter().any(|word| word.shape == Shape::Dense);
        let whole = question.text.trim_end_matches(['?', '？', '。', ' ']).to_owned();
        let content: Vec<&str> = terms.iter().filter(|term| term.weight > 0.4).map(|term| term.surface.as_str()).collect();
        let mut by_weight: Vec<(usize, f32)> = self.evidence.weights.iter().copied().enumerate().take(terms.len()).collect();
        by_weight.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut rare: Vec<usize> = by_weight.iter().take((terms.len() / 2 + 1).max(3)).map(|(number, _)| *number).collect();
        rare.sort_unstable();
        let rare: Vec<&str> = rare.iter().filter_map(|number| terms.get(*number)).map(|term| term.surface.as_str()).collect();
        let named = question.names.join(" ");
        let candidates = if is_dense { vec![whole] } else { vec![content.join(" "), whole, rare.join(" "), named] };
        let mut queries: Vec<String> = Vec::new();
        for query in candidates {
            let query = query.get(..query.floor_char_boundary(QUERY_BYTES_MAX)).unwrap_or_default().trim().to_owned();
            if !query.is_empty() && !queries.contains(&query) {
                queries.push(query);
            }
        }
        queries
    }

    /// A further search: with a name found on the way when much of the question is still open, else in other words.
    fn search(&self) -> Vec<Move> {
        if self.conversation.count("search") >= SEARCHES_MAX {
            return Vec::new();
        }
        let mut queries = Vec::new();
        queries.extend(self.unread_name_query());
        queries.extend(self.bridge_query());
        queries.extend(self.checking_query());
        let mut plain = self.plain_queries();
        if !plain.is_empty() {
            let turn = self.dice.pick(plain.len(), 2);
            plain.rotate_left(turn);
        }
        queries.extend(plain);
        let unused = queries.into_iter().map(|query| Move::Search { query }).find(|search| !self.was_made(search));
        unused.into_iter().collect()
    }

    /// A name of the question that the best evidence does not mention at all, with what is asked about it.
    fn unread_name_query(&self) -> Option<String> {
        let covered = self.best.first().map_or(0, |best| self.evidence.surroundings(best));
        let titles = self.evidence.leaves.iter().fold(0, |titles, leaf| titles | leaf.title_hits);
        let question = self.evidence.question;
        let is_unread = |name: &&String| {
            let numbers: Vec<usize> = words(name).iter().filter_map(|word| question.terms.iter().position(|term| term.keys.contains(&word.key))).collect();
            !numbers.is_empty() && numbers.iter().all(|number| (covered | titles) & (1 << number) == 0)
        };
        let name = question.names.iter().find(is_unread)?;
        let common = question.terms.iter().filter(|term| !term.is_name).map(|term| term.surface.as_str()).take(4);
        Some(format!("{name} {}", common.collect::<Vec<_>>().join(" ")).trim().to_owned())
    }

    /// A name that stands near what was found and not in the question, with the terms that nothing covers yet.
    fn bridge_query(&self) -> Option<String> {
        let best = self.best.first()?;
        let covered = self.evidence.surroundings(best) & self.evidence.asked();
        if self.evidence.coverage(covered) >= COVERAGE_STRONG + 0.15 {
            return None;
        }
        let bridge = self.best.iter().take(3).find_map(|scored| self.bridge_in(scored))?;
        let terms = self.evidence.question.terms.iter().enumerate();
        let open: Vec<&str> = terms.filter(|(number, _)| covered & (1 << number) == 0).map(|(_, term)| term.surface.as_str()).take(6).collect();
        Some(format!("{bridge} {}", open.join(" ")).trim().to_owned())
    }

    fn bridge_in(&self, scored: &Scored) -> Option<String> {
        let leaf = self.evidence.leaves.get(scored.leaf)?;
        let asked = self.evidence.question.text.to_lowercase();
        let names = span::names_in(self.evidence, leaf, scored.sentence);
        let is_new = |name: &&str| !asked.contains(&name.to_lowercase()) && name.len() > 3 && !self.was_searched(name);
        names.into_iter().find(is_new).map(str::to_owned)
    }

    fn was_searched(&self, name: &str) -> bool {
        self.conversation.steps.iter().any(|step| step.call.tool == "search" && step.call.text.contains(name))
    }

    /// The likely answer with the rarest terms: does another page say the same?
    fn checking_query(&self) -> Option<String> {
        if self.evidence.question.kind == Kind::Explanation {
            return None;
        }
        let span = span::best(self.evidence, self.best.get(..self.best.len().min(4))?)?;
        let plain = self.plain_queries();
        let rare = plain.iter().min_by_key(|query| query.len())?;
        Some(format!("{rare} {}", span.text))
    }

    /// Results that were not opened yet, the most promising first.
    fn ranked(&self) -> Vec<&Entry> {
        let opened: Vec<(i64, i64)> = self.conversation.steps.iter().filter_map(|step| Some((step.call.cursor?, step.call.id?))).collect();
        let latest = self.conversation.count("search").saturating_sub(1);
        let titles = self.evidence.leaves.iter().fold(0, |titles, leaf| titles | leaf.title_hits);
        let mut ranked: Vec<(&Entry, f32)> = Vec::new();
        for entry in &self.evidence.entries {
            if opened.contains(&(i64::from(entry.cursor), entry.id)) || self.was_read(entry) {
                continue;
            }
            let by_rank = 0.6 / (1.0 + 0.5 * entry.rank as f32);
            let by_search = if entry.search == latest && latest > 0 { 0.1 } else { 0.0 };
            let asked = entry.hits & self.evidence.asked();
            let by_title = 0.3 * self.evidence.coverage(entry.title_hits & self.evidence.asked());
            // Another subject of the question, or one that an earlier page led to.
            let new_title = entry.title_hits & !titles;
            let by_news = if titles == 0 { 0.0 } else { 0.6 * self.evidence.coverage(new_title) };
            let score = self.evidence.coverage(asked) + by_title + by_news + by_rank + by_search;
            ranked.push((entry, score));
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then((a.0.search, a.0.rank).cmp(&(b.0.search, b.0.rank))));
        let is_close = matches!(ranked.as_slice(), [first, second, ..] if first.1 - second.1 < 0.1);
        if is_close && self.dice.one_in(4, 3 + ranked.len() as u64) {
            ranked.swap(0, 1);
        }
        ranked.into_iter().map(|(entry, _)| entry).collect()
    }

    /// Whether a page that was read holds this result's snippet under the same title.
    fn was_read(&self, entry: &Entry) -> bool {
        let longest = entry.snippet.split('…').map(str::trim).max_by_key(|part| part.len()).unwrap_or_default();
        let start = longest.get(..longest.floor_char_boundary(60)).unwrap_or_default();
        let same_title = self.evidence.leaves.iter().filter(|leaf| leaf.page.kind == PageKind::Document && leaf.page.title == entry.title);
        same_title.into_iter().any(|leaf| start.is_empty() || leaf.prose.text.contains(start))
    }

    /// Looks up something on the page read last: on a page that goes on below its window what the search result quoted from it, else the
    /// rarest word of the question.
    fn find(&self) -> Option<Move> {
        let leaf = self.evidence.leaves.last()?;
        let page = &leaf.page;
        let is_whole = page.shown.0 == 0 && page.shown.1 >= page.last_line;
        let quoted = if is_whole { None } else { self.quoted_elsewhere(leaf) };
        let pattern = quoted.or_else(|| self.rarest_word(leaf, is_whole))?;
        Some(Move::Find { pattern, cursor: page.cursor })
    }

    /// The rarest word of the question that the window shows, in the page's spelling; if it shows none of them, the rarest of all.
    fn rarest_word(&self, leaf: &Leaf<'_>, is_whole: bool) -> Option<String> {
        let shown = leaf.hits.iter().fold(0, |all, hits| all | hits);
        let beyond_title = if is_whole { shown } else { shown & !leaf.title_hits };
        let numbers = 0..self.evidence.question.terms.len();
        let weight = |number: &usize| self.evidence.weights.get(*number).copied().unwrap_or_default();
        let is_better = |number: &usize| (beyond_title & (1 << number) != 0, shown & (1 << number) != 0);
        let rank = |a: &usize, b: &usize| is_better(a).cmp(&is_better(b)).then(weight(a).total_cmp(&weight(b))).then(b.cmp(a));
        let term = numbers.max_by(rank).and_then(|number| self.evidence.terms.get(number))?;
        let on_page = leaf.prose.words.iter().find(|word| term.keys.contains(&word.key));
        let as_written = on_page.and_then(|word| leaf.prose.text.get(word.start..word.end));
        Some(as_written.unwrap_or(&term.surface).to_owned())
    }

    /// The few words of the search result's snippet that hold most of the question, unless the window shows them.
    fn quoted_elsewhere(&self, leaf: &Leaf<'_>) -> Option<String> {
        let opened_by = self.conversation.steps.iter().find(|step| step.page.is_some_and(|page| page.cursor == leaf.page.cursor))?;
        let (id, cursor) = (opened_by.call.id?, opened_by.call.cursor?);
        let entry = self.evidence.entries.iter().find(|entry| entry.id == id && i64::from(entry.cursor) == cursor)?;
        let mut best: Option<(f32, &str)> = None;
        for part in entry.snippet.split('…') {
            let words = words(part);
            let weights: Vec<f32> = words.iter().map(|word| self.weight_of(word)).collect();
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

    fn weight_of(&self, word: &Word) -> f32 {
        let number = self.evidence.question.terms.iter().position(|term| term.keys.contains(&word.key));
        number.and_then(|number| self.evidence.weights.get(number)).copied().unwrap_or_default()
    }

    /// Goes to the first match of the latest find that lies outside what was shown of its page.
    fn jump(&self) -> Option<Move> {
        let step = self.conversation.steps.last().filter(|step| step.call.tool == "find")?;
        let matches = step.page.filter(|page| page.kind == PageKind::Matches)?;
        let cursor = step.call.cursor?;
        let source = self.evidence.leaves.iter().find(|leaf| i64::from(leaf.page.cursor) == cursor)?.page;
        let is_hidden = |line: &u32| *line < source.shown.0 || *line > source.shown.1;
        let loc = match_lines(&matches).find(is_hidden)?.saturating_sub(3);
        Some(Move::Scroll { cursor: source.cursor, loc })
    }
}

fn opening(entry: &Entry) -> Move {
    Move::Open { id: entry.id, cursor: entry.cursor, title: entry.title.clone() }
}

/// The line numbers in "match at L12".
fn match_lines<'a>(page: &Page<'a>) -> impl Iterator<Item = u32> + use<'a> {
    page.lines().filter_map(|(_, line)| {
        let (_, after) = line.split_once("match at L")?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

fn is_same(call: &Call, made: &Move) -> bool {
    match made {
        Move::Search { query } => call.tool == "search" && call.text == *query,
        Move::Open { id, cursor, .. } => call.tool == "open" && call.id == Some(*id) && call.cursor == Some(i64::from(*cursor)),
        Move::Scroll { cursor, loc } => call.tool == "open" && call.loc == Some(i64::from(*loc)) && call.cursor == Some(i64::from(*cursor)),
        Move::Find { pattern, cursor } => call.tool == "find" && call.text == *pattern && call.cursor == Some(i64::from(*cursor)),
    }
}
