//! The merged trace keeps to the tag protocol of O-Researcher: every tag closed, filled and in order, every call with its observation.
//!
//! `subtask_list → (subtask → (think → plan? → call → observation)+ → subtask_answer)+ → suggested_answer`. Beyond that order a thought, and a plan
//! right after it, may come before any part but an observation: planner, researchers and summarizer think before they answer. Several calls
//! of one turn follow each other; whether each turn began with a thought only the turns tell, and the rule `thinking` does.

use dataset::trace::{Origin, Trace};
use model::Finding;
use model::protocol::{ProtocolTag, TagAt, tags};
use model::settings::ProtocolRule;

use super::{actions, hard};
use crate::candidate::Candidate;

const NAME: &str = "protocol";
/// Part of both markers that O-Researcher's loop guard puts around text it takes for a repetition, and leaves in its trajectories.
pub(super) const DUPLICATE_MARKER: &str = "_OF_DUPLICATE_CONTENT>";
/// Tags in free text that a message quotes.
const QUOTED_MAX: usize = 5;

pub(super) fn check(_: &ProtocolRule, candidate: &Candidate<'_>) -> Vec<Finding> {
    let open = actions(candidate).filter(|(_, observation)| observation.is_none()).count();
    let open = (open > 0).then(|| format!("{open} tool calls were never carried out"));
    open.into_iter().chain(violations(candidate.trace())).map(|message| hard(NAME, message)).collect()
}

/// What is wrong with a trace: the first breach of its order, tags in free text, markers of duplicate content.
fn violations(trace: &Trace) -> Vec<String> {
    let mut found: Vec<String> = breach(&trace.text).into_iter().collect();
    let near = near_tags(trace);
    if !near.is_empty() {
        let quoted: Vec<String> = near.iter().take(QUOTED_MAX).map(|near| format!("`{near}`")).collect();
        found.push(format!("{} tags of the protocol in free text, among them {}", near.len(), quoted.join(", ")));
    }
    let markers = trace.text.matches(DUPLICATE_MARKER).count();
    if markers > 0 {
        found.push(format!("{markers} markers of duplicate content"));
    }
    found
}

/// The first breach of the order. What follows it is mostly its consequence, and is not looked at.
fn breach(text: &str) -> Option<String> {
    let mut order = Order { at: At::Start, has_thought: false, after_thought: false, calls: 0 };
    let tags = tags(text);
    for (n, pair) in tags.chunks(2).enumerate() {
        let problem = part(text, pair).and_then(|tag| order.take(tag));
        if let Err(problem) = problem {
            return Some(format!("part {}: {problem}", n + 1));
        }
    }
    (order.at != At::Done).then(|| format!("the trace ends {}, without `<suggested_answer>`", order.at.words()))
}

/// The tag of a part that is opened, filled and closed.
fn part(text: &str, pair: &[TagAt]) -> Result<ProtocolTag, String> {
    let (open, close) = match pair {
        [open, ..] if open.closes => return Err(format!("`</{}>` closes nothing", open.tag.name())),
        [open, close] => (open, close),
        [open, ..] => return Err(format!("`<{}>` is not closed", open.tag.name())),
        [] => return Err("no tag".to_owned()),
    };
    let name = open.tag.name();
    if close.tag != open.tag || !close.closes {
        let slash = if close.closes { "/" } else { "" };
        return Err(format!("`<{name}>` is not closed before `<{slash}{}>`", close.tag.name()));
    }
    let is_filled = text.get(open.range.end..close.range.start).is_some_and(|within| !within.trim().is_empty());
    if is_filled { Ok(open.tag) } else { Err(format!("`<{name}>` is empty")) }
}

/// Where in the order a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Listed,
    Researching,
    Called,
    Answered,
    Done,
}

impl At {
    fn words(self) -> &'static str {
        match self {
            Self::Start => "before `<subtask_list>`",
            Self::Listed => "after `<subtask_list>`",
            Self::Researching => "within a subtask",
            Self::Called => "after a call that has no `<observation>`",
            Self::Answered => "after `<subtask_answer>`",
            Self::Done => "after `<suggested_answer>`",
        }
    }
}

struct Order {
    at: At,
    /// Whether this subtask has a thought.
    has_thought: bool,
    /// Whether the part before was a thought.
    after_thought: bool,
    /// Calls of this subtask that have their observation.
    calls: u32,
}

impl Order {
    fn take(&mut self, tag: ProtocolTag) -> Result<(), String> {
        let name = tag.name();
        let stray = Err(format!("`<{name}>` stands {}", self.at.words()));
        match (tag, self.at) {
            (ProtocolTag::Think, At::Start | At::Listed | At::Researching | At::Answered) => self.has_thought = true,
            (ProtocolTag::Plan, At::Start | At::Listed | At::Researching | At::Answered) if !self.after_thought => {
                return Err("`<plan>` without a `<think>` right before it".to_owned());
            }
            (ProtocolTag::Plan, At::Start | At::Listed | At::Researching | At::Answered) => {}
            (ProtocolTag::SubtaskList, At::Start) => self.at = At::Listed,
            (ProtocolTag::Subtask, At::Listed | At::Answered) => {
                self.at = At::Researching;
                self.has_thought = false;
                self.calls = 0;
            }
            (ProtocolTag::WebSearch | ProtocolTag::CrawlPage, At::Researching) if !self.has_thought => {
                return Err(format!("`<{name}>` in a subtask without a `<think>` before it"));
            }
            (ProtocolTag::WebSearch | ProtocolTag::CrawlPage, At::Researching) => self.at = At::Called,
            (ProtocolTag::Observation, At::Called) => {
                self.at = At::Researching;
                self.calls = self.calls.saturating_add(1);
            }
            (ProtocolTag::SubtaskAnswer, At::Researching) if self.calls == 0 => {
                return Err("`<subtask_answer>` of a subtask without a call".to_owned());
            }
            (ProtocolTag::SubtaskAnswer, At::Researching) => self.at = At::Answered,
            (ProtocolTag::SuggestedAnswer, At::Answered) => self.at = At::Done,
            _ => return stray,
        }
        self.after_thought = tag == ProtocolTag::Think;
        Ok(())
    }
}

/// What a model wrote that is nearly a tag of the protocol, such as `<Think>` or `< /plan >`: in free text, since it opens and closes nothing.
/// Tags as they must be written are read by their order, wherever they stand.
fn near_tags(trace: &Trace) -> Vec<&str> {
    let written = trace.spans.iter().filter(|span| span.origin == Origin::Model).filter_map(|span| trace.text.get(span.range.clone()));
    written.flat_map(|text| text.match_indices('<').filter_map(|(at, _)| near_tag(text.get(at..)?))).collect()
}

/// Longest white space within a tag that is still taken for one, in bytes.
const SPACE_MAX: usize = 8;

fn near_tag(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('<')?;
    let mut skip = |is_skipped: fn(char) -> bool, most: usize| -> Option<&str> {
        let end = rest.char_indices().find(|(at, c)| *at >= most || !is_skipped(*c)).map_or(rest.len(), |(at, _)| at);
        let (skipped, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(skipped)
    };
    skip(|c| c.is_whitespace() || c == '/', SPACE_MAX)?;
    let name = skip(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'), 24)?.replace('-', "_");
    skip(|c| c.is_whitespace() || c == '/', SPACE_MAX)?;
    let after = rest.strip_prefix('>')?;
    let tag = ProtocolTag::ALL.into_iter().find(|tag| tag.name().eq_ignore_ascii_case(&name))?;
    let whole = text.get(..text.len() - after.len())?;
    let is_exact = whole == format!("<{}>", tag.name()) || whole == format!("</{}>", tag.name());
    (!is_exact).then_some(whole)
}

#[cfg(test)]
mod tests {
    use dataset::trace::Span;
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn trace(text: &str) -> Trace {
        Trace { text: text.into(), spans: vec![Span { range: 0..text.len(), origin: Origin::Model }] }
    }

    const STEP: &str = "<think>t</think>\n<plan>p</plan>\n<web_search>query=a | b&num=5</web_search>\n<observation>o</observation>\n";

    fn whole(research: &str) -> String {
        format!(
            "<think>t</think><subtask_list>1. a\n2. b</subtask_list>\n<subtask>a</subtask>{research}<subtask_answer>x</subtask_answer>\n\
             <subtask>b</subtask>{STEP}<think>enough</think><subtask_answer>y</subtask_answer>\n<think>t</think><suggested_answer>z</suggested_answer>"
        )
    }

    #[test]
    fn a_trace_in_order_has_no_violation() {
        let two_calls_of_a_turn =
            "<think>t</think><crawl_page>u</crawl_page><observation>o</observation><web_search>q</web_search><observation>o</observation>";
        for research in [
            STEP,
            &STEP.repeat(3),
            two_calls_of_a_turn,
            "<think>t</think><think>t</think><crawl_page>u</crawl_page><observation>o</observation>",
        ] {
            assert_eq!(violations(&trace(&whole(research))), Vec::<String>::new(), "{research}");
        }
    }

    #[test]
    fn each_breach_of_the_order_is_named() {
        for (research, expected) in [
            ("<web_search>q</web_search><observation>o</observation>", "part 4: `<web_search>` in a subtask without a `<think>` before it"),
            ("<plan>p</plan>", "`<plan>` without a `<think>` right before it"),
            ("<think>t</think><web_search>q</web_search><think>t</think>", "`<think>` stands after a call that has no `<observation>`"),
            ("<observation>o</observation>", "`<observation>` stands within a subtask"),
            ("<think>t</think>", "`<subtask_answer>` of a subtask without a call"),
            ("<think>t", "`<think>` is not closed before `<subtask_answer>`"),
            ("t</think>", "`</think>` closes nothing"),
            ("<think> \n</think>", "`<think>` is empty"),
            ("<think>t</plan>", "`<think>` is not closed before `</plan>`"),
            ("<think>I call <web_search>q</web_search></think>", "`<think>` is not closed before `<web_search>`"),
            ("<subtask>c</subtask>", "`<subtask>` stands within a subtask"),
            (&format!("{STEP}<suggested_answer>z</suggested_answer>"), "`<suggested_answer>` stands within a subtask"),
        ] {
            let found = violations(&trace(&whole(research)));
            assert!(found.len() == 1 && found[0].contains(expected), "{research}: {found:?}");
        }
    }

    #[test]
    fn a_trace_that_begins_or_ends_out_of_order_is_found() {
        for (text, expected) in [
            ("", "the trace ends before `<subtask_list>`, without `<suggested_answer>`"),
            ("<subtask>a</subtask>", "`<subtask>` stands before `<subtask_list>`"),
            ("<subtask_list>a</subtask_list><suggested_answer>z</suggested_answer>", "`<suggested_answer>` stands after `<subtask_list>`"),
            (whole(STEP).trim_end_matches("</suggested_answer>"), "`<suggested_answer>` is not closed"),
            (&whole(STEP).replace("<suggested_answer>z</suggested_answer>", ""), "the trace ends after `<subtask_answer>`"),
            (&format!("{}<think>more</think>", whole(STEP)), "`<think>` stands after `<suggested_answer>`"),
        ] {
            let found = violations(&trace(text));
            assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_nearly_a_tag_is_one_in_free_text_unless_a_document_says_it() {
        let mut spoilt = trace(&whole(&STEP.replace("<think>t", "<think>the <Plan> and < /web-search > and <crawl_page/>")));
        let found = violations(&spoilt);
        assert!(found.len() == 1 && found[0].contains("3 tags of the protocol in free text"), "{found:?}");
        assert!(found[0].contains("`<Plan>`, `< /web-search >`, `<crawl_page/>`"), "{found:?}");
        spoilt.spans[0].origin = Origin::Observation;
        assert_eq!(violations(&spoilt), Vec::<String>::new());
        for free in ["a < plan b", "<planet>", "x <plan b>", "<thinking>", "the plan: web_search, then think", "<观察>"] {
            assert_eq!(near_tag(free.get(free.find('<').unwrap_or(0)..).expect("a boundary")), None, "{free}");
        }
    }

    #[test]
    fn markers_of_duplicate_content_are_found_wherever_they_stand() {
        let text = whole(&STEP.replace(">o<", ">|<BEGIN_OF_DUPLICATE_CONTENT>|o|<END_OF_DUPLICATE_CONTENT>|<"));
        assert_eq!(violations(&trace(&text)), ["2 markers of duplicate content"]);
    }

    #[test]
    fn a_whole_job_in_order_passes_and_a_call_that_was_never_carried_out_does_not() {
        let mut trajectory = sample::decompose();
        let rule = ProtocolRule { enabled: true };
        assert_eq!(check(&rule, &Candidate::of(&trajectory)), []);
        trajectory.threads[1].turns[0].observations.clear();
        let findings = check(&rule, &Candidate::of(&trajectory));
        assert!(findings[0].message.contains("1 tool calls were never carried out"), "{findings:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_trace_or_is_refused(text in "(<|>|/|think|plan|subtask|_|answer|list|observation|suggested| |\\PC){0,80}") {
            let _found: Vec<String> = violations(&trace(&text));
        }
    }
}
