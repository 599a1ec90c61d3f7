//! Questions that name the possible answers: one of two things, or yes and no.
//!
//! Of two things the earlier or the later one is told by the first year on each one's own page; else the one wins whose page says more of
//! what is asked.

use super::evidence::{Evidence, Leaf, Scored};
use super::text::{Shape, key, words};

/// A choice and the sentences that it rests on.
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) support: Vec<Scored>,
}

/// Words that ask for the earlier one, and for the later one.
const EARLIER: [&str; 8] = ["first", "earlier", "older", "oldest", "before", "earliest", "sooner", "elder"];
const LATER: [&str; 9] = ["later", "younger", "youngest", "latest", "recently", "newer", "last", "after", "newest"];

/// The chosen one of the question's two options; none when neither has a page that was read.
pub(super) fn decide(evidence: &Evidence<'_>, best: &[Scored]) -> Option<Choice> {
    let question = evidence.question;
    let [left, right] = question.options.as_ref()?;
    let has =
        |signs: &[&str]| question.text.split(|c: char| !c.is_alphanumeric()).any(|word| signs.contains(&word.to_lowercase().as_str()));
    let pages = (page_about(evidence, left), page_about(evidence, right));
    if (has(&EARLIER) || has(&LATER))
        && let (Some(one), Some(other)) = pages
        && let (Some((left_year, left_at)), Some((right_year, right_at))) = (first_year(evidence, one), first_year(evidence, other))
    {
        let is_left = if has(&LATER) { left_year > right_year } else { left_year < right_year };
        let text = if is_left { left } else { right };
        return Some(Choice { text: text.clone(), support: vec![left_at, right_at] });
    }
    let best_on = |page: Option<usize>| best.iter().find(|scored| Some(scored.leaf) == page).copied();
    let (one, other) = (best_on(pages.0), best_on(pages.1));
    let score = |scored: Option<Scored>| scored.map_or(f32::MIN, |scored| scored.score);
    let (text, chosen) = if score(one) >= score(other) { (left, one) } else { (right, other) };
    Some(Choice { text: text.clone(), support: vec![chosen?] })
}

/// Whether the best evidence speaks for it: it covers most of the question, and does not deny it.
pub(super) fn is_yes(evidence: &Evidence<'_>, best: &Scored) -> bool {
    let Some(leaf) = evidence.leaves.get(best.leaf) else { return false };
    let sentence = leaf.prose.sentence(best.sentence).to_lowercase();
    let is_denied =
        sentence.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "not" | "no" | "never" | "neither" | "cannot"));
    let covered = evidence.surroundings(best) & evidence.asked();
    evidence.coverage(covered) >= 0.8 && !is_denied
}

/// The page whose title names the option most nearly.
fn page_about(evidence: &Evidence<'_>, option: &str) -> Option<usize> {
    let wanted: Vec<u64> = words(option).iter().map(|word| word.key).collect();
    let share = |leaf: &Leaf<'_>| {
        let title = words(leaf.page.title);
        let held = wanted.iter().filter(|wanted| title.iter().any(|word| word.key == **wanted)).count();
        2 * held as i64 - title.len().abs_diff(wanted.len()) as i64 / 2 - wanted.len() as i64
    };
    let pages = evidence.leaves.iter().enumerate().map(|(number, leaf)| (number, share(leaf)));
    let best = pages.max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)))?;
    (best.1 >= 0).then_some(best.0)
}

/// The first year that a page names, and the sentence it stands in.
fn first_year(evidence: &Evidence<'_>, leaf: usize) -> Option<(u32, Scored)> {
    let prose = &evidence.leaves.get(leaf)?.prose;
    for (number, sentence) in prose.sentences.iter().enumerate() {
        for word in prose.words.get(sentence.words.clone())?.iter().filter(|word| word.shape == Shape::Number) {
            let year = prose.text.get(word.start..word.end).and_then(|digits| digits.parse().ok());
            if let Some(year) = year.filter(|year| (1_000..2_100).contains(year)) {
                return Some((year, Scored { leaf, sentence: number, score: 0.0 }));
            }
        }
    }
    None
}

/// The two things on both sides of "or": names where there are any, else what stands between the marks.
pub(super) fn options(text: &str, names: &[String]) -> Option<[String; 2]> {
    let (before, after) = text.rsplit_once(" or ")?;
    let named_last =
        names.iter().filter(|name| before.trim_end_matches(['"', '”', ',']).ends_with(name.as_str())).max_by_key(|name| name.len());
    let named_first =
        names.iter().filter(|name| after.trim_start_matches(['"', '“']).starts_with(name.as_str())).max_by_key(|name| name.len());
    let left = named_last.map(String::as_str).unwrap_or_else(|| before.rsplit([',', ':']).next().unwrap_or_default().trim());
    let right = named_first.map(String::as_str).unwrap_or_else(|| after.trim_end_matches(['?', '.', ' ']));
    let is_short = |option: &str| (1..=8).contains(&option.split_whitespace().count());
    let is_different = key(left) != key(right);
    (is_short(left) && is_short(right) && is_different).then(|| [left.to_owned(), right.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_stand_on_both_sides_of_or() {
        let names = ["Kettle Bridge".to_owned(), "Marl Bridge".to_owned()];
        let options = options("Which bridge is older, Kettle Bridge or Marl Bridge?", &names).expect("two options");
        assert_eq!(options, ["Kettle Bridge", "Marl Bridge"]);
        let plain = super::options("which is deeper, lake orn or lake marl?", &[]).expect("two options");
        assert_eq!(plain, ["lake orn", "lake marl"]);
        assert!(super::options("Who sank or raised the ferry that had carried the whole village over the sound?", &[]).is_none());
    }
}
