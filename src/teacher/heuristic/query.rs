//! What to search for: the question's own words first; then names met on the way, names not yet looked at, and the likely answer.

use super::asked::Kind;
use super::evidence::{Evidence, Scored};
use super::plan::Planner;
use super::span;
use super::text::{Shape, shortened, words};

/// The longest query we write, in bytes.
const QUERY_BYTES_MAX: usize = 240;
/// Terms that weigh no more say too little for a query.
pub(super) const WEIGHT_MIN: f32 = 0.4;
/// Words that a query adds to a name.
const ADDED_WORDS_MAX: usize = 6;
/// Above this share of the question's weight one passage holds all there is to know, and no name leads further.
const COVERAGE_WHOLE: f32 = 0.75;

/// Queries made of the question alone, the fullest first; never none, unless the question has no words.
pub(super) fn plain(evidence: &Evidence<'_>) -> Vec<String> {
    let question = evidence.question;
    let terms = &question.terms;
    let whole = question.text.trim_end_matches(['?', '？', '。', ' ']).to_owned();
    if words(&question.text).iter().any(|word| word.shape == Shape::Dense) {
        return distinct([whole]);
    }
    let content: Vec<&str> = terms.iter().filter(|term| term.weight > WEIGHT_MIN).map(|term| term.surface.as_str()).collect();
    let mut by_weight: Vec<(usize, f32)> = evidence.weights.iter().copied().enumerate().take(terms.len()).collect();
    by_weight.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut rare: Vec<usize> = by_weight.iter().take((terms.len() / 2 + 1).max(3)).map(|(number, _)| *number).collect();
    rare.sort_unstable();
    let rare: Vec<&str> = rare.iter().filter_map(|number| terms.get(*number)).map(|term| term.surface.as_str()).collect();
    distinct([content.join(" "), whole, rare.join(" "), question.names.join(" ")])
}

/// Queries for a further search, the most promising first; some may have been made before.
pub(super) fn further(planner: &Planner<'_>) -> Vec<String> {
    let mut plain = plain(planner.evidence);
    let shortest = plain.iter().min_by_key(|query| query.len()).cloned().unwrap_or_default();
    let turn = planner.dice.pick(plain.len(), 2);
    plain.rotate_left(turn);
    let searches = planner.conversation.steps.iter().filter(|step| step.call.tool == "search");
    let searched = searches.map(|step| step.call.text.as_str()).collect();
    let known = Known { evidence: planner.evidence, best: planner.best, searched };
    distinct(known.queries(&shortest).into_iter().chain(plain))
}

/// What was read, and what was searched for so far.
pub(super) struct Known<'k> {
    pub(super) evidence: &'k Evidence<'k>,
    /// Sentences, the best first.
    pub(super) best: &'k [Scored],
    pub(super) searched: Vec<&'k str>,
}

impl Known<'_> {
    /// Queries that what was read suggests, the most promising first. `shortest` names the subject in few words.
    pub(super) fn queries(&self, shortest: &str) -> Vec<String> {
        [self.unread_name(), self.bridge(), self.likely_answer(shortest)].into_iter().flatten().collect()
    }

    /// A name of the question that neither the best passage nor any title mentions, with what is asked.
    fn unread_name(&self) -> Option<String> {
        let evidence = self.evidence;
        let question = evidence.question;
        let seen = self.best.first().map_or(0, |best| evidence.surroundings(best)) | evidence.titles();
        let is_unread = |name: &&String| {
            let number_of = |key: u64| question.terms.iter().position(|term| term.keys.contains(&key));
            let numbers: Vec<usize> = words(name).iter().filter_map(|word| number_of(word.key)).collect();
            !numbers.is_empty() && numbers.iter().all(|number| seen & (1 << number) == 0)
        };
        let name = question.names.iter().find(is_unread)?;
        let common = question.terms.iter().filter(|term| !term.is_name && term.weight > WEIGHT_MIN);
        let common = common.map(|term| term.surface.as_str()).take(ADDED_WORDS_MAX);
        Some([name.as_str()].into_iter().chain(common).collect::<Vec<_>>().join(" "))
    }

    /// A name that stands near what was found and not in the question, with the terms that nothing covers yet.
    fn bridge(&self) -> Option<String> {
        let evidence = self.evidence;
        let covered = evidence.surroundings(self.best.first()?) & evidence.asked();
        if evidence.coverage(covered) >= COVERAGE_WHOLE {
            return None;
        }
        let name = self.name_near()?;
        let terms = evidence.question.terms.iter().enumerate();
        let open = terms.filter(|(number, term)| covered & (1 << number) == 0 && term.weight > WEIGHT_MIN);
        let open = open.map(|(_, term)| term.surface.as_str()).take(ADDED_WORDS_MAX);
        Some([name.as_str()].into_iter().chain(open).collect::<Vec<_>>().join(" "))
    }

    /// A name that stands near what was found, not in the question and not searched for yet.
    pub(super) fn name_near(&self) -> Option<String> {
        self.best.iter().take(3).find_map(|scored| self.new_name(scored))
    }

    fn new_name(&self, scored: &Scored) -> Option<String> {
        let leaf = self.evidence.leaves.get(scored.leaf)?;
        let asked = self.evidence.question.text.to_lowercase();
        let was_searched = |name: &str| self.searched.iter().any(|query| query.contains(name));
        let is_new = |name: &&str| name.len() > 3 && !asked.contains(&name.to_lowercase()) && !was_searched(name);
        span::names_in(self.evidence, leaf, scored.sentence).into_iter().find(is_new).map(str::to_owned)
    }

    /// The likely answer with the rarest terms: does another page say the same?
    fn likely_answer(&self, shortest: &str) -> Option<String> {
        if self.evidence.question.kind == Kind::Explanation {
            return None;
        }
        let span = span::best(self.evidence, self.best)?;
        Some(format!("{shortest} {}", span.text))
    }
}

/// Each query once, cut to a bearable length, without empty ones.
pub(super) fn distinct(candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    for query in candidates {
        let query = shortened(&query, QUERY_BYTES_MAX).trim().to_owned();
        if !query.is_empty() && !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries
}
