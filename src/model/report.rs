//! The sections of a report, told by its headings: introduction, body and conclusion.
//!
//! Whoever asks for a report and whoever judges it read it here: both mean the same by a section. Pure text, linear in its length; what a
//! report cites is the business of `references`.

mod headings;

use std::ops::Range;

use headings::{Heading, headings};

pub use headings::is_fence;

/// Headings among which the introduction's must be: a title may stand above it.
const OPENING_WITHIN: usize = 2;

/// The sections that a report must have, in bytes, each without its own heading.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sections {
    introduction: Option<Range<usize>>,
    /// From the heading after the introduction to that of the conclusion; none where no heading stands between them.
    pub body: Option<Range<usize>>,
    conclusion: Option<Range<usize>>,
    /// Headings within the body.
    headings: Vec<Heading>,
}

impl Sections {
    /// The sections of `text`, a report without its list of references.
    pub fn of(text: &str) -> Self {
        let found = headings(text);
        let end_of = |at: usize| found.get(at + 1).map_or(text.len(), |next| next.lines.start);
        let section = |at: usize| found.get(at).map(|heading| heading.lines.end..end_of(at));
        // A title may hold an opening word; it is passed over where nothing stands under it and the next heading opens too.
        let is_filled = |at: usize| section(at).and_then(|range| text.get(range)).is_some_and(|within| !within.trim().is_empty());
        let opens = |at: &usize| found.get(*at).is_some_and(|heading| heading.opens);
        let opening = (0..OPENING_WITHIN).filter(opens).find(|at| is_filled(*at)).or_else(|| (0..OPENING_WITHIN).find(opens));
        let after = opening.map_or(0, |at| at + 1);
        let closing = found.iter().rposition(|heading| heading.closes).filter(|at| *at >= after);
        let inner = found.get(after..closing.unwrap_or(found.len())).unwrap_or_default();
        let body_end = closing.and_then(|at| found.get(at)).map_or(text.len(), |heading| heading.lines.start);
        let body = inner.first().map(|heading| heading.lines.start..body_end);
        Self { introduction: opening.and_then(section), body, conclusion: closing.and_then(section), headings: inner.to_vec() }
    }

    /// What is missing or empty, each in a few words; nothing of a report that has all its sections. `text` is the one that they are of.
    pub fn problems(&self, text: &str) -> Vec<String> {
        let is_filled = |range: &Range<usize>| text.get(range.clone()).is_some_and(|within| !within.trim().is_empty());
        let mut problems = Vec::new();
        for (what, section) in [("introduction", &self.introduction), ("conclusion", &self.conclusion)] {
            match section {
                None => problems.push(format!("no heading of {what}")),
                Some(section) if !is_filled(section) => problems.push(format!("the {what} is empty")),
                Some(_) => {}
            }
        }
        let ends = self.headings.iter().skip(1).map(|heading| heading.lines.start).chain(self.body.iter().map(|body| body.end));
        let has_body = self.headings.iter().zip(ends).any(|(heading, end)| is_filled(&(heading.lines.end..end)));
        if !has_body {
            problems.push("no body: no heading with text under it between introduction and conclusion".to_owned());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Mills\n\n## Introduction\nOld mills.\n\n## Findings\nBuilt in 1170.\n\n## Conclusion\nOld.\n";

    fn problems(text: &str) -> Vec<String> {
        Sections::of(text).problems(text)
    }

    #[test]
    fn a_report_with_all_its_sections_has_no_problem_in_whatever_form_its_headings_are() {
        for text in
            [TEXT, "## 一、引言\n磨坊。\n## 二、正文\n内容。\n## 三、结论\n古老。", "Introduction\na\n\n**Findings**\nb\n\n__Fazit__\nc"]
        {
            assert_eq!(problems(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn each_missing_or_empty_section_is_named() {
        for (cut, expected) in [
            ("## Introduction\n", "no heading of introduction"),
            ("Old mills.\n", "the introduction is empty"),
            ("## Conclusion\n", "no heading of conclusion"),
            ("Old.\n", "the conclusion is empty"),
            ("## Findings\n", "no body"),
        ] {
            let found = problems(&TEXT.replace(cut, ""));
            assert!(found.iter().any(|problem| problem.contains(expected)), "{cut}: {found:?}");
        }
        let bare = "## Introduction\na\n## Findings\n\n## More\n## Summary\nb";
        assert!(problems(bare)[0].contains("no body"));
    }

    #[test]
    fn a_summary_opens_at_the_beginning_and_closes_at_the_end() {
        let text = "## Executive summary\nBuilt.\n## Details\nBuilt.\n## Summary\nBuilt.";
        assert_eq!(problems(text), Vec::<String>::new());
        let late = "# T\n## Details\na\n## Overview\nb\n## Conclusion\nc";
        assert!(problems(late)[0].contains("no heading of introduction"));
    }

    #[test]
    fn the_body_goes_from_the_heading_after_the_introduction_to_that_of_the_conclusion() {
        let body = Sections::of(TEXT).body.and_then(|body| TEXT.get(body));
        assert_eq!(body, Some("## Findings\nBuilt in 1170.\n\n"));
        assert_eq!(Sections::of("Old mills.").body, None);
    }
}
