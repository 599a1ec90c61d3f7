//! Breaks a line of text into display lines of 80 columns, losing nothing: the display lines of a line, joined, are the line.
//!
//! Breaks fall after spaces, and anywhere in scripts that do without; a word too long for a line is cut between characters. Widths are
//! those of a terminal: wide characters take two columns, combining marks none.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// Width of a display line. One space may hang over the edge.
pub(crate) const COLUMNS: usize = 80;
/// Characters without width cannot make a display line longer than this.
const DISPLAY_LINE_BYTES_MAX: usize = 1024;

/// The display lines of `line`, as byte ranges; an empty line has one. The first `unbroken` bytes stay together.
pub(crate) fn wrap(line: &str, unbroken: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start = at?;
        let rest = line.get(start..)?;
        let end = start + first_bytes(rest, unbroken.saturating_sub(start));
        at = (end < line.len()).then_some(end);
        Some(start..end)
    })
}

/// Length of the first display line of `text`.
fn first_bytes(text: &str, unbroken: usize) -> usize {
    // No character is wider than it has bytes.
    if text.len() <= COLUMNS.max(unbroken) {
        return text.len();
    }
    // Most lines of most texts; a byte is a column there, and only spaces break.
    if let Some(head) = text.as_bytes().get(..=COLUMNS).filter(|head| unbroken == 0 && head.is_ascii()) {
        return first_bytes_of_ascii(head);
    }
    let mut columns = 0;
    let mut opportunity = 0;
    let mut previous = '\0';
    for (at, c) in text.char_indices() {
        let width = width(c);
        if at >= unbroken && at > 0 {
            if may_break(previous, c, width) {
                opportunity = at;
            }
            let hangs = is_space(c) && !is_space(previous);
            if columns + width > COLUMNS && width > 0 && !hangs {
                return if opportunity > 0 { opportunity } else { at };
            }
            if at >= DISPLAY_LINE_BYTES_MAX.max(unbroken) {
                return at;
            }
        }
        columns += width;
        previous = c;
    }
    text.len()
}

/// The same for a text of which `head` is one column more than fits.
fn first_bytes_of_ascii(head: &[u8]) -> usize {
    let is_space = |at: usize| matches!(head.get(at), Some(b' ' | b'\t'));
    if is_space(COLUMNS) && !is_space(COLUMNS - 1) {
        return COLUMNS + 1;
    }
    (1..=COLUMNS).rev().find(|at| is_space(at - 1)).unwrap_or(COLUMNS)
}

/// Columns that `c` takes; a tab takes one.
fn width(c: char) -> usize {
    if c.is_ascii() { 1 } else { c.width().unwrap_or(1) }
}

fn may_break(previous: char, c: char, width_of_c: usize) -> bool {
    if is_space(previous) {
        return true;
    }
    if previous.is_ascii() && c.is_ascii() {
        return false;
    }
    let is_within_cluster = width_of_c == 0 || previous == '\u{200D}';
    let is_unspaced = width_of_c == 2 || width(previous) == 2 || (is_unspaced_narrow(previous) && is_unspaced_narrow(c));
    is_unspaced && !is_within_cluster && !opens(previous) && !closes(c)
}

/// Whether a line may be broken after `c`; no-break spaces are white too.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{A0}' | '\u{2007}' | '\u{202F}')
}

/// Thai, Lao, Myanmar, Khmer and half-width kana.
fn is_unspaced_narrow(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{FF66}'..='\u{FF9F}')
}

/// Whether `c` does not end a line.
fn opens(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '（' | '［' | '｛' | '「' | '『' | '《' | '〈' | '〖' | '〔' | '“' | '‘')
}

/// Whether `c` does not begin a line.
fn closes(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '.' | ',' | ';' | ':' | '!' | '?' | '%' | '”' | '’' | 'ー' | '々')
        || matches!(c, '、' | '。' | '，' | '．' | '；' | '：' | '！' | '？' | '）' | '］' | '｝' | '」' | '』' | '》' | '〉' | '〗' | '〕')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> Vec<&str> {
        wrap(text, 0).map(|range| text.get(range).expect("cut between characters")).collect()
    }

    #[test]
    fn breaks_fall_after_spaces() {
        let text = format!("{} {} end", "a".repeat(40), "b".repeat(40));
        assert_eq!(lines(&text), [format!("{} ", "a".repeat(40)), format!("{} end", "b".repeat(40))]);
        assert_eq!(lines(""), [""]);
    }

    #[test]
    fn a_space_hangs_over_the_edge_and_more_go_on_below() {
        let text = format!("{}   b", "a".repeat(80));
        assert_eq!(lines(&text), [format!("{} ", "a".repeat(80)), "  b".to_owned()]);
    }

    #[test]
    fn words_too_long_for_a_line_are_cut() {
        assert_eq!(lines(&"x".repeat(200)).iter().map(|line| line.len()).collect::<Vec<_>>(), [80, 80, 40]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_break_anywhere() {
        let text = "東".repeat(100);
        assert_eq!(lines(&text).iter().map(|line| line.chars().count()).collect::<Vec<_>>(), [40, 40, 20]);
    }

    #[test]
    fn no_line_begins_with_a_full_stop_of_an_unspaced_script() {
        let text = format!("{}。{}", "京".repeat(40), "都".repeat(3));
        assert_eq!(lines(&text), ["京".repeat(39), "京。都都都".to_owned()]);
    }

    #[test]
    fn thai_breaks_between_letters_but_not_before_a_vowel_sign() {
        let text = "ที่".repeat(90);
        for line in lines(&text) {
            assert!(line.starts_with('ท'), "{line}");
        }
    }

    #[test]
    fn what_is_to_stay_together_does() {
        let text = format!("{} tail words", "long title ".repeat(12));
        assert_eq!(wrap(&text, 132).next(), Some(0..132));
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_and_keeps_to_the_width(text in "([a-z<>|]{1,12}| {1,3}|\t|東京|、|é|e\u{301}|ที่|👩\u{200D}🚀|\u{A0}){0,120}") {
            let lines = lines(&text);
            prop_assert_eq!(lines.concat(), text.clone());
            for line in lines {
                let columns: usize = line.chars().map(width).sum();
                prop_assert!(columns <= COLUMNS + 1);
                prop_assert!(!line.is_empty() || text.is_empty());
            }
        }

        #[test]
        fn the_short_way_for_ascii_leads_where_the_long_one_does(words in prop::collection::vec("[a-z]{1,30}| {1,9}|[a-z]{78,82}", 1..20)) {
            // One character that is not ASCII, as wide as any, sends a line the long way.
            let text = format!("{} end", words.concat());
            let mut long_way = format!("é{}", text.get(1..).unwrap_or(""));
            while long_way.len() > COLUMNS + 2 {
                let (long, short) = (first_bytes(&long_way, 0) - 1, first_bytes(&long_way.replace('é', "e"), 0));
                prop_assert_eq!(long, short);
                long_way = format!("é{}", long_way.get(long + 2..).unwrap_or(""));
            }
        }

        #[test]
        fn marks_without_width_are_bounded(count in 0usize..4000) {
            let text = format!("a{}", "\u{301}".repeat(count));
            let lines = lines(&text);
            prop_assert!(lines.iter().all(|line| line.len() <= DISPLAY_LINE_BYTES_MAX + 4));
            prop_assert_eq!(lines.concat(), text);
        }
    }
}
