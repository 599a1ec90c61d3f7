//! What a character is to the index, and what it is folded to.
//!
//! Letters and digits form words; scripts written without spaces, and Hangul, form runs that are indexed by overlapping pairs. Folding
//! makes full-width and half-width forms, ligatures, letter case and European diacritics disappear. It never drops the vowel signs of
//! Indic scripts nor the voicing of kana: there they make other words.

use std::sync::LazyLock;

use unicode_normalization::char::{compose, decompose_compatible, is_combining_mark};

/// What a character is to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Part of a word.
    Word,
    /// Part of a run that is indexed by pairs; one character alone says little (kana, Thai, Lao, Khmer, Myanmar).
    Pair,
    /// Part of a run that is indexed by pairs, and one character alone is often a word (Han, Hangul).
    Sign,
    /// Belongs to the character before it.
    Mark,
    /// Separates.
    Other,
}

/// Characters below this are looked up in tables, made once: most of all text, and asking the Unicode tables is slow.
const KNOWN_END: u32 = 0x3000;

/// What is known of a character below [`KNOWN_END`].
#[derive(Clone, Copy)]
struct Known {
    class: Class,
    /// What it is folded to in a word, if that is one character.
    folded: Option<char>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let known = |code| {
        let c = char::from_u32(code)?;
        let mut text = String::new();
        fold_unknown(c, &mut text);
        let mut chars = text.chars();
        let folded = chars.next().filter(|_| chars.next().is_none());
        Some(Known { class: class_unknown(c), folded })
    };
    // Below the surrogates every number is a character.
    (0..KNOWN_END).map(|code| known(code).unwrap_or(Known { class: Class::Other, folded: None })).collect()
});

/// The class of a character outside ASCII; ASCII is told apart byte by byte.
#[inline]
pub(crate) fn class(c: char) -> Class {
    KNOWN.get(c as usize).map_or_else(|| class_unknown(c), |known| known.class)
}

/// Appends the folded form of a character of a word.
#[inline]
pub(crate) fn fold_word(c: char, folded: &mut String) {
    match KNOWN.get(c as usize).and_then(|known| known.folded) {
        Some(known) => folded.push(known),
        None => fold_unknown(c, folded),
    }
}

/// The first character of what a word or run that starts with `c`, `next` is folded to, where that is quickly told.
#[inline]
pub(crate) fn first_folded(c: char, next: Option<char>) -> Option<char> {
    let is_voiced = next.is_some_and(|next| matches!(next as u32, 0x3099 | 0x309A | 0xFF9E | 0xFF9F));
    match c as u32 {
        _ if is_voiced => None,
        0..KNOWN_END => KNOWN.get(c as usize).and_then(|known| if known.class == Class::Word { known.folded } else { Some(c) }),
        0x3041..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7A3 => Some(c),
        _ => None,
    }
}

fn class_unknown(c: char) -> Class {
    match c as u32 {
        0x00AD | 0x200C | 0x200D | 0x3099 | 0x309A | 0xFF9E | 0xFF9F => Class::Mark,
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0xA9E0..=0xA9FF | 0xAA60..=0xAA7F => {
            if word_class(c) == Class::Other {
                Class::Other
            } else {
                Class::Pair
            }
        }
        0x3041..=0x3096 | 0x309D..=0x309F | 0x30A1..=0x30FA | 0x30FC..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9D => Class::Pair,
        0x3005 | 0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF => Class::Sign,
        0x1100..=0x11FF | 0x3131..=0x318E | 0xA960..=0xA97C | 0xAC00..=0xD7FB | 0xFFA1..=0xFFDC => Class::Sign,
        _ => word_class(c),
    }
}

fn word_class(c: char) -> Class {
    if c.is_alphanumeric() {
        Class::Word
    } else if is_combining_mark(c) {
        Class::Mark
    } else {
        Class::Other
    }
}

fn fold_unknown(c: char, folded: &mut String) {
    decompose_compatible(c, |part| {
        for lower in part.to_lowercase() {
            match lower {
                'ß' => folded.push_str("ss"),
                'æ' => folded.push_str("ae"),
                'œ' => folded.push_str("oe"),
                'þ' => folded.push_str("th"),
                'ø' => folded.push('o'),
                'đ' | 'ð' => folded.push('d'),
                'ł' => folded.push('l'),
                'ħ' => folded.push('h'),
                'ı' => folded.push('i'),
                mark if is_dropped(mark) => {}
                // Some compatibility forms decompose into punctuation and spaces.
                other if other.is_alphanumeric() || is_combining_mark(other) => folded.push(other),
                _ => {}
            }
        }
    });
}

/// Appends the folded form of a character of a run: width and compatibility forms go, voicing stays with its kana.
pub(crate) fn fold_sign(c: char, folded: &mut String) {
    match c as u32 {
        0x3099 | 0x309A | 0xFF9E | 0xFF9F => {
            let voicing = if matches!(c as u32, 0x3099 | 0xFF9E) { '\u{3099}' } else { '\u{309A}' };
            if let Some(voiced) = folded.chars().next_back().and_then(|kana| compose(kana, voicing)) {
                folded.pop();
                folded.push(voiced);
            }
        }
        0xF900..=0xFAFF | 0xFF66..=0xFFDC | 0x2_F800..=0x2_FA1F => decompose_compatible(c, |part| folded.push(part)),
        _ => folded.push(c),
    }
}

/// Combining marks that European, Hebrew and Arabic writing may leave out, and the joiners.
fn is_dropped(mark: char) -> bool {
    matches!(mark as u32,
        0x00AD | 0x0300..=0x036F | 0x0591..=0x05C7 | 0x064B..=0x065F | 0x0670 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x200C | 0x200D | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> String {
        let mut folded = String::new();
        text.chars().for_each(|c| fold_word(c, &mut folded));
        folded
    }

    #[test]
    fn case_width_ligatures_and_diacritics_disappear() {
        assert_eq!(word("Ångström"), "angstrom");
        assert_eq!(word("ＡＢＣ１２"), "abc12");
        assert_eq!(word("ﬁnＳtraße"), "finstrasse");
        assert_eq!(word("İstanbul"), "istanbul");
        assert_eq!(word("Łódź"), "lodz");
        assert_eq!(word("Ночь"), "ночь");
    }

    #[test]
    fn vowel_signs_of_indic_words_stay() {
        assert_eq!(word("हिन्दी"), "हिन्दी");
    }

    #[test]
    fn kana_keep_their_voicing_in_every_width() {
        let mut folded = String::new();
        "ｶﾞか\u{3099}が".chars().for_each(|c| fold_sign(c, &mut folded));
        assert_eq!(folded, "ガがが");
    }

    #[test]
    fn the_quick_first_character_is_that_of_the_folded_word_or_run() {
        for code in 0x80..=0xFFFF_u32 {
            let Some(c) = char::from_u32(code) else { continue };
            let mut folded = String::new();
            match class(c) {
                Class::Word => fold_word(c, &mut folded),
                Class::Sign | Class::Pair => fold_sign(c, &mut folded),
                Class::Mark | Class::Other => continue,
            }
            if let Some(quick) = first_folded(c, None) {
                assert_eq!(folded.chars().next(), Some(quick), "{c:?}");
            }
        }
        assert_eq!(first_folded('か', Some('\u{3099}')), None);
    }

    #[test]
    fn scripts_are_told_apart() {
        assert_eq!(class('é'), Class::Word);
        assert_eq!(class('漢'), Class::Sign);
        assert_eq!(class('한'), Class::Sign);
        assert_eq!(class('カ'), Class::Pair);
        assert_eq!(class('ไ'), Class::Pair);
        assert_eq!(class('฿'), Class::Other);
        assert_eq!(class('。'), Class::Other);
        assert_eq!(class('\u{301}'), Class::Mark);
    }
}
