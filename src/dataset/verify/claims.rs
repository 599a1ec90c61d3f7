//! What a row says of itself beyond its observations, held against them: which gold it met, and what its numbered citations rest on.
//!
//! Observations are compared with the corpus elsewhere; here they are taken as they stand.

use std::collections::HashSet;

use corpus::{Corpus, Gold};
use model::{Attribution, Citation, Retrieval, Row};

use super::VerifyReport;

/// The gold documents that turns and row say they met are those that the observations show.
pub(super) fn check_gold(row: &Row, corpus: &Corpus, report: &mut VerifyReport) {
    let gold = match Gold::of(corpus, &row.seed.gold_urls) {
        Ok(gold) => gold,
        Err(error) => {
            report.differs(format!("job {}", row.job_id), format!("its gold documents cannot be looked up: {error}"));
            return;
        }
    };
    check_turns(row, &gold, report);
    let met = gold.met(&row.seed, &row.threads);
    // Rows of `browse` that were written before trajectories said it have none.
    let is_from_before = row.gold.is_none() && row.recipe == "browse";
    if row.gold != met && !is_from_before {
        report.differs(format!("job {}", row.job_id), format!("it says it met {:?} of its gold, its turns met {met:?}", row.gold));
    }
}

fn check_turns(row: &Row, gold: &Gold, report: &mut VerifyReport) {
    for (number, thread) in row.threads.iter().enumerate() {
        for (turn_number, turn) in thread.turns.iter().enumerate() {
            if turn.retrieval != Retrieval::of(&turn.actions, &turn.observations, &gold.urls) {
                let place = format!("job {}, thread {number}, turn {turn_number}", row.job_id);
                report.differs(place, "the gold documents it says it met are not those that its observations show");
            }
        }
    }
}

/// The citations of the row are those that its report has, followed once more; each citation of a thread that names a document rests on what that
/// conversation was shown, and says no more than it can.
pub(super) fn check_numbered_citations(row: &Row, corpus: &Corpus, report: &mut VerifyReport) {
    let answer = row.answer.as_deref().unwrap_or_default();
    let mut observations = row.threads.iter().flat_map(|thread| &thread.turns).flat_map(|turn| &turn.observations);
    match corpus::resolve_numbered(corpus, answer, &mut observations) {
        Ok(followed) if followed.iter().map(said).eq(row.citations.iter().map(said)) => {}
        Ok(_) => report.differs(format!("job {}", row.job_id), "its citations are not those of its report"),
        Err(error) => report.differs(format!("job {}", row.job_id), format!("its citations cannot be followed: {error}")),
    }
    let mut known = HashSet::new();
    for thread in &row.threads {
        if !thread.continues {
            known.clear();
        }
        for observation in thread.turns.iter().flat_map(|turn| &turn.observations) {
            let opened = observation.url_opened.iter().chain(&observation.urls_opened_too);
            known.extend(observation.urls_shown.iter().chain(opened).map(String::as_str));
        }
        for citation in &thread.citations {
            if let Some(what) = wrong_with(citation, &known) {
                report.differs(place(row, citation), what);
            }
        }
    }
}

/// A citation as it is compared: a document without a title has none.
fn said(citation: &Citation) -> Citation {
    Citation { title: citation.title.clone().filter(|title| !title.is_empty()), ..citation.clone() }
}

fn place(row: &Row, citation: &Citation) -> String {
    format!("job {}, citation {}", row.job_id, citation.marker)
}

fn wrong_with(citation: &Citation, known: &HashSet<&str>) -> Option<String> {
    match (&citation.url, citation.attribution) {
        (None, Attribution::Unresolved) => None,
        (None, _) => Some("it is said to resolve, and to no document".into()),
        (Some(url), Attribution::Unresolved) => Some(format!("it names {url} and is said not to resolve")),
        (Some(url), _) if !known.contains(url.as_str()) => Some(format!("it resolves to {url}, which no observation shows")),
        (Some(_), _) => citation.lines.map(|_| "it names lines, which a number cannot".into()),
    }
}
