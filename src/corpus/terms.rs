//! Turns the segments of a text into index terms: folded, bounded, English words stemmed (Porter2); and offers that to the index as its
//! tokenizer.
//!
//! The same code makes the terms of documents, of queries and of snippets. Stemming is most of the work, and a few thousand words are
//! most of any text, so a tokenizer that indexes remembers stems in a small table of fixed size.

use rust_stemmers::{Algorithm, Stemmer};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use crate::fold::{fold_sign, fold_word};
use crate::segments::{Kind, Segment, Segments, Singles};

/// A term keeps at most this many bytes of what it was made from; longer "words" are encodings, not language.
const TERM_BYTES_MAX: usize = 64;

/// Slots of the table of stems, a power of two; 32 bytes each.
const STEM_SLOTS: usize = 8192;

/// Makes terms, reusing its buffer.
pub(crate) struct Terms {
    term: String,
    stemmer: Stemmer,
    stems: Vec<Stem>,
}

/// A word and its stem, each with its length in the last byte. A word of length 0 marks an empty slot.
#[derive(Clone, Copy)]
struct Stem {
    word: [u8; 16],
    stem: [u8; 16],
}

impl Terms {
    /// For short texts: remembers no stems.
    pub(crate) fn new() -> Self {
        Self { term: String::with_capacity(2 * TERM_BYTES_MAX), stemmer: Stemmer::create(Algorithm::English), stems: Vec::new() }
    }

    /// For whole corpora.
    fn remembering() -> Self {
        Self { stems: vec![Stem { word: [0; 16], stem: [0; 16] }; STEM_SLOTS], ..Self::new() }
    }

    /// The term that `segment` of `text` becomes; empty when nothing is left of it.
    pub(crate) fn term(&mut self, text: &str, segment: Segment) -> &str {
        self.fold(text, segment);
        self.stem();
        &self.term
    }

    /// As [`term`](Self::term), but not stemmed.
    pub(crate) fn folded(&mut self, text: &str, segment: Segment) -> &str {
        self.fold(text, segment);
        &self.term
    }

    fn fold(&mut self, text: &str, segment: Segment) {
        self.term.clear();
        let end = text.floor_char_boundary(segment.end.min(segment.start + TERM_BYTES_MAX));
        let Some(part) = text.get(segment.start..end) else { return };
        match segment.kind {
            Kind::Ascii => {
                self.term.push_str(part);
                self.term.make_ascii_lowercase();
            }
            Kind::Word => part.chars().for_each(|c| fold_word(c, &mut self.term)),
            Kind::Run => part.chars().for_each(|c| fold_sign(c, &mut self.term)),
        }
    }

    /// Stems the term, if it is spelt like an English word.
    fn stem(&mut self) {
        let is_stemmed = self.term.len() > 2 && self.term.bytes().all(|b| b.is_ascii_lowercase());
        if !is_stemmed {
            return;
        }
        if self.stems.is_empty() || self.term.len() > 15 {
            let stem = self.stemmer.stem(&self.term);
            // A stem is a prefix of its word, but for its last letters.
            if stem != self.term {
                self.term = stem.into_owned();
            }
            return;
        }
        let word = packed(self.term.as_bytes());
        let slot = slot_of(word);
        let Some(known) = self.stems.get_mut(slot) else { return };
        if known.word != word {
            let stem = self.stemmer.stem(&self.term);
            *known = Stem { word, stem: packed(stem.as_bytes()) };
        }
        let length = usize::from(known.stem[15]);
        if let Some(Ok(stem)) = known.stem.get(..length).map(std::str::from_utf8) {
            self.term.clear();
            self.term.push_str(stem);
        }
    }
}

/// Up to 15 bytes with their count in the last.
fn packed(bytes: &[u8]) -> [u8; 16] {
    let mut packed = [0; 16];
    for (to, from) in packed.iter_mut().zip(bytes.iter().take(15)) {
        *to = *from;
    }
    packed[15] = bytes.len().min(15) as u8;
    packed
}

fn slot_of(word: [u8; 16]) -> usize {
    let number = u128::from_le_bytes(word);
    let mixed = ((number as u64) ^ ((number >> 64) as u64).rotate_left(31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize % STEM_SLOTS
}

/// The tokenizer of the index's `content` field.
pub(crate) struct ContentTokenizer {
    terms: Terms,
    token: Token,
}

impl ContentTokenizer {
    pub(crate) fn new() -> Self {
        Self { terms: Terms::remembering(), token: Token::default() }
    }
}

/// A clone starts with an empty table: clones go to other threads, and stems are found again fast.
impl Clone for ContentTokenizer {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Tokenizer for ContentTokenizer {
    type TokenStream<'a> = ContentStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> ContentStream<'a> {
        self.token.position = usize::MAX;
        ContentStream { segments: Segments::new(text, Singles::Signs), text, tokenizer: self }
    }
}

/// The terms of one value.
pub(crate) struct ContentStream<'a> {
    segments: Segments<'a>,
    text: &'a str,
    tokenizer: &'a mut ContentTokenizer,
}

impl TokenStream for ContentStream<'_> {
    fn advance(&mut self) -> bool {
        for segment in self.segments.by_ref() {
            let term = self.tokenizer.terms.term(self.text, segment);
            if term.is_empty() {
                continue;
            }
            let token = &mut self.tokenizer.token;
            token.text.clear();
            token.text.push_str(term);
            token.position = token.position.wrapping_add(1);
            token.offset_from = segment.start;
            token.offset_to = segment.end;
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        &self.tokenizer.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokenizer.token
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indexed(text: &str) -> Vec<String> {
        let mut tokenizer = ContentTokenizer::new();
        let mut stream = tokenizer.token_stream(text);
        let mut terms = Vec::new();
        while stream.advance() {
            terms.push(stream.token().text.clone());
        }
        terms
    }

    #[test]
    fn english_words_are_stemmed_and_others_folded() {
        assert_eq!(indexed("Running runners RAN"), ["run", "runner", "ran"]);
        assert_eq!(indexed("Cafés of Łódź, 1990s"), ["cafe", "of", "lodz", "1990s"]);
        assert_eq!(indexed("ＴＯＫＹＯ 東京"), ["tokyo", "東京", "東", "京"]);
    }

    #[test]
    fn a_term_is_bounded() {
        let terms = indexed(&"é".repeat(5_000));
        assert_eq!(terms, ["e".repeat(TERM_BYTES_MAX / 2)]);
    }

    proptest! {
        #[test]
        fn remembering_stems_changes_no_term(words in proptest::collection::vec("[a-z]{1,20}(ing|ed|ies|ly|ness)?", 1..40)) {
            let text = words.join(" ");
            let mut plain = Terms::new();
            let expected: Vec<_> = Segments::new(&text, Singles::Signs).map(|segment| plain.term(&text, segment).to_owned()).collect();
            // Twice, so that the second half reads what the first half remembered.
            let twice = indexed(&format!("{text} {text}"));
            prop_assert_eq!(&twice, &[expected.clone(), expected].concat());
        }
    }
}
