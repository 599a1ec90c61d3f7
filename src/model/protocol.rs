//! The tag protocol of O-Researcher: which tags there are, how they are written, and where they stand in a text.
//!
//! `subtask_list → (subtask → (think → plan → call → observation)+ → subtask_answer)+ → suggested_answer`. Pure text, one pass, no opinion on
//! what a violation means: that is the filter's business.

use std::ops::Range;

/// A tag of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolTag {
    /// All subtasks, one a line.
    SubtaskList,
    /// The subtask that is researched next.
    Subtask,
    /// Reasoning.
    Think,
    /// What to do next.
    Plan,
    /// A call of the tool `web_search`.
    WebSearch,
    /// A call of the tool `crawl_page`.
    CrawlPage,
    /// What a call returned.
    Observation,
    /// What came of a subtask.
    SubtaskAnswer,
    /// The report.
    SuggestedAnswer,
}

impl ProtocolTag {
    /// All of them, in the order in which they first appear.
    pub const ALL: [Self; 9] = [
        Self::SubtaskList,
        Self::Subtask,
        Self::Think,
        Self::Plan,
        Self::WebSearch,
        Self::CrawlPage,
        Self::Observation,
        Self::SubtaskAnswer,
        Self::SuggestedAnswer,
    ];

    /// Its name between the brackets.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubtaskList => "subtask_list",
            Self::Subtask => "subtask",
            Self::Think => "think",
            Self::Plan => "plan",
            Self::WebSearch => "web_search",
            Self::CrawlPage => "crawl_page",
            Self::Observation => "observation",
            Self::SubtaskAnswer => "subtask_answer",
            Self::SuggestedAnswer => "suggested_answer",
        }
    }

    /// `text` between this tag's brackets.
    pub fn enclose(self, text: &str) -> String {
        let name = self.name();
        format!("<{name}>{text}</{name}>")
    }
}

/// A tag in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagAt {
    /// Which.
    pub tag: ProtocolTag,
    /// Whether it closes.
    pub closes: bool,
    /// From its `<` to after its `>`, in bytes.
    pub range: Range<usize>,
}

/// All tags of the protocol in `text`, in order.
pub fn tags(text: &str) -> Vec<TagAt> {
    text.match_indices('<').filter_map(|(start, _)| tag_at(text, start)).collect()
}

fn tag_at(text: &str, start: usize) -> Option<TagAt> {
    let rest = text.get(start + 1..)?;
    let (closes, rest) = match rest.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    // The longest name decides: `subtask` is the beginning of two others, but only one of them has the bracket next.
    let tag = ProtocolTag::ALL.into_iter().find(|tag| rest.strip_prefix(tag.name()).is_some_and(|rest| rest.starts_with('>')))?;
    let end = start + 1 + usize::from(closes) + tag.name().len() + 1;
    Some(TagAt { tag, closes, range: start..end })
}

/// What stands in the last `tag` of `text`, trimmed: up to its closing tag, or to the end of a text that does not close it.
pub fn last_part(text: &str, tag: ProtocolTag) -> Option<&str> {
    let found = tags(text);
    let open = found.iter().rposition(|at| at.tag == tag && !at.closes)?;
    let from = found.get(open)?.range.end;
    let close = found.iter().skip(open + 1).find(|at| at.tag == tag && at.closes);
    Some(text.get(from..close.map_or(text.len(), |at| at.range.start))?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_name_is_found_whether_it_is_closed_or_not() {
        let text = "<think>a</think><subtask_answer>one</subtask_answer> <subtask_answer>\ntwo < 3 <b>\n</subtask_answer><subtask_list>x";
        assert_eq!(last_part(text, ProtocolTag::SubtaskAnswer), Some("two < 3 <b>"));
        assert_eq!(last_part(text, ProtocolTag::SubtaskList), Some("x"));
        assert_eq!(last_part(text, ProtocolTag::Subtask), None);
        assert_eq!(tags("</plan>< plan><Plan>").len(), 1, "names are exact");
    }
}
