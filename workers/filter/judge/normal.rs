//! Text as comparable units: the tokens that two answers must share to be the same answer, and the sentences they stand in.
//!
//! Compatibility forms and letter case are folded, European diacritics dropped, articles and punctuation gone, numbers written one way
//! (`1,234` and `1234`, `twelve` and `12`, `5%` and `5 percent`), initials joined (`U.S.`, `J. K.`). Scripts written without spaces, and Hangul, are
//! compared character by character. Of endings only a plural's `s` goes; more stemming would make different names equal.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// One comparable unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) text: String,
    /// One character of a script that is compared character by character.
    pub(super) is_sign: bool,
}

/// The units of `text` in order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut word = String::new();
    let folded: Vec<char> = text.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36F}')).nfc().flat_map(char::to_lowercase).collect();
    for (n, c) in folded.iter().copied().enumerate() {
        let before = n.checked_sub(1).and_then(|n| folded.get(n)).copied().unwrap_or(' ');
        let after = folded.get(n + 1).copied().unwrap_or(' ');
        let is_in_number = before.is_ascii_digit() && after.is_ascii_digit();
        if is_sign(c) {
            push_word(&mut word, &mut found);
            found.push(Token { text: c.to_string(), is_sign: true });
        } else if c.is_alphanumeric() || is_mark(c) || (c == '.' && is_in_number) {
            word.push(c);
        } else if c == '%' {
            push_word(&mut word, &mut found);
            word.push_str("percent");
            push_word(&mut word, &mut found);
        } else if is_apostrophe(c) {
            // `O'Brien` is one word; the `s` of `Austen's` is none.
            let is_possessive = after == 's' && !folded.get(n + 2).is_some_and(|c| c.is_alphanumeric());
            if is_possessive {
                push_word(&mut word, &mut found);
                word.push('\'');
            }
        } else if !(c == ',' && is_in_number && is_thousands(&folded, n)) {
            push_word(&mut word, &mut found);
        }
    }
    push_word(&mut word, &mut found);
    join_initials(found)
}

/// How much there is to read: a word counts one, a character that is compared alone one half.
pub(super) fn words(tokens: &[Token]) -> f64 {
    tokens.iter().map(|token| if token.is_sign { 0.5 } else { 1.0 }).sum()
}

/// The sentences of `text`, lines apart, each with its units; sentences without units are left out.
pub(super) fn sentences(text: &str) -> Vec<Vec<Token>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut sentence = String::new();
        for piece in line.unicode_sentences() {
            sentence.push_str(piece);
            if !ends_in_abbreviation(piece) {
                found.push(tokens(&std::mem::take(&mut sentence)));
            }
        }
        found.push(tokens(&sentence));
    }
    found.retain(|tokens| !tokens.is_empty());
    found
}

/// Whether the last full stop may belong to an initial or a title (`J.`, `Dr.`, `Mrs.`): a capital and at most two letters more.
fn ends_in_abbreviation(piece: &str) -> bool {
    let Some(word) = piece.trim_end().strip_suffix('.').and_then(|piece| piece.split([' ', '.', '(']).next_back()) else { return false };
    (1..=3).contains(&word.chars().count()) && word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphabetic)
}

/// Words that carry no content: they do not count when a long reference is compared.
pub(super) fn is_stop_word(token: &Token) -> bool {
    const STOP_WORDS: &str = "about after all also and any are as at be because been before being between both but by can could did do does \
        during each for from had has have he her his how i if in into is it its more most not of on or other our she should so some such \
        than that their them then there these they this those to was we were what when where which while who whose why will with would you your";
    STOP_WORDS.split_whitespace().any(|word| word == token.text)
}

fn push_word(word: &mut String, found: &mut Vec<Token>) {
    let text = std::mem::take(word);
    let is_article = matches!(text.as_str(), "a" | "an" | "the");
    // A leading apostrophe marks the `s` of a possessive.
    if text.is_empty() || is_article || text.starts_with('\'') {
        return;
    }
    let text = number_of(&text).unwrap_or_else(|| singular(text));
    found.push(Token { text, is_sign: false });
}

/// Without a plural's `s`, and without the `.0` of a whole number.
fn singular(mut text: String) -> String {
    let is_plural = text.ends_with('s') && !text.ends_with("ss") && text.chars().count() > 3;
    if is_plural {
        text.pop();
    } else if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

/// English number words as digits: references and answers mix the two freely.
fn number_of(word: &str) -> Option<String> {
    const NUMBERS: &str = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
        eighteen nineteen twenty";
    NUMBERS.split_whitespace().position(|number| number == word).map(|n| n.to_string())
}

/// `u`, `s` becomes `us`: single letters in a row are initials.
fn join_initials(tokens: Vec<Token>) -> Vec<Token> {
    let mut joined: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut last_is_initial = false;
    for token in tokens {
        let is_initial = !token.is_sign && token.text.chars().count() == 1 && token.text.chars().all(char::is_alphabetic);
        match joined.last_mut() {
            Some(last) if is_initial && last_is_initial => last.text.push_str(&token.text),
            _ => joined.push(token),
        }
        last_is_initial = is_initial;
    }
    joined
}

/// Whether the comma at `n` separates thousands: exactly three digits follow.
fn is_thousands(chars: &[char], n: usize) -> bool {
    chars.get(n + 1..n + 4).is_some_and(|group| group.iter().all(char::is_ascii_digit))
        && !chars.get(n + 4).is_some_and(char::is_ascii_digit)
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’' | '‘' | 'ʼ')
}

/// Vowel signs and other marks that make another word of the letters they stand on (diacritics of Latin, Greek and Cyrillic are gone by now).
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

fn is_sign(c: char) -> bool {
    matches!(c,
        '\u{0E01}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' // Thai, Lao, Burmese, Khmer
        | '\u{3005}' | '\u{3041}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' // kana
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}' // Han
        | '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7A3}') // Hangul
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words_of(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn one_answer_written_in_two_ways_has_the_same_units() {
        for (a, b) in [
            ("The U.S. Navy", "US navy"),
            ("J. K. Rowling", "J.K. Rowling"),
            ("1,234,567 people", "1234567 people"),
            ("Twelve", "12"),
            ("5%", "5 percent"),
            ("Café Génesis", "cafe genesis"),
            ("Jane Austen's novel", "jane austen novel"),
            ("Ｔｏｋｙｏ １２", "tokyo 12"),
            ("O’Brien", "o'brien"),
            ("two guns", "2 gun"),
            ("36.0", "36"),
            ("「東京」。", "東京"),
        ] {
            assert_eq!(words_of(a), words_of(b), "{a} / {b}");
        }
    }

    #[test]
    fn numbers_that_differ_stay_different() {
        assert_ne!(words_of("1.5"), words_of("15"));
        assert_eq!(words_of("in 1990, 1991"), ["in", "1990", "1991"]);
        assert_eq!(words_of("2,5"), ["2", "5"]);
    }

    #[test]
    fn scripts_without_spaces_are_read_character_by_character() {
        assert_eq!(words_of("东京 Tower塔"), ["东", "京", "tower", "塔"]);
        assert_eq!(words_of("서울은"), ["서", "울", "은"]);
        assert_ne!(words_of("か"), words_of("が"));
    }

    #[test]
    fn an_initial_does_not_end_a_sentence() {
        assert_eq!(sentences("Dr. B. R. Ambedkar wrote it. It was long.\nYes").len(), 3);
        assert_eq!(sentences("它很长。是的。").len(), 2);
    }

    proptest! {
        #[test]
        fn any_text_has_units_and_sentences(text in "(\\PC|['.,%\n0-9]){0,200}") {
            let all: usize = sentences(&text).iter().map(Vec::len).sum();
            prop_assert!(all <= text.chars().count() * 20);
            prop_assert!(tokens(&text).iter().all(|token| !token.text.is_empty()));
        }
    }
}
