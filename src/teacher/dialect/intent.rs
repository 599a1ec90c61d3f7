//! Texts without a call that are no answer either: those that announce a call, and those that refuse.
//!
//! Both are read from how a text ends or begins, and both are sparing: telling an honest answer that it is none costs a trajectory, while a
//! narrated call that is missed only ends one. An answer that mentions searching, or says that the library holds no answer, is neither.

mod phrases;

use phrases::{ACTS, CJK_ACTS, CJK_ANNOUNCED, CJK_APOLOGIES, CJK_DECLINED, CJK_EVIDENCE, CJK_OFFERS, CLEAR_ACTS};
use phrases::{ADVERBS, ANSWERED, CALL_LABELS, DECLINED, EVIDENCE, OFFERS, PROGRESS, RESOLVES};

/// How much of a text's end may announce, in characters.
const END_CHARS: usize = 600;
/// A text that is longer is no refusal, in characters.
const REFUSAL_CHARS_MAX: usize = 600;
/// How much of a text's beginning may refuse, in characters.
const BEGIN_CHARS: usize = 240;
/// Sentences at the end that may announce.
const SENTENCES: usize = 2;
/// Lines at the end that may be a call in code.
const LINES: usize = 4;

/// Whether `text`, which holds no call that can be read, says that it will make one or writes one in prose or code: "Let me open the second
/// result.", `search("x")`, "Action: search". `tools` are the names that may be called.
pub fn announces_a_call(text: &str, tools: &[&str]) -> bool {
    let end = last_chars(text.trim_end(), END_CHARS);
    let lower = end.to_lowercase().replace('’', "'");
    if ANSWERED.iter().any(|phrase| lower.contains(phrase)) {
        return false;
    }
    ends_in_a_plan(&lower)
        || lines_from_the_end(end).any(|line| is_call_in_code(line, tools) || is_labelled_call(line, tools))
        || sentences_from_the_end(&lower).any(|sentence| announces(sentence) || announces_in_chinese(sentence))
}

/// Whether `text` declines to do what was asked: "I'm sorry, but I can't help with that.", "作为人工智能，我无法…". A text that says what could not
/// be found is an answer.
pub fn refuses(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || text.chars().nth(REFUSAL_CHARS_MAX).is_some() {
        return false;
    }
    let lower = text.to_lowercase().replace('’', "'");
    let begin = first_chars(&lower, BEGIN_CHARS);
    let speaks_of_itself = ["as an ai", "as a language model", "as a large language model"].iter().any(|phrase| begin.contains(phrase));
    if speaks_of_itself && ["cannot", "can't", "can not", "unable to", "not able to"].iter().any(|phrase| lower.contains(phrase)) {
        return true;
    }
    let has_evidence = EVIDENCE.iter().any(|word| lower.contains(word));
    let declines = DECLINED.iter().any(|(subject, verbs)| {
        begin.match_indices(subject).any(|(at, subject)| {
            // Behind a quotation mark somebody else declines.
            let is_own = begin.get(..at).is_some_and(|before| !before.contains(['"', '“', '«']));
            let behind = without_adverbs(begin.get(at + subject.len()..).unwrap_or_default());
            is_own && verbs.iter().any(|verb| begins_with_words(behind, verb))
        })
    });
    declines && !has_evidence || refuses_in_chinese(begin)
}

fn refuses_in_chinese(begin: &str) -> bool {
    let is_apology = CJK_APOLOGIES.iter().any(|phrase| begin.contains(phrase));
    let declines = CJK_DECLINED.iter().any(|phrase| begin.contains(phrase));
    is_apology && declines && !CJK_EVIDENCE.iter().any(|word| begin.contains(word))
}

/// The tag protocol's plan says what will be done; a text that ends with it did not do it.
fn ends_in_a_plan(lower: &str) -> bool {
    let behind = lower.rsplit_once("<plan>").map(|(_, plan)| plan);
    behind.is_some_and(|plan| plan.split_once("</plan>").is_none_or(|(_, behind)| behind.trim().is_empty()))
}

/// A sentence that resolves to act: "I'll search for …", "Let me now open …", "Searching for …".
fn announces(sentence: &str) -> bool {
    if OFFERS.iter().any(|phrase| sentence.contains(phrase)) {
        return false;
    }
    let resolves = RESOLVES.iter().any(|(phrase, is_clear_only)| {
        let acts: &[&str] = if *is_clear_only { CLEAR_ACTS } else { ACTS };
        sentence.match_indices(phrase).any(|(at, phrase)| {
            let begins_word = sentence.get(..at).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
            let behind = without_adverbs(sentence.get(at + phrase.len()..).unwrap_or_default());
            begins_word && acts.iter().any(|act| begins_with_words(behind, act))
        })
    });
    let sentence = sentence.trim_end_matches(['*', ']', ')', '_', '"']);
    let is_unfinished = sentence.ends_with(['…', ':']) || sentence.ends_with("...");
    let first = sentence.trim_start_matches(['*', '[', '(', '_', ' ', '"']);
    resolves || is_unfinished && PROGRESS.iter().any(|act| begins_with_words(first, act))
}

fn announces_in_chinese(sentence: &str) -> bool {
    /// How far behind the resolve the act may stand, in characters.
    const BETWEEN_CHARS_MAX: usize = 12;
    if CJK_OFFERS.iter().any(|phrase| sentence.contains(phrase)) {
        return false;
    }
    CJK_ANNOUNCED.iter().any(|phrase| {
        sentence.match_indices(phrase).any(|(at, phrase)| {
            let behind = first_chars(sentence.get(at + phrase.len()..).unwrap_or_default(), BETWEEN_CHARS_MAX);
            CJK_ACTS.iter().any(|act| {
                behind.find(act).is_some_and(|place| {
                    !behind.get(place + act.len()..).is_some_and(|rest| rest.starts_with(['了', '到', '过', '結', '结']))
                })
            })
        })
    })
}

/// `search("x")`, `functions.open(id=3)`: a line that is a call of a tool and nothing else.
fn is_call_in_code(line: &str, tools: &[&str]) -> bool {
    let line = line.trim_matches(['`', '*', '-', '>', '$', ' ', ';']);
    if is_call_in_json(line, tools) {
        return true;
    }
    let line = ["await ", "print(", "result = ", "results = "].iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
    let line = line.trim_start_matches('[');
    let Some((head, arguments)) = line.split_once('(') else { return false };
    let name = head.rsplit('.').next().unwrap_or(head);
    let is_path = head.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b));
    let begins = arguments.trim_start();
    let has_arguments =
        begins.starts_with(['"', '\'', '{', '[', ')']) || begins.starts_with(|c: char| c.is_ascii_digit()) || begins.contains('=');
    is_path && tools.contains(&name) && has_arguments && line.ends_with([')', ']', '`'])
}

/// `{"tool": "search", …`: an object that names a tool in a way that no dialect has.
fn is_call_in_json(line: &str, tools: &[&str]) -> bool {
    if !line.starts_with('{') {
        return false;
    }
    let plain: String = line.chars().filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).collect();
    ["tool", "tool_name", "name", "action", "function", "function_name"]
        .iter()
        .any(|key| tools.iter().any(|tool| [",", "}"].iter().any(|end| plain.contains(&format!("{key}:{tool}{end}")))))
}

/// "Action: search", "工具：search": a label and a tool.
fn is_labelled_call(line: &str, tools: &[&str]) -> bool {
    let line = line.trim_matches(['*', '-', '#', '>', ' ', '`']);
    let Some((label, named)) = line.split_once([':', '：']) else { return false };
    let label = label.trim_matches(['*', '_', ' ']).to_lowercase();
    let named = named.trim_matches(['*', '`', '"', ' ']);
    let len = named.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(named.len());
    let (name, behind) = (named.get(..len).unwrap_or_default(), named.get(len..).unwrap_or_default().trim_start());
    // "Function: open source is …" is prose.
    let is_call = behind.is_empty() || behind.starts_with(['(', '[', '{', '"', '`', '*', ':', '-']);
    CALL_LABELS.contains(&label.as_str()) && tools.contains(&name) && is_call
}

fn lines_from_the_end(text: &str) -> impl Iterator<Item = &str> {
    text.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("```")).take(LINES)
}

/// The last sentences, the last one first, and the one before a last line that it leads to ("I'll search for this:"). An end mark within a
/// number or an abbreviation makes them shorter, which does no harm.
fn sentences_from_the_end(text: &str) -> impl Iterator<Item = &str> {
    let lead = text.lines().map(str::trim).filter(|line| !line.is_empty()).rev().nth(1).filter(|line| line.ends_with([':', '：']));
    let last = sentences(text).into_iter().rev().take(SENTENCES);
    last.chain(lead.and_then(|line| sentences(line).pop()))
}

fn sentences(text: &str) -> Vec<&str> {
    let parts = text.split_inclusive(['\n', '。', '！', '？', '!', '?']).flat_map(|part| part.split_inclusive(". "));
    parts.map(str::trim).filter(|sentence| sentence.chars().any(char::is_alphanumeric)).collect()
}

fn without_adverbs(text: &str) -> &str {
    /// Adverbs in a row, at most.
    const ADVERBS_MAX: usize = 4;
    let mut rest = text.trim_start_matches([' ', ',']);
    for _ in 0..ADVERBS_MAX {
        let Some(adverb) = ADVERBS.iter().find(|adverb| begins_with_words(rest, adverb)) else { break };
        rest = rest.get(adverb.len()..).unwrap_or_default().trim_start_matches([' ', ',']);
    }
    rest
}

fn begins_with_words(text: &str, words: &str) -> bool {
    text.strip_prefix(words).is_some_and(|behind| !behind.starts_with(char::is_alphanumeric))
}

fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(at, _)| text.get(..at).unwrap_or_default())
}

fn last_chars(text: &str, count: usize) -> &str {
    text.char_indices().rev().nth(count.saturating_sub(1)).map_or(text, |(at, _)| text.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
