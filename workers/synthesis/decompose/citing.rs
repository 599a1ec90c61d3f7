//! From every researcher's own numbers to one list of references for the whole trajectory.
//!
//! A citation counts when the page it names was shown to that researcher. Those that do are numbered in the order in which the subtask answers
//! first cite their pages, each page once; those that do not lose their marker in the answer and stay on record as unresolved.

use std::collections::{BTreeMap, HashMap};

use model::references::{Reference, renumber, split_references};
use model::{Attribution, Observation, Thread, Usage};
use runtime::Failure;

use super::Found;
use crate::desk::{Desk, DeskError};

/// The researchers' threads with their answers, and the references that these name.
pub(super) struct Merged {
    pub(super) threads: Vec<Thread>,
    pub(super) usage: Usage,
    /// By number, from 1.
    pub(super) references: Vec<Reference>,
}

/// Joins what the researchers found.
pub(super) async fn merge(desk: &Desk, found: Vec<Found>) -> Result<Merged, Failure> {
    let mut merged = Merged { threads: Vec::with_capacity(found.len()), usage: Usage::default(), references: Vec::new() };
    let mut number_of: HashMap<String, u32> = HashMap::new();
    let mut shown: Vec<Observation> = Vec::new();
    for Found { mut thread, usage, answer } in found {
        merged.usage += usage;
        // In one conversation a later subtask may rest on a page that an earlier one was shown.
        if !thread.continues {
            shown.clear();
        }
        shown.extend(thread.turns.iter().flat_map(|turn| &turn.observations).map(without_text));
        if let Some(answer) = answer {
            thread.citations = desk.numbered_citations(answer.clone(), shown.clone()).await.map_err(unresolvable)?;
            let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
            for citation in thread.citations.iter().filter(|citation| citation.attribution == Attribution::Shown) {
                let (Some(url), Some(own)) = (&citation.url, number_in(&citation.marker)) else { continue };
                let next = u32::try_from(merged.references.len() + 1).unwrap_or(u32::MAX);
                let number = *number_of.entry(url.clone()).or_insert(next);
                if number == next {
                    let title = citation.title.clone().unwrap_or_default();
                    merged.references.push(Reference { number, url: url.clone(), title });
                }
                numbers.insert(own, number);
            }
            let (body, _) = split_references(&answer);
            let numbered = renumber(body.trim(), &numbers);
            thread.answer = Some(numbered.trim().to_owned()).filter(|answer| !answer.is_empty());
        }
        merged.threads.push(thread);
    }
    Ok(merged)
}

/// The number of the marker `[n]`.
pub(super) fn number_in(marker: &str) -> Option<u32> {
    marker.trim_matches(['[', ']']).parse().ok()
}

/// What of an observation says which pages were shown.
fn without_text(observation: &Observation) -> Observation {
    let Observation { urls_shown, url_opened, urls_opened_too, .. } = observation.clone();
    Observation { urls_shown, url_opened, urls_opened_too, ..Observation::default() }
}

fn unresolvable(error: DeskError) -> Failure {
    match error {
        DeskError::Corpus(_) => Failure::outage("corpus_fault", error.to_string()),
        DeskError::Panic(_) => Failure::transient("tool_panic", error.to_string()),
    }
}
