//! The terms of a query.
//!
//! A query is text, never syntax: quotes, operators and colons separate words like any other punctuation. English function words are left
//! out here and not in the index, so a query of nothing else still finds what it says.

use crate::segments::{Segments, Singles};
use crate::terms::Terms;

/// Only so much of a query is looked at, in bytes.
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Only so many distinct terms of a query are looked up, the first ones.
const DISTINCT_MAX: usize = 256;

/// A distinct term of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueryTerm {
    pub(crate) text: String,
    /// How often the query says it.
    pub(crate) count: u32,
}

/// The distinct terms of `query`, in the order of their first occurrence.
pub(crate) fn query_terms(query: &str) -> Vec<QueryTerm> {
    let looked_at = query.get(..query.floor_char_boundary(QUERY_BYTES_MAX)).unwrap_or(query);
    let telling = collect(looked_at, |folded| STOP_WORDS.binary_search(&folded).is_err());
    if telling.is_empty() { collect(looked_at, |_| true) } else { telling }
}

fn collect(query: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<QueryTerm> {
    let mut terms = Terms::new();
    let mut distinct: Vec<QueryTerm> = Vec::new();
    for segment in Segments::new(query, Singles::None) {
        if !is_wanted(terms.folded(query, segment)) {
            continue;
        }
        let term = terms.term(query, segment);
        if let Some(known) = distinct.iter_mut().find(|known| known.text == term) {
            known.count += 1;
        } else if !term.is_empty() && distinct.len() < DISTINCT_MAX {
            distinct.push(QueryTerm { text: term.to_owned(), count: 1 });
        }
    }
    distinct
}

/// Sorted, folded, not stemmed.
const STOP_WORDS: [&str; 78] = [
    "a", "about", "also", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by", "can", "could", "d", "did", "do",
    "does", "doing", "for", "from", "had", "has", "have", "having", "he", "her", "him", "his", "how", "i", "if", "in", "into", "is", "it",
    "its", "ll", "m", "me", "my", "no", "not", "of", "on", "or", "our", "re", "s", "she", "such", "t", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "ve", "was", "we", "were", "what", "when", "where", "which", "who", "whom",
    "whose", "why", "with",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(query: &str) -> Vec<(String, u32)> {
        query_terms(query).into_iter().map(|term| (term.text, term.count)).collect()
    }

    #[test]
    fn function_words_go_unless_nothing_else_is_there() {
        assert!(STOP_WORDS.is_sorted());
        assert_eq!(texts("Who was the painter of the painters' guild?"), [("painter".into(), 2), ("guild".into(), 1)]);
        assert_eq!(texts("The Who"), [("the".into(), 1), ("who".into(), 1)]);
        assert_eq!(texts(" ?!"), []);
    }

    #[test]
    fn syntax_is_punctuation() {
        assert_eq!(texts("title:\"blue whale\" AND (size^2 OR -1989)").len(), 6);
        assert_eq!(texts("東京タワー"), [("東京".into(), 1), ("京タ".into(), 1), ("タワ".into(), 1), ("ワー".into(), 1)]);
        assert_eq!(texts("猫"), [("猫".into(), 1)]);
    }

    #[test]
    fn an_endless_query_is_bounded() {
        let endless: String = (0..100_000).map(|n| format!("w{n}x ")).collect();
        let terms = query_terms(&endless);
        assert_eq!(terms.len(), DISTINCT_MAX);
        assert_eq!(terms[0].text, "w0x");
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(query in "\\PC{0,80}") {
            let terms = query_terms(&query);
            prop_assert!(terms.iter().all(|term| !term.text.is_empty() && term.count > 0));
        }
    }
}
