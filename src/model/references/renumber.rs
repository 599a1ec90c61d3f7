//! Markers written the one way, under other numbers.
//!
//! ` [n] ` has a space on both sides, before a full stop too: O-Researcher's prompt asks for that. It has none where a line begins or ends, and
//! none towards what encloses it: a bracket, a quotation mark, the asterisks of `**bold [1]**`, which would not be bold any more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{NumberedMarker, markers};

/// `body` with each marker's number replaced by `numbers[number]`, written ` [n] `; a number that has none there is left out.
///
/// Markers that stand next to each other, with nothing or spaces or commas between them, become one run ` [1] [2] ` that holds each number once.
/// Of a run without any number nothing is left, nor of the space before it. Code is left as it is. Writing twice changes nothing, when every
/// number keeps its own.
pub fn renumber(body: &str, numbers: &BTreeMap<u32, u32>) -> String {
    let mut written = String::with_capacity(body.len() + body.len() / 16);
    let mut copied = 0;
    for Run { range, numbers: cited } in runs(body, &markers(body)) {
        written.push_str(body.get(copied..range.start).unwrap_or(""));
        let after = body.get(range.end..).unwrap_or("");
        let next = after.trim_start_matches(BLANKS);
        copied = body.len() - next.len();
        let mut seen = BTreeSet::new();
        let known: Vec<u32> =
            cited.iter().filter_map(|number| numbers.get(number).copied()).filter(|number| seen.insert(*number)).collect();
        write_run(&mut written, &known, next.chars().next().filter(|c| !matches!(c, '\n' | '\r')), next.len() < after.len());
    }
    written.push_str(body.get(copied..).unwrap_or(""));
    written
}

/// What is white within a line.
const BLANKS: [char; 2] = [' ', '\t'];

/// Markers next to each other.
struct Run {
    range: Range<usize>,
    numbers: Vec<u32>,
}

fn runs(body: &str, markers: &[NumberedMarker]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for NumberedMarker { number, range } in markers {
        if let Some(run) = runs.last_mut() {
            let is_same = range.start < run.range.end;
            let between = body.get(run.range.end..range.start).unwrap_or("");
            if is_same || between.chars().all(|c| matches!(c, ' ' | '\t' | ',' | '，' | '、')) {
                run.range.end = range.end;
                run.numbers.push(*number);
                continue;
            }
        }
        runs.push(Run { range: range.clone(), numbers: vec![*number] });
    }
    runs
}

/// Writes a run behind what was written; `next` is the character that follows on the line, if one does, and `is_apart` says whether there was
/// a space before it.
fn write_run(written: &mut String, numbers: &[u32], next: Option<char>, is_apart: bool) {
    let kept = written.trim_end_matches(BLANKS);
    let previous = kept.chars().next_back().filter(|c| !matches!(c, '\n' | '\r'));
    let had_space = kept.len() < written.len();
    if previous.is_some() {
        // At a line's beginning white space is indentation, and stays.
        written.truncate(kept.len());
    }
    let Some(previous) = previous else {
        push_numbers(written, numbers);
        if !numbers.is_empty() && next.is_some_and(|next| is_apart || !closes(next)) {
            written.push(' ');
        }
        return;
    };
    if numbers.is_empty() {
        let is_between = next.is_some_and(|next| !is_punctuation(next) && !closes(next));
        if is_between && (had_space || is_apart) {
            written.push(' ');
        }
        return;
    }
    let is_emphasised = is_emphasis(previous) && !is_apart && next.is_some_and(is_emphasis);
    if had_space || !(opens(previous) || is_emphasised) {
        written.push(' ');
    }
    push_numbers(written, numbers);
    if next.is_some_and(|next| is_apart || !closes(next)) {
        written.push(' ');
    }
}

fn push_numbers(written: &mut String, numbers: &[u32]) {
    for (at, number) in numbers.iter().enumerate() {
        written.push_str(&if at == 0 { format!("[{number}]") } else { format!(" [{number}]") });
    }
}

/// Square brackets do not enclose: `[[1]]` would be a marker of another form.
fn opens(c: char) -> bool {
    matches!(c, '(' | '{' | '（' | '［' | '【' | '「' | '『' | '“' | '‘' | '«')
}

fn closes(c: char) -> bool {
    matches!(c, ')' | '}' | '）' | '］' | '】' | '」' | '』' | '”' | '’' | '»') || is_emphasis(c)
}

fn is_emphasis(c: char) -> bool {
    matches!(c, '*' | '_' | '~')
}

fn is_punctuation(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '。' | '，' | '；' | '：' | '！' | '？' | '、')
}
