//! The part of a text that shows why it was found: some 180 characters around the densest spot of the query's terms.
//!
//! A function of text and terms alone. Words are stemmed only if their first letters are those of a term, and only the beginning of an
//! endless text is looked at.

use crate::fold::first_folded;
use crate::segments::{Kind, Segment, Segments, Singles};
use crate::terms::Terms;

/// Length of a snippet, before whitespace is collapsed.
const SNIPPET_CHARS: usize = 180;
/// Terms further apart are not shown together, so that there is room for context.
const SPOT_CHARS: usize = 140;
/// How far a cut moves to fall between words.
const CUT_CHARS: usize = 24;
/// Only so much of a text is looked at, in bytes.
const SCAN_BYTES_MAX: usize = 128 << 10;
/// Only so many occurrences of terms are looked at.
const MATCHES_MAX: usize = 2_048;

/// The terms of a query, ready to be found in texts.
pub(crate) struct Snippets<'q> {
    /// Sorted by term.
    terms: Vec<(&'q str, u32)>,
    /// A bit for each pair of first bytes that an ASCII word of one of the terms may have.
    beginnings: Bits,
    /// A bit for each first character of a term, modulo 65,536.
    firsts: Bits,
}

/// An occurrence of a term, in bytes, and the number of characters before it.
#[derive(Clone, Copy)]
struct Match {
    start: usize,
    end: usize,
    chars_before: usize,
    term: usize,
}

impl<'q> Snippets<'q> {
    /// For terms with their weights.
    pub(crate) fn new(terms: impl Iterator<Item = (&'q str, u32)>) -> Self {
        let mut terms: Vec<_> = terms.collect();
        terms.sort_unstable();
        let (mut beginnings, mut firsts) = (Bits::new(), Bits::new());
        for (term, _) in &terms {
            let bytes = term.as_bytes();
            beginnings.set(beginning(bytes));
            firsts.set(term.chars().next().map_or(0, |first| first as usize));
            if let b"die" | b"lie" | b"tie" = bytes {
                // Dying, lying, tying: the only stems that differ from their words in the first two letters.
                beginnings.set(beginning(&[bytes[0], b'y']));
            }
        }
        Self { terms, beginnings, firsts }
    }

    /// The snippet of `text`.
    pub(crate) fn cut(&self, text: &str) -> String {
        let (start, end) = self.densest_spot(text);
        let room = SNIPPET_CHARS.saturating_sub(chars(text, start, end));
        let after = text.get(end..).map_or(0, |after| after.chars().take(room).count());
        let lead = (room / 2).max(room - after);
        let from = begin(text, start, lead);
        let to = stop(text, from, end);
        let mut snippet = String::with_capacity(to - from + 8);
        if from > 0 {
            snippet.push('…');
        }
        for word in text.get(from..to).unwrap_or("").split_whitespace() {
            if !(snippet.is_empty() || snippet == "…") {
                snippet.push(' ');
            }
            snippet.push_str(word);
        }
        if to < text.trim_end().len() {
            snippet.push('…');
        }
        snippet
    }

    /// Where the terms weigh most, as a range of bytes; the beginning when there are none.
    fn densest_spot(&self, text: &str) -> (usize, usize) {
        let matches = self.matches(text);
        let mut counts = vec![0_u32; self.terms.len()];
        let (mut weight, mut weight_best, mut spot) = (0_u64, 0, (0, 0));
        let mut first = 0;
        // A term weighs in full once, and repeated an eighth.
        let share = |term: usize, counted: u32| {
            let weight = u64::from(self.terms.get(term).map_or(0, |(_, weight)| *weight));
            if counted == 0 { weight } else { weight / 8 }
        };
        for last in &matches {
            weight += share(last.term, counts[last.term]);
            counts[last.term] += 1;
            while let Some(dropped) = matches.get(first).filter(|match_| last.chars_before - match_.chars_before > SPOT_CHARS) {
                counts[dropped.term] -= 1;
                weight -= share(dropped.term, counts[dropped.term]);
                first += 1;
            }
            if weight > weight_best {
                weight_best = weight;
                spot = (matches.get(first).map_or(last.start, |match_| match_.start), last.end);
            }
        }
        spot
    }

    fn matches(&self, text: &str) -> Vec<Match> {
        let scanned = text.get(..text.floor_char_boundary(SCAN_BYTES_MAX)).unwrap_or(text);
        let mut terms = Terms::new();
        let mut matches: Vec<Match> = Vec::new();
        for segment in Segments::new(scanned, Singles::Signs) {
            if !self.may_be_term(scanned, segment) {
                continue;
            }
            let term = terms.term(scanned, segment);
            if let Ok(term) = self.terms.binary_search_by(|(known, _)| (*known).cmp(term)) {
                let (before, counted) = matches.last().map_or((0, 0), |last| (last.start, last.chars_before));
                let chars_before = counted + chars(scanned, before, segment.start);
                matches.push(Match { start: segment.start, end: segment.end, chars_before, term });
                if matches.len() == MATCHES_MAX {
                    break;
                }
            }
        }
        matches
    }

    /// Whether the segment begins like one of the terms; asked of every word of every text shown.
    fn may_be_term(&self, text: &str, segment: Segment) -> bool {
        let Some(part) = text.get(segment.start..segment.end) else { return false };
        if segment.kind == Kind::Ascii {
            return self.beginnings.has(beginning(part.as_bytes()));
        }
        let mut chars = part.chars();
        let first = chars.next().and_then(|first| first_folded(first, chars.next()));
        first.is_none_or(|first| self.firsts.has(first as usize))
    }
}

/// The first two bytes, in lower case, as a number.
fn beginning(word: &[u8]) -> usize {
    let at = |at: usize| usize::from(word.get(at).copied().unwrap_or(0).to_ascii_lowercase());
    at(0) << 8 | at(1)
}

/// A set of numbers, modulo 65,536.
struct Bits(Box<[u64; 1024]>);

impl Bits {
    fn new() -> Self {
        Self(Box::new([0; 1024]))
    }

    fn set(&mut self, number: usize) {
        self.0[number / 64 % 1024] |= 1 << (number % 64);
    }

    fn has(&self, number: usize) -> bool {
        self.0[number / 64 % 1024] & (1 << (number % 64)) != 0
    }
}

/// Number of characters from byte `from` to byte `to`.
fn chars(text: &str, from: usize, to: usize) -> usize {
    text.get(from..to).map_or(0, |part| part.chars().count())
}

/// The byte at which a snippet begins that shows what starts at `spot`, at most `lead` characters earlier: at a sentence, else at a word,
/// else anywhere.
fn begin(text: &str, spot: usize, lead: usize) -> usize {
    let before = text.get(..spot).unwrap_or("");
    let Some((from, _)) = before.char_indices().rev().take(lead).last() else { return spot };
    if from == 0 {
        return 0;
    }
    let context = text.get(from..spot).unwrap_or("");
    let mut ends = context.char_indices().zip(context.chars().skip(1));
    let sentence = ends.find_map(|((at, c), next)| {
        let is_end = c == '\n' || matches!(c, '。' | '！' | '？') || (matches!(c, '.' | '!' | '?') && next.is_whitespace());
        is_end.then_some(from + at + c.len_utf8())
    });
    let word = || context.char_indices().take(CUT_CHARS).find(|(_, c)| c.is_whitespace()).map(|(at, c)| from + at + c.len_utf8());
    sentence.or_else(word).unwrap_or(from)
}

/// The byte at which a snippet ends that begins at `from` and shows what ends at `spot`: between words when one ends near.
fn stop(text: &str, from: usize, spot: usize) -> usize {
    let rest = text.get(from..).unwrap_or("");
    let Some((length, _)) = rest.char_indices().nth(SNIPPET_CHARS) else { return text.len() };
    let end = (from + length).max(spot);
    let tail = text.get(spot..end).unwrap_or("");
    let space = tail.char_indices().rev().take(CUT_CHARS).find(|(_, c)| c.is_whitespace());
    space.map_or(end, |(at, _)| spot + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::query_terms;

    fn snippet(text: &str, query: &str) -> String {
        let terms = query_terms(query);
        Snippets::new(terms.iter().map(|term| (term.text.as_str(), 100))).cut(text)
    }

    #[test]
    fn a_short_text_is_shown_whole_on_one_line() {
        assert_eq!(snippet("One  line.\n\n\tAnother line. ", "line"), "One line. Another line.");
        assert_eq!(snippet("", "line"), "");
    }

    #[test]
    fn the_densest_spot_is_shown_from_the_start_of_its_sentence() {
        let text = format!(
            "{} A lighthouse stood there. {} The keeper of the lighthouse kept bees in 1887, they say. {}",
            "Filler words come first. ".repeat(20),
            "More filler follows here. ".repeat(20),
            "And it goes on like this. ".repeat(20)
        );
        let shown = snippet(&text, "lighthouse keeper's bees");
        assert!(shown.contains("The keeper of the lighthouse kept bees in 1887"), "{shown}");
        assert!(shown.starts_with("…More filler") || shown.starts_with("…The keeper"), "{shown}");
        assert!(shown.ends_with('…') && shown.chars().count() <= SNIPPET_CHARS + 2, "{shown}");
    }

    #[test]
    fn stems_folded_words_and_irregular_words_are_found() {
        for (text, query, word) in
            [("They were dying of thirst.", "die", "dying"), ("CAFÉS are open.", "cafe", "CAFÉS"), ("Some skies are gray.", "sky", "skies")]
        {
            let text = format!("{}{text} {}", "Nothing of note. ".repeat(30), "Nothing again. ".repeat(30));
            assert!(snippet(&text, query).contains(word), "{word}");
        }
    }

    #[test]
    fn chinese_and_japanese_are_cut_by_characters() {
        let text = format!("{}灯台守は蜂を飼っていた。{}", "何もない日々が続いた。".repeat(40), "それから何も起こらなかった。".repeat(40));
        let shown = snippet(&text, "蜂 灯台守");
        assert!(shown.contains("灯台守は蜂を飼っていた"), "{shown}");
        assert!(shown.chars().count() <= SNIPPET_CHARS + 2);
    }

    proptest! {
        #[test]
        fn looking_only_at_likely_words_misses_no_term(
            text in "([dltDLT](ying|ie|ied|yes)|[a-cÉéñЖж]{1,5}(ing|ed|s)?|[漢字かﾞガｶ゙가ไทÅ]{1,5}|[ ,]){0,60}",
            query in "([dlt](ie|ying)|[a-cÉéñЖж]{1,5}|[漢字かﾞガｶ゙가ไทÅ]{1,3}| ){1,6}",
        ) {
            let terms = query_terms(&query);
            let snippets = Snippets::new(terms.iter().map(|term| (term.text.as_str(), 1)));
            let likely: Vec<_> = snippets.matches(&text).iter().map(|found| found.start..found.end).collect();
            let mut all = Terms::new();
            let is_term = |segment: &Segment| terms.iter().any(|term| term.text == all.term(&text, *segment));
            let expected: Vec<_> = Segments::new(&text, Singles::Signs).filter(is_term).map(|segment| segment.start..segment.end).collect();
            prop_assert_eq!(likely, expected);
        }

        #[test]
        fn a_snippet_is_bounded_and_part_of_its_text(text in "([a-c]{1,9}[ .\\n]|[漢字かな]{1,4}。?){0,120}", query in "[a-c]{1,3} [漢字]{1,2}") {
            let shown = snippet(&text, &query);
            prop_assert!(shown.chars().count() <= SNIPPET_CHARS + 2);
            let collapsed = text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert!(collapsed.contains(shown.trim_matches('…').trim()), "{shown}");
        }
    }
}
