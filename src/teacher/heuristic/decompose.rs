//! The roles of the recipe `decompose`: planner, researcher with the web tools, extractor, summarizer; and a judge of what they made.
//!
//! Which role is played follows from the system message alone. All of them stand on what the researcher of `browse` knows of questions,
//! sentences and spans; what is their own is the form of what they read and write.

mod aim;
mod cited;
mod extract;
mod part;
mod queries;
mod quotes;
mod report;
mod researcher;
mod rubric;
mod subject;
mod subtasks;
mod trail;
pub(super) mod web;
mod wording;

use model::{Message, Role, Sampling};

use self::part::Part;
use crate::Calls;

/// The next text of a conversation whose system message asks for one of these roles; none where it asks for none.
pub(super) fn next_text(messages: &[Message], calls: Calls, sampling: &Sampling) -> Option<String> {
    let system = messages.iter().find(|message| message.role == Role::System).map(|message| message.text.as_str())?;
    let seed = (sampling.temperature > 0.0).then_some(sampling.seed);
    Some(match Part::of(system)? {
        Part::Planner => subtasks::write(system, messages, seed),
        Part::Researcher => researcher::next_text(system, messages, calls, seed),
        Part::Extractor => extract::write(messages),
        Part::Summarizer => report::write(messages),
        Part::Judge => rubric::write(messages),
    })
}

/// `text` with nothing in it that could be taken for a tag, on one line.
fn untagged(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "‹").replace('>', "›")
}

#[cfg(test)]
mod tests;
