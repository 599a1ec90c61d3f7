//! The planner: divides a question into subtasks that do not overlap.
//!
//! Candidates come in a fixed order from what the question names and asks; each is taken when it shares few words with those taken before. A
//! list that was refused is not written again: the next one begins elsewhere and allows less overlap.

use std::collections::HashSet;

use model::{Message, Role, protocol};

use super::subject::Subject;
use super::trail;
use super::wording::{Wording, about};
use super::{part, untagged};
use crate::heuristic::asked::Kind;
use crate::heuristic::lexicon::is_function_word;
use crate::heuristic::plan::Dice;
use crate::heuristic::question::{Language, Question};
use crate::heuristic::text::{key, shortened, words};

/// Subtasks, where the instructions name no numbers; and however many they name.
const RANGE: (usize, usize) = (2, 6);
const SUBTASKS_MAX: usize = 20;
/// The longest subtask, in bytes.
const SUBTASK_BYTES_MAX: usize = 300;
/// The share of all their words that two subtasks may have in common, and how much less it becomes with each refusal.
const OVERLAP_MAX: f32 = 0.4;
const OVERLAP_STEP: f32 = 0.1;
/// Questions of more words than this want an account, whatever their form.
const WORDS_OF_ACCOUNT: usize = 25;

/// The list of subtasks.
pub(super) fn write(system: &str, messages: &[Message], seed: Option<u64>) -> String {
    let asked = messages.iter().find(|message| message.role == Role::User).map(|message| message.text.as_str());
    let question = Question::read(&trail::asked(asked.unwrap_or_default()));
    let refused = Refused::of(messages);
    let (fewest, most) = refused.range.or_else(|| part::range(&system.to_lowercase(), "subtask")).unwrap_or(RANGE);
    let most = most.clamp(1, SUBTASKS_MAX);
    let dice = Dice { seed, of_question: key(&question.text) };
    let list = choose(&question, (fewest.clamp(1, most), most), &refused, dice);
    let wording = Wording::of(question.language);
    let thought = if (dice.of_question as usize + refused.count).is_multiple_of(2) { wording.dividing[0] } else { wording.dividing[1] };
    let lines: Vec<String> = list.iter().enumerate().map(|(number, subtask)| format!("{}. {subtask}", number + 1)).collect();
    let list = protocol::ProtocolTag::SubtaskList.enclose(&format!("\n{}\n", lines.join("\n")));
    format!("<think>{thought}</think>\n{list}")
}

/// Lists that were refused.
struct Refused {
    count: usize,
    /// Each list's subtasks.
    lists: Vec<HashSet<String>>,
    /// How many subtasks the latest refusal asks for.
    range: Option<(usize, usize)>,
}

impl Refused {
    fn of(messages: &[Message]) -> Self {
        let listed = |message: &Message| {
            let list = protocol::last_part(&message.text, protocol::ProtocolTag::SubtaskList)?;
            Some(list.lines().map(|line| line.split_once(". ").map_or(line, |(_, subtask)| subtask).to_owned()).collect())
        };
        let lists = messages.iter().filter(|message| message.role == Role::Assistant).filter_map(listed).collect();
        let notice = messages.iter().rev().find(|message| message.role == Role::User);
        let range = notice.and_then(|notice| part::range(&notice.text.to_lowercase(), "subtask"));
        Self { count: trail::refusals(messages), lists, range }
    }
}

/// Between `range.0` and `range.1` subtasks.
fn choose(question: &Question, range: (usize, usize), refused: &Refused, dice: Dice) -> Vec<String> {
    let subject = Subject::of(question);
    let (mut pool, wanted) = candidates(question, &subject, refused.count, dice);
    let mut wanted = wanted.clamp(range.0, range.1);
    if dice.one_in(3, 11) {
        wanted = (wanted + 1).min(range.1);
    }
    let limit = (OVERLAP_MAX - OVERLAP_STEP * refused.count as f32).max(0.1);
    let mut chosen = pick(&mut pool, wanted, range.0, limit);
    // Another list, even where there is little to choose from.
    let is_refused = |chosen: &[String]| refused.lists.iter().any(|list| chosen.iter().all(|subtask| list.contains(subtask)));
    for _ in 0..pool.len() {
        if !is_refused(&chosen) {
            break;
        }
        chosen.pop();
        chosen.extend(pool.pop());
    }
    chosen
}

/// Takes up to `wanted` candidates that overlap no more than `limit`, and, to have `fewest`, those that overlap least.
fn pick(pool: &mut Vec<String>, wanted: usize, fewest: usize, limit: f32) -> Vec<String> {
    let mut taken: Vec<(String, HashSet<u64>)> = Vec::new();
    let mut left: Vec<(f32, String, HashSet<u64>)> = Vec::new();
    for candidate in pool.drain(..) {
        let keys = content(&candidate);
        let most_alike = taken.iter().map(|(_, other)| overlap(&keys, other)).fold(0.0, f32::max);
        if taken.len() < wanted && most_alike <= limit {
            taken.push((candidate, keys));
        } else {
            left.push((most_alike, candidate, keys));
        }
    }
    left.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut left = left.into_iter();
    while taken.len() < fewest {
        let Some((_, candidate, keys)) = left.next() else { break };
        taken.push((candidate, keys));
    }
    // From the end comes what overlaps least.
    pool.extend(left.map(|(_, candidate, _)| candidate).rev());
    taken.into_iter().map(|(candidate, _)| candidate).collect()
}

fn content(text: &str) -> HashSet<u64> {
    let is_content = |word: &str| !is_function_word(&word.to_lowercase());
    let content = words(text).into_iter().filter(|word| text.get(word.start..word.end).is_some_and(is_content));
    content.map(|word| word.key).collect()
}

/// The share of the words of both that both have.
fn overlap(one: &HashSet<u64>, other: &HashSet<u64>) -> f32 {
    let shared = one.intersection(other).count();
    shared as f32 / (one.len() + other.len() - shared).max(1) as f32
}

/// All candidates, the most useful first, and how many of them the question seems to need. `turn` begins elsewhere.
fn candidates(question: &Question, subject: &Subject, turn: usize, dice: Dice) -> (Vec<String>, usize) {
    let whole = shortened(&subject.whole, SUBTASK_BYTES_MAX - 80).to_owned();
    if question.language == Language::Other {
        return wordless(subject, whole, turn);
    }
    let wording = Wording::of(question.language);
    let nth = |list: &'static [&'static str], number: usize| list.get(number % list.len().max(1)).copied().unwrap_or("{}");
    let mut list = vec![about(nth(wording.direct, turn), &whole)];
    let is_account = is_account(question);
    let things: &[String] = if subject.things.is_empty() { std::slice::from_ref(&whole) } else { &subject.things };
    let first = things.first().map_or("", String::as_str);
    if let Some(sides) = &subject.sides {
        list.extend(sides.iter().zip(wording.sides).map(|(side, wording)| about(wording, side)));
    }
    // Aspects move on with each refusal, and with the seed.
    let shift = turn * 3 + dice.pick(wording.aspects.len(), 5);
    let aspects = (0..wording.aspects.len()).map(|number| {
        let thing = things.get(number % things.len().max(1)).map_or(first, String::as_str);
        about(nth(wording.aspects, number + shift), thing)
    });
    if is_account {
        list.extend(aspects.clone().take(4));
    }
    let seen: &[String] = if subject.sides.is_some() { things.get(2..).unwrap_or_default() } else { things };
    let turned = turn + dice.pick(wording.background.len(), 7);
    list.extend(seen.iter().enumerate().map(|(number, thing)| about(nth(wording.background, number + turned), thing)));
    list.extend(subject.years.iter().take(2).map(|year| about(wording.year, year)));
    let needed = list.len().clamp(3, 6);
    list.extend(aspects.skip(if is_account { 4 } else { 0 }));
    list.extend((0..wording.background.len()).map(|number| about(nth(wording.background, number + turned + 1), first)));
    // After a refusal the whole question, which shares words with every other subtask, is no subtask any more.
    if turn > 1 {
        list.remove(0);
    }
    (distinct(list), needed)
}

/// A question that asks for an account rather than for one thing.
fn is_account(question: &Question) -> bool {
    let asks = |signs: &[&str]| signs.iter().any(|sign| question.text.contains(sign));
    let is_plain = question.kind == Kind::Thing && question.gap.is_none() && question.focus.is_none();
    let is_open = is_plain && !asks(&["什么", "哪", "何"]);
    question.kind == Kind::Explanation || is_open || question.text.split_whitespace().count() > WORDS_OF_ACCOUNT
}

/// Subtasks in a language that we have no words in: the question, its things, and its parts.
fn wordless(subject: &Subject, whole: String, turn: usize) -> (Vec<String>, usize) {
    let things = subject.things.iter().cloned();
    let related = subject.things.iter().map(|thing| format!("{thing}: {}", subject.relation));
    let words: Vec<&str> = whole.split(' ').collect();
    let (front, back) = words.split_at(words.len() / 2);
    let halves = [front.join(" "), back.join(" ")];
    // Without things the halves are all there is beside the whole, which holds them.
    let whole = if subject.things.is_empty() { Vec::from(halves.clone()) } else { vec![whole.clone(), subject.relation.clone()] };
    let mut list: Vec<String> = things.chain(whole).chain(related).chain(halves).collect();
    let turn = turn % list.len().max(1);
    list.rotate_left(turn);
    (distinct(list), subject.things.len() + 1)
}

fn distinct(list: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let cut = list.iter().map(|subtask| untagged(shortened(subtask, SUBTASK_BYTES_MAX))).filter(|subtask| !subtask.is_empty());
    cut.filter(|subtask| seen.insert(subtask.clone())).collect()
}
