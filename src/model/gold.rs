//! How much of a seed's gold documents a trajectory met, and when: search-hit, open-hit, first-hit turn and evidence recall of one row.

use std::collections::{HashMap, HashSet};

use crate::{Action, GoldMet, Observation, Retrieval, Seed, Thread};

impl Retrieval {
    /// The gold documents among what the searches of one turn found and its other calls opened, each once, in the order in which they were met.
    /// `gold` maps the URL of a document of the corpus to the gold URL as the seed writes it.
    pub fn of(actions: &[Action], observations: &[Observation], gold: &HashMap<String, String>) -> Self {
        let mut met = Self::default();
        for (action, observation) in actions.iter().zip(observations) {
            let opened = observation.url_opened.iter().chain(&observation.urls_opened_too);
            push_new(&mut met.gold_opened, opened.filter_map(|url| gold.get(url)));
            if is_search(action) {
                push_new(&mut met.gold_shown, observation.urls_shown.iter().filter_map(|url| gold.get(url)));
            }
        }
        met
    }
}

fn is_search(action: &Action) -> bool {
    matches!(action.tool.trim(), "search" | "web_search")
}

/// A turn meets a handful of gold documents at most, so a list is searched.
fn push_new<'a>(known: &mut Vec<String>, met: impl Iterator<Item = &'a String>) {
    for url in met {
        if !known.contains(url) {
            known.push(url.clone());
        }
    }
}

impl GoldMet {
    /// What `threads` met of the gold documents of `seed`; `None` for a seed without any.
    ///
    /// A gold URL counts once, however often it was met; what is none of the seed's does not count. A document that was opened without ever
    /// being a search result counts as opened only.
    pub fn of(seed: &Seed, threads: &[Thread]) -> Option<Self> {
        let gold: HashSet<&str> = seed.gold_urls.iter().map(String::as_str).collect();
        if gold.is_empty() {
            return None;
        }
        let mut met = Self { documents: count(gold.len()), ..Self::default() };
        let (mut shown, mut opened) = (HashSet::new(), HashSet::new());
        for (turn, number) in threads.iter().flat_map(|thread| &thread.turns).zip(1..) {
            for (urls, known, first) in [
                (&turn.retrieval.gold_shown, &mut shown, &mut met.first_shown_turn),
                (&turn.retrieval.gold_opened, &mut opened, &mut met.first_opened_turn),
            ] {
                known.extend(urls.iter().map(String::as_str).filter(|url| gold.contains(url)));
                if first.is_none() && !known.is_empty() {
                    *first = Some(number);
                }
            }
        }
        (met.shown, met.opened) = (count(shown.len()), count(opened.len()));
        Some(met)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, FinishReason, ThreadRole, Turn, Usage};

    fn thread(met: &[(&[&str], &[&str])]) -> Thread {
        let owned = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect();
        let turn = |(shown, opened): &(&[&str], &[&str])| Turn {
            reasoning: None,
            text: String::new(),
            raw: None,
            actions: Vec::new(),
            observations: Vec::new(),
            notices: Vec::new(),
            retrieval: Retrieval { gold_shown: owned(shown), gold_opened: owned(opened) },
            finish_reason: FinishReason::Stop,
            usage: Usage::default(),
        };
        Thread::new(ThreadRole::Researcher, Digest::of(b""), met.iter().map(turn).collect())
    }

    fn seed(gold: &[&str]) -> Seed {
        serde_json::from_value(serde_json::json!({"id": "s", "question": "q", "gold_urls": gold})).expect("a seed")
    }

    #[test]
    fn each_gold_document_counts_once_and_turns_go_on_from_thread_to_thread() {
        let threads = [thread(&[(&[], &[])]), thread(&[(&["a"], &[]), (&["a", "b"], &["c"])]), thread(&[(&["b"], &["a", "c"])])];
        let met = GoldMet::of(&seed(&["a", "b", "c", "d", "a"]), &threads).expect("gold");
        let expected = GoldMet { documents: 4, shown: 2, opened: 2, first_shown_turn: Some(2), first_opened_turn: Some(3) };
        assert_eq!(met, expected, "c was opened and never among results: it counts as opened only");
    }

    #[test]
    fn every_document_that_a_call_opened_is_met_under_the_name_that_the_seed_gives_it() {
        let gold = ["a", "b", "c"].map(|url| (format!("https://{url}"), format!("http://{url}"))).into();
        let observation = Observation {
            urls_shown: vec!["https://b".into(), "https://x".into(), "https://b".into()],
            url_opened: Some("https://c".into()),
            urls_opened_too: vec!["https://a".into(), "https://y".into()],
            ..Observation::default()
        };
        let called = |tool: &str| -> Action {
            serde_json::from_value(serde_json::json!({"id": "", "tool": tool, "arguments": {}, "dialect": "hermes"})).expect("an action")
        };
        let observations = [observation.clone(), observation];
        let met = Retrieval::of(&["crawl_page", "web_search"].map(called), &observations, &gold);
        let opened = vec!["http://c".to_owned(), "http://a".to_owned()];
        assert_eq!((met.gold_shown, &met.gold_opened), (vec!["http://b".to_owned()], &opened));
        let met = Retrieval::of(&["open", "find"].map(called), &observations, &gold);
        assert_eq!((met.gold_shown, met.gold_opened), (Vec::new(), opened), "what is opened was not found by that");
    }

    #[test]
    fn a_seed_without_gold_measures_nothing_and_what_is_not_its_own_does_not_count() {
        let threads = [thread(&[(&["a"], &["a"])])];
        assert_eq!(GoldMet::of(&seed(&[]), &threads), None);
        assert_eq!(GoldMet::of(&seed(&["b"]), &threads), Some(GoldMet { documents: 1, ..GoldMet::default() }));
    }
}
