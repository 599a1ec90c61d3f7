//! What to do next: search, open, find, search again with what was learnt, open another page, and answer when that is enough.
//!
//! The stage is read off the calls made so far, so that nothing has to be remembered between turns. No call is ever made twice.

use super::evidence::{Entry, Evidence, Scored};
use super::reading::{Call, Conversation, Demand, PageKind};
use super::text::mix;
use super::{lookup, query};

/// After this many calls the answer has to be found in what was read.
const CALLS_MAX: usize = 10;
/// Below this share of the question's weight the best sentence and its surroundings are weak evidence.
pub(super) const COVERAGE_STRONG: f32 = 0.6;
/// One trajectory in this many makes two calls in one turn.
const PAIRED_ONE_IN: u64 = 10;
/// Results we ask for: about what one window shows.
pub(super) const RESULTS: u32 = 17;

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
    pub(super) fn one_in(self, n: u64, salt: u64) -> bool {
        self.seed.is_some_and(|seed| mix(seed, salt).is_multiple_of(n))
    }

    /// A number below `n`, by the seed; 0 without one.
    pub(super) fn pick(self, n: usize, salt: u64) -> usize {
        self.seed.map_or(0, |seed| (mix(seed, salt) % n.max(1) as u64) as usize)
    }

    /// Whether this trajectory makes two calls in one turn, and whether these are its first searches or its first pages.
    fn paired(self) -> Option<Stage> {
        let drawn = mix(self.of_question, self.seed.unwrap_or_default());
        let stage = if (drawn / PAIRED_ONE_IN).is_multiple_of(2) { Stage::FirstSearch } else { Stage::FirstPage };
        drawn.is_multiple_of(PAIRED_ONE_IN).then_some(stage)
    }
}

/// The steps of a trajectory in the order in which they are tried; one that does not apply, or has nothing new to do, is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    FirstSearch,
    FirstPage,
    /// A word is looked up on the page.
    Find,
    /// The page is scrolled to a match.
    Jump,
    SecondSearch,
    SecondPage,
    FindAgain,
    ThirdSearch,
    ThirdPage,
}

const STAGES: [Stage; 9] = [
    Stage::FirstSearch,
    Stage::FirstPage,
    Stage::Find,
    Stage::Jump,
    Stage::SecondSearch,
    Stage::SecondPage,
    Stage::FindAgain,
    Stage::ThirdSearch,
    Stage::ThirdPage,
];

/// What there is to plan with.
pub(super) struct Planner<'p> {
    pub(super) evidence: &'p Evidence<'p>,
    /// Sentences, the best first.
    pub(super) best: &'p [Scored],
    pub(super) conversation: &'p Conversation<'p>,
    pub(super) dice: Dice,
}

impl Planner<'_> {
    /// The calls of the next turn; none when it is time to answer.
    pub(super) fn next(&self) -> Vec<Move> {
        let demand = self.conversation.demand;
        let is_over = demand == Demand::Answer || self.conversation.steps.len() >= CALLS_MAX;
        if is_over || demand == Demand::Haste && self.opened() > 0 {
            return Vec::new();
        }
        for stage in STAGES.into_iter().filter(|stage| self.applies(*stage)) {
            let moves: Vec<Move> = self.moves(stage).into_iter().filter(|made| !self.was_made(made)).collect();
            if !moves.is_empty() {
                return moves;
            }
        }
        Vec::new()
    }

    fn applies(&self, stage: Stage) -> bool {
        let (searches, finds, opened) = (self.conversation.count("search"), self.conversation.count("find"), self.opened());
        match stage {
            Stage::FirstSearch => searches == 0,
            Stage::FirstPage => opened == 0,
            Stage::Find => finds == 0,
            Stage::Jump => finds < 2 || !self.is_strong(),
            Stage::SecondSearch => searches == 1,
            Stage::SecondPage => opened == 1,
            Stage::FindAgain => finds == 1,
            Stage::ThirdSearch => searches == 2 && !self.is_strong(),
            Stage::ThirdPage => opened == 2 && !self.is_strong(),
        }
    }

    fn moves(&self, stage: Stage) -> Vec<Move> {
        let count = if self.dice.paired() == Some(stage) { 2 } else { 1 };
        match stage {
            Stage::FirstSearch => {
                let mut queries = query::plain(self.evidence);
                if queries.len() > 1 && self.dice.one_in(3, 1) {
                    queries.swap(0, 1);
                }
                queries.into_iter().take(count).map(|query| Move::Search { query }).collect()
            }
            Stage::SecondSearch | Stage::ThirdSearch => {
                let searches = query::further(self).into_iter().map(|query| Move::Search { query });
                searches.into_iter().find(|search| !self.was_made(search)).into_iter().collect()
            }
            Stage::FirstPage | Stage::SecondPage | Stage::ThirdPage => self.ranked().into_iter().take(count).map(opening).collect(),
            Stage::Find | Stage::FindAgain => lookup::find(self).into_iter().collect(),
            Stage::Jump => lookup::jump(self).into_iter().collect(),
        }
    }

    /// Pages opened from a list of results.
    fn opened(&self) -> usize {
        let opens = self.conversation.steps.iter().filter(|step| step.call.tool == "open" && step.call.id.is_some());
        opens.filter(|step| step.page.is_some_and(|page| page.kind == PageKind::Document)).count()
    }

    /// Whether the best sentence, with what surrounds it, covers most of the question.
    fn is_strong(&self) -> bool {
        let covered = self.best.first().map_or(0, |best| self.evidence.surroundings(best) & self.evidence.asked());
        self.evidence.coverage(covered) >= COVERAGE_STRONG
    }

    fn was_made(&self, made: &Move) -> bool {
        self.conversation.steps.iter().any(|step| is_same(&step.call, made))
    }

    /// Results that were not opened yet, the most promising first.
    fn ranked(&self) -> Vec<&Entry> {
        let mut ranked: Vec<(&Entry, f32)> = Vec::new();
        for entry in self.evidence.entries.iter().filter(|entry| !self.was_read(entry)) {
            ranked.push((entry, self.promise(entry)));
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then((a.0.search, a.0.rank).cmp(&(b.0.search, b.0.rank))));
        let is_close = matches!(ranked.as_slice(), [first, second, ..] if first.1 - second.1 < 0.1);
        if is_close && self.dice.one_in(4, 3 + ranked.len() as u64) {
            ranked.swap(0, 1);
        }
        ranked.into_iter().map(|(entry, _)| entry).collect()
    }

    /// What a result promises: terms of the question, above all in a title that no page read so far has; and its rank.
    fn promise(&self, entry: &Entry) -> f32 {
        let evidence = self.evidence;
        let titles = evidence.titles();
        let is_latest = entry.search > 0 && entry.search + 1 == self.conversation.count("search");
        let by_news = if titles == 0 { 0.0 } else { 0.6 * evidence.coverage(entry.title_hits & !titles) };
        let by_title = 0.3 * evidence.coverage(entry.title_hits & evidence.asked());
        let by_rank = 0.6 / (1.0 + 0.5 * entry.rank as f32);
        let by_search = if is_latest { 0.1 } else { 0.0 };
        evidence.coverage(entry.hits & evidence.asked()) + by_title + by_news + by_rank + by_search
    }

    /// Whether this result was opened, or a page that was read holds its snippet under the same title.
    fn was_read(&self, entry: &Entry) -> bool {
        let steps = &self.conversation.steps;
        if steps.iter().any(|step| step.call.id == Some(entry.id) && step.call.cursor == Some(i64::from(entry.cursor))) {
            return true;
        }
        let longest = entry.snippet.split('…').map(str::trim).max_by_key(|part| part.len()).unwrap_or_default();
        let start = longest.get(..longest.floor_char_boundary(60)).unwrap_or_default();
        let mut same_title = self.evidence.leaves.iter().filter(|leaf| leaf.page.title == entry.title);
        same_title.any(|leaf| {
            // Of a page that goes on beyond its window the snippet may stand anywhere, and opening it again would show its beginning again.
            let is_whole = leaf.page.shown.0 == 0 && leaf.page.shown.1 >= leaf.page.last_line;
            !is_whole || start.is_empty() || leaf.prose.text.contains(start)
        })
    }
}

fn opening(entry: &Entry) -> Move {
    Move::Open { id: entry.id, cursor: entry.cursor, title: entry.title.clone() }
}

fn is_same(call: &Call, made: &Move) -> bool {
    match made {
        Move::Search { query } => call.tool == "search" && call.text == *query,
        Move::Open { id, cursor, .. } => call.tool == "open" && call.id == Some(*id) && call.cursor == Some(i64::from(*cursor)),
        Move::Scroll { cursor, loc } => call.tool == "open" && call.loc == Some(i64::from(*loc)) && call.cursor == Some(i64::from(*cursor)),
        Move::Find { pattern, cursor } => call.tool == "find" && call.text == *pattern && call.cursor == Some(i64::from(*cursor)),
    }
}
