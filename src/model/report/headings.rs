//! The headings of a report, and which of them open it or close it, in the languages that reports are mostly written in.
//!
//! A heading is a line marked as one (`#`, a whole line in bold, a line underlined), or a line that is nothing but a title known here. What
//! number it has, in figures, letters or Chinese numerals, does not matter.

use std::ops::Range;

/// Titles of the section that opens a report. A heading opens when one of them is among its words.
const OPENING: &str = "\
    introduction|overview|background|executive summary|summary|preface|abstract|引言|引语|简介|概述|概览|前言|导言|导论|绪论|背景|摘要|簡介|導言|導論|\
    緒論|はじめに|序論|導入|概要|序章|서론|소개|개요|머리말|einleitung|einführung|überblick|résumé|introducción|resumen|introdução|resumo|introduzione|\
    inleiding|inledning|innledning|indledning|johdanto|wprowadzenie|wstęp|úvod|bevezetés|introducere|introducció|въведение|введение|вступление|вступ|\
    εισαγωγή|giriş|مقدمة|المقدمة|مقدمه|מבוא|परिचय|ভূমিকা|บทนำ|giới thiệu|mở đầu|pendahuluan|uvod";

/// Titles of the section that closes it.
const CLOSING: &str = "\
    conclusion|conclusions|concluding remarks|closing remarks|final remarks|summary|结论|总结|结语|结束语|小结|結論|總結|結語|おわりに|終わりに|まとめ|\
    결론|맺음말|요약|fazit|schluss|schlussfolgerung|schlussfolgerungen|zusammenfassung|conclusión|conclusiones|conclusão|conclusões|considerações finais|\
    conclusione|conclusioni|conclusie|slotsom|slutsats|slutsatser|sammanfattning|konklusjon|konklusion|johtopäätökset|yhteenveto|wnioski|podsumowanie|\
    zakończenie|závěr|záver|összegzés|következtetés|concluzie|concluzii|conclusió|conclusions|zaključak|заключение|выводы|вывод|висновки|висновок|\
    συμπέρασμα|συμπεράσματα|sonuç|خاتمة|الخاتمة|نتیجه گیری|סיכום|מסקנות|निष्कर्ष|উপসংহার|บทสรุป|kết luận|kesimpulan|penutup";

/// Longest heading, in characters. A longer line is a paragraph.
const HEADING_CHARS_MAX: usize = 160;

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// Its lines, in bytes, underline included.
    pub(super) lines: Range<usize>,
    /// Whether it may open a report.
    pub(super) opens: bool,
    /// Whether it may close one.
    pub(super) closes: bool,
}

/// The headings of `text` in order. Lines of code are none.
pub(super) fn headings(text: &str) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut in_code = false;
    let mut start = 0;
    let mut before: Option<(Range<usize>, &str)> = None;
    for line in text.split_inclusive('\n') {
        let lines = start..start + line.len();
        start = lines.end;
        if is_fence(line) {
            in_code = !in_code;
        }
        let line = line.trim();
        let under = before.take();
        if in_code || line.is_empty() {
            continue;
        }
        match (marked(line), under) {
            (Some(title), _) => found.push(heading(lines, &words(title))),
            (None, Some((above, title))) if is_underline(line) => found.push(heading(above.start..lines.end, &words(title))),
            (None, _) => {
                let title = words(line);
                match is_title(&title) {
                    true => found.push(heading(lines, &title)),
                    false => before = (line.chars().count() <= HEADING_CHARS_MAX).then_some((lines, line)),
                }
            }
        }
    }
    found
}

/// Whether `line` opens or closes a block of code.
pub fn is_fence(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("```") || line.starts_with("~~~")
}

fn heading(lines: Range<usize>, title: &str) -> Heading {
    let has_one_of = |titles: &str| titles.split('|').any(|known| has(title, known));
    Heading { lines, opens: has_one_of(OPENING), closes: has_one_of(CLOSING) }
}

/// What a line that is marked as a heading says.
fn marked(line: &str) -> Option<&str> {
    if line.chars().count() > HEADING_CHARS_MAX {
        return None;
    }
    let after = line.trim_start_matches('#');
    if after.len() < line.len() {
        return (line.len() - after.len() <= 6 && after.starts_with(char::is_whitespace)).then(|| after.trim());
    }
    // `3. **Findings**` is one too.
    let line = line.trim_end_matches([':', '：']).trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' '));
    let within = |mark: &str| line.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)).filter(|within| !within.contains(mark));
    within("**").or_else(|| within("__"))
}

fn is_underline(line: &str) -> bool {
    line.len() >= 3 && (line.bytes().all(|byte| byte == b'=') || line.bytes().all(|byte| byte == b'-'))
}

/// Whether a line without any mark is nothing but a title that is known here.
fn is_title(words: &str) -> bool {
    OPENING.split('|').chain(CLOSING.split('|')).any(|known| known == words)
}

/// The words of a heading in lower case, with one space between them, without its number.
fn words(title: &str) -> String {
    let lower = title.to_lowercase();
    let all = lower.split(is_between_words).filter(|word| !word.is_empty());
    let unnumbered: Vec<&str> = all.skip_while(|word| is_number(word)).collect();
    unnumbered.join(" ")
}

/// White space and punctuation. Marks that combine with a letter are part of their word.
fn is_between_words(c: char) -> bool {
    let is_punctuation = c.is_ascii_punctuation()
        || matches!(c, '\u{A1}'..='\u{BF}' | '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}');
    c.is_whitespace() || is_punctuation
}

/// `3`, `iv`, `一` or `第三章`.
fn is_number(word: &str) -> bool {
    const CHINESE: &str = "一二三四五六七八九十第章节節部分";
    let are_all = |is_fit: fn(char) -> bool| word.chars().all(is_fit);
    are_all(char::is_numeric) || are_all(|c| matches!(c, 'i' | 'v' | 'x')) || are_all(|c| CHINESE.contains(c))
}

/// Whether the words of `known` stand among those of `title`; in scripts without spaces, its characters.
fn has(title: &str, known: &str) -> bool {
    let is_unspaced =
        |c: char| matches!(c, '\u{0E00}'..='\u{0E7F}' | '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}');
    let is_end = |beside: Option<char>| beside.is_none_or(|c| c == ' ');
    title.match_indices(known).any(|(at, found)| {
        let before = title.get(..at).and_then(|before| before.chars().next_back());
        let after = title.get(at + found.len()..).and_then(|after| after.chars().next());
        known.contains(is_unspaced) || (is_end(before) && is_end(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(bool, bool)> {
        headings(text).into_iter().map(|heading| (heading.opens, heading.closes)).collect()
    }

    #[test]
    fn headings_are_found_in_all_their_forms() {
        for text in [
            "## Introduction",
            "**1. Introduction**",
            "Introduction\n===",
            "Introduction",
            "1.2 Introduction:",
            "__Introduction:__",
            "I. Introduction",
            "1. **Introduction**",
        ] {
            assert_eq!(kinds(&format!("Title of no kind\n\n{text}\nwords\n")), [(true, false)], "{text}");
        }
        assert_eq!(
            kinds("# The tidal mill\n## Introduction and scope\n### Its owners\n## Conclusion"),
            [(false, false), (true, false), (false, false), (false, true)]
        );
    }

    #[test]
    fn what_only_looks_like_a_heading_is_none() {
        for text in [
            "The introduction of the mill was late.",
            "**Bold** words and **more**",
            "1. **Bold** words",
            "#hashtag",
            "####### seven",
            "```\n# Introduction\n```",
            "a\n\n---\nb",
            "| a |\n|---|",
        ] {
            assert_eq!(kinds(text), [], "{text}");
        }
        assert_eq!(kinds("## Inconclusive evidence"), [(false, false)], "words are whole");
    }

    #[test]
    fn reports_in_many_languages_are_opened_and_closed() {
        for (opening, closing) in [
            ("## 一、引言", "## 五、结论与展望"),
            ("## 第一章 緒論", "## 第五章 結論"),
            ("## はじめに", "## まとめ"),
            ("## 1. 서론", "## 4. 결론"),
            ("## Einleitung", "## Fazit und Ausblick"),
            ("## Introduction générale", "## Conclusion générale"),
            ("## Introducción", "## Conclusiones"),
            ("## Введение", "## Заключение"),
            ("## مقدمة", "## الخاتمة"),
            ("## परिचय", "## निष्कर्ष"),
            ("## บทนำ", "## บทสรุป"),
            ("## Giới thiệu", "## Kết luận"),
            ("## Úvod", "## Závěr"),
            ("## Εισαγωγή", "## Συμπεράσματα"),
        ] {
            assert_eq!(kinds(&format!("{opening}\na\n{closing}\nb")), [(true, false), (false, true)], "{opening} {closing}");
        }
    }

    #[test]
    fn titles_are_written_as_they_are_compared() {
        for title in OPENING.split('|').chain(CLOSING.split('|')) {
            assert_eq!(words(title), title);
        }
        assert_eq!(words("**3.2 Conclusions — and outlook**"), "conclusions and outlook");
        assert_eq!(words("نتیجه\u{200C}گیری"), "نتیجه گیری");
    }

    #[test]
    fn lines_are_given_in_bytes_with_their_underline() {
        let text = "东京\n====\nwords\n## 结论\n";
        let lines: Vec<&str> = headings(text).into_iter().filter_map(|heading| text.get(heading.lines)).collect();
        assert_eq!(lines, ["东京\n====\n", "## 结论\n"]);
    }
}
