//! White space at the ends of a text, of all kinds that Unicode knows. Hostile texts are made of it, and the standard library decodes every
//! character of it.

/// `text` without white space at its ends.
pub(super) fn trim(text: &str) -> &str {
    trim_end(trim_start(text))
}

/// `text` without white space at its beginning.
pub(super) fn trim_start(text: &str) -> &str {
    text.get(behind(text.as_bytes(), 0)..).unwrap_or_default()
}

/// `text` without white space at its end.
pub(super) fn trim_end(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(before) = end.checked_sub(1) {
        match bytes.get(before) {
            Some(b'\t'..=b'\r' | b' ') => end = before,
            Some(0x80..) => match (2..=WIDTH_MAX).find(|len| end >= *len && bytes.get(end - len..).map_or(0, width) == *len) {
                Some(len) => end -= len,
                None => break,
            },
            _ => break,
        }
    }
    text.get(..end).unwrap_or_default()
}

/// Where the white space ends that begins at `at`.
#[inline]
pub(super) fn behind(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'\t'..=b'\r' | b' ') => at += 1,
            Some(0x80..) => match bytes.get(at..).map_or(0, width) {
                0 => return at,
                len => at += len,
            },
            _ => return at,
        }
    }
}

/// Longest character of white space, in bytes.
const WIDTH_MAX: usize = 3;

/// Length in bytes of the character that `bytes` begin with if it is white space, else 0.
#[inline]
fn width(bytes: &[u8]) -> usize {
    match bytes {
        [b'\t'..=b'\r' | b' ', ..] => 1,
        [0xC2, 0x85 | 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..] | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..] | [0xE2, 0x81, 0x9F, ..] | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_white_space_or_not_as_unicode_has_it() {
        for character in '\0'..=char::MAX {
            let text = format!("{character}a{character}");
            assert_eq!(trim(&text), text.trim(), "{character:?}");
            assert_eq!(trim_start(&text), text.trim_start(), "{character:?}");
        }
        for text in ["", " ", "\u{3000}\u{a0}\t", "\u{2003} é \u{2003}", "é\u{a0}"] {
            assert_eq!(trim(text), text.trim());
        }
    }
}
