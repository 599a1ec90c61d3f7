//! Words and sentences of a text, in one pass each.
//!
//! A word is known by a key: a digest of its lower-case, lightly stemmed form. Scripts that write no spaces become overlapping pairs of
//! characters. The stemming is deliberately cruder than the index's: it has to be cheap, and both sides of every comparison go through it.

use std::ops::Range;

/// What a word looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Lower,
    Capital,
    Number,
    /// A pair of characters of a script without spaces.
    Dense,
}

/// One word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) key: u64,
    pub(super) shape: Shape,
}

/// Bytes of a word that count; longer "words" are encodings, not language.
const WORD_BYTES_MAX: usize = 32;

/// All words of `text`, in order.
pub(super) fn words(text: &str) -> Vec<Word> {
    let bytes = text.as_bytes();
    let mut words = Vec::with_capacity(bytes.len() / 6 + 1);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii() && !byte.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let start = at;
        let Some(first) = char_at(text, at) else { break };
        if is_dense(first) {
            at = push_pairs(text, at, &mut words);
            continue;
        }
        if !first.is_alphanumeric() {
            at += first.len_utf8();
            continue;
        }
        at = word_end(text, at, first.is_numeric());
        let shape = match first {
            first if first.is_numeric() => Shape::Number,
            first if first.is_uppercase() => Shape::Capital,
            _ => Shape::Lower,
        };
        let key = text.get(start..at).map_or(0, key);
        words.push(Word { start, end: at, key, shape });
    }
    words
}

/// Where the word that begins at `start` ends. A number keeps its separators: 1,250.5 is one word.
fn word_end(text: &str, start: usize, is_number: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() {
            at += 1;
        } else if byte.is_ascii() {
            let is_separator = is_number && matches!(byte, b',' | b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            if !is_separator {
                break;
            }
            at += 1;
        } else {
            match char_at(text, at) {
                // A combining mark belongs to the letter before it.
                Some(c) if !is_dense(c) && (c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36F}' | '\u{900}'..='\u{DFF}')) => {
                    at += c.len_utf8();
                }
                _ => break,
            }
        }
    }
    at
}

/// Adds the pairs of the dense run that begins at `start`, a run of one character as itself; returns where the run ends.
fn push_pairs(text: &str, start: usize, words: &mut Vec<Word>) -> usize {
    let mut at = start;
    let mut previous: Option<(usize, usize)> = None;
    let mut pairs = 0;
    while let Some(c) = char_at(text, at).filter(|c| is_dense(*c)) {
        let end = at + c.len_utf8();
        if let Some((from, _)) = previous {
            let key = text.get(from..end).map_or(0, |pair| digest(pair.as_bytes()));
            words.push(Word { start: from, end, key, shape: Shape::Dense });
            pairs += 1;
        }
        previous = Some((at, end));
        at = end;
    }
    if let (0, Some((from, end))) = (pairs, previous) {
        let key = text.get(from..end).map_or(0, |one| digest(one.as_bytes()));
        words.push(Word { start: from, end, key, shape: Shape::Dense });
    }
    at
}

/// Whether `c` belongs to a script that puts no spaces between words.
pub(super) fn is_dense(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30FF}'
        | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

pub(super) fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|rest| rest.chars().next())
}

/// The key of one word.
pub(super) fn key(word: &str) -> u64 {
    let mut buffer = [0u8; WORD_BYTES_MAX];
    let mut len = 0;
    if word.is_ascii() {
        for (to, from) in buffer.iter_mut().zip(word.bytes()) {
            *to = from.to_ascii_lowercase();
            len += 1;
        }
        let stem = stem_len(&mut buffer, len);
        return digest(buffer.get(..stem).unwrap_or_default());
    }
    for c in word.chars().flat_map(char::to_lowercase) {
        let mut encoded = [0u8; 4];
        for byte in c.encode_utf8(&mut encoded).bytes() {
            if let Some(to) = buffer.get_mut(len) {
                *to = byte;
                len += 1;
            }
        }
    }
    digest(buffer.get(..len).unwrap_or_default())
}

/// FNV-1a, finished so that its low bits are good enough for a filter.
fn digest(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    hash ^ (hash >> 29)
}

/// Endings that are cut, longest first, each with the fewest letters that must be left.
const ENDINGS: [(&[u8], usize); 12] = [
    (b"ations", 4),
    (b"ation", 4),
    (b"ments", 4),
    (b"ment", 4),
    (b"ions", 3),
    (b"ion", 3),
    (b"ings", 3),
    (b"ing", 3),
    (b"ers", 4),
    (b"er", 4),
    (b"ed", 3),
    (b"ly", 4),
];

/// How much of the lower-case `word` is its stem; the last letter may be changed in place.
fn stem_len(word: &mut [u8; WORD_BYTES_MAX], len: usize) -> usize {
    let mut len = len;
    let ends = |word: &[u8; WORD_BYTES_MAX], len: usize, ending: &[u8]| word.get(..len).is_some_and(|word| word.ends_with(ending));
    if len <= 3 || !word.get(..len).is_some_and(|word| word.iter().all(u8::is_ascii_lowercase)) {
        return len;
    }
    let cut = ENDINGS.iter().find(|(ending, left)| len >= ending.len() + left && ends(word, len, ending));
    match cut {
        Some((ending, _)) => len -= ending.len(),
        None if ends(word, len, b"ies") && len > 4 => {
            len -= 2;
        }
        None if ends(word, len, b"s") && !ends(word, len, b"ss") && !ends(word, len, b"us") && !ends(word, len, b"is") => len -= 1,
        None => {}
    }
    if len > 3 && ends(word, len, b"e") {
        len -= 1;
    }
    let is_doubled = len > 3 && cut.is_some() && word.get(len - 1) == word.get(len - 2) && !ends(word, len, b"l") && !ends(word, len, b"s");
    if is_doubled {
        len -= 1;
    }
    if let Some(last @ b'y') = len.checked_sub(1).and_then(|at| word.get_mut(at)) {
        *last = b'i';
    }
    len
}

/// A sentence is cut at this many bytes, so that a page without full stops stays readable and cheap.
const SENTENCE_BYTES_MAX: usize = 1_200;

/// The sentences of one paragraph that begins at `paragraph.start` of `text`.
pub(super) fn sentences(text: &str, paragraph: Range<usize>, into: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let end = paragraph.end.min(bytes.len());
    let mut start = paragraph.start;
    let mut at = start;
    while at < end {
        let byte = bytes.get(at).copied().unwrap_or_default();
        let stop = match byte {
            b'.' | b'!' | b'?' => ascii_stop(text, at, end),
            // The lead byte of 。 and of ！？; other characters share it, so the character itself decides.
            0xE3 | 0xEF => char_at(text, at).filter(|c| matches!(c, '。' | '！' | '？')).map(|c| at + c.len_utf8()),
            _ => None,
        };
        let is_too_long = at - start >= SENTENCE_BYTES_MAX && byte == b' ';
        if let Some(stop) = stop.or(is_too_long.then_some(at)) {
            push_trimmed(text, start..stop, into);
            start = stop;
            at = stop.max(at + 1);
        } else {
            at += 1;
        }
    }
    push_trimmed(text, start..end, into);
}

fn push_trimmed(text: &str, range: Range<usize>, into: &mut Vec<Range<usize>>) {
    let Some(raw) = text.get(range.clone()) else { return };
    let start = range.start + (raw.len() - raw.trim_start().len());
    let trimmed = raw.trim();
    if !trimmed.is_empty() {
        into.push(start..start + trimmed.len());
    }
}

/// Where the sentence ends whose possible last mark stands at `at`: behind closing quotes and brackets, before white space.
fn ascii_stop(text: &str, at: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut stop = at + 1;
    // A longer row of marks is no sentence's end, and looking for its end at each of them would take forever.
    while stop < end.min(at + 8) && matches!(bytes.get(stop), Some(b'"' | b'\'' | b')' | b']' | b'.')) {
        stop += 1;
    }
    if stop < end && !bytes.get(stop).is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    let next = bytes.get(stop..end)?.iter().find(|byte| !byte.is_ascii_whitespace());
    if next.is_some_and(u8::is_ascii_lowercase) || (bytes.get(at) == Some(&b'.') && stop == at + 1 && is_abbreviation(bytes, at)) {
        return None;
    }
    Some(stop)
}

const ABBREVIATIONS: [&[u8]; 26] = [
    b"mr", b"mrs", b"ms", b"dr", b"st", b"vs", b"no", b"jr", b"sr", b"ca", b"e.g", b"i.e", b"al", b"gen", b"col", b"lt", b"prof", b"rev",
    b"mt", b"ft", b"approx", b"capt", b"sgt", b"hon", b"fr", b"cf",
];

/// Whether the dot at `dot` closes an abbreviation or an initial.
fn is_abbreviation(bytes: &[u8], dot: usize) -> bool {
    let from = dot.saturating_sub(8);
    let before = bytes.get(from..dot).unwrap_or_default();
    let token = before.rsplit(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'"')).next().unwrap_or_default();
    let is_initial = token.last().is_some_and(u8::is_ascii_uppercase) && (token.len() == 1 || token.get(token.len() - 2) == Some(&b'.'));
    is_initial || ABBREVIATIONS.iter().any(|known| token.eq_ignore_ascii_case(known))
}

/// `text` up to `bytes_max`, cut between characters and after a word where there is one.
pub(super) fn shortened(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let cut = text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default();
    let after_word = cut.rfind(' ').filter(|at| *at > bytes_max / 2).and_then(|at| cut.get(..at));
    after_word.unwrap_or(cut).trim_end()
}

/// A number drawn from `seed` and `salt`: the same for the same two, unrelated otherwise (SplitMix64).
pub(super) fn mix(seed: u64, salt: u64) -> u64 {
    let mut z = seed.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        let mut ranges = Vec::new();
        sentences(text, 0..text.len(), &mut ranges);
        ranges.into_iter().map(|range| text.get(range).expect("sentences lie on character boundaries")).collect()
    }

    #[test]
    fn forms_of_one_word_share_a_key_and_other_words_do_not() {
        for (one, other) in
            [("proclaimed", "proclaim"), ("Parties", "party"), ("inventions", "invented"), ("stopping", "stop"), ("Cities", "city")]
        {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        for (one, other) in [("house", "horse"), ("Paris", "party"), ("1973", "1974"), ("état", "etat")] {
            assert_ne!(key(one), key(other), "{one} {other}");
        }
    }

    #[test]
    fn a_number_is_one_word_and_dense_script_becomes_pairs() {
        let text = "US$1,250.50 paid. 石油危机";
        let found: Vec<&str> = words(text).iter().filter_map(|word| text.get(word.start..word.end)).collect();
        assert_eq!(found, ["US", "1,250.50", "paid", "石油", "油危", "危机"]);
    }

    #[test]
    fn a_sentence_does_not_end_at_an_initial_or_an_abbreviation() {
        let text = "Dr. G. S. Hall led it. \"He stayed.\" Then the U.S. Army came (in 1.5 years). 第一。第二！";
        assert_eq!(cut(text), ["Dr. G. S. Hall led it.", "\"He stayed.\"", "Then the U.S. Army came (in 1.5 years).", "第一。", "第二！"]);
    }

    #[test]
    fn a_text_without_full_stops_is_cut_into_bounded_sentences() {
        let text = "word ".repeat(2_000);
        assert!(cut(&text).iter().all(|sentence| sentence.len() <= SENTENCE_BYTES_MAX + 8));
    }
}
