//! Rows that were made with a small corpus, and what is found when they are forged.

use corpus::{Browser, BuildOptions, ToolLimits};
use model::settings::RecipeSettings;
use model::{Action, Attribution, Citation, Digest, GoldMet, Retrieval, Row, Thread, ThreadRole};
use serde_json::json;

use super::*;
use crate::testing::{acts, call, campaign, observed, researcher, row, says};

const LIGHT: &str = "https://harbour.example/light";

struct Ground {
    corpus: Corpus,
    _folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("documents.jsonl");
        let long = "The keeper wrote down what the weather was, and what passed in the sound. ".repeat(200);
        let lines = [
            json!({"url": LIGHT, "title": "Skarholm Light", "text": format!("Skarholm Light was lit in 1871. {long}")}),
            json!({"url": "https://harbour.example/pier", "title": "The pier", "text": "The pier of Skarholm burnt in 1902."}),
        ];
        std::fs::write(&source, lines.map(|line| line.to_string()).join("\n")).expect("written");
        let options = BuildOptions { sources: vec![source], target: folder.path().join("corpus"), strict: true, threads: 1 };
        corpus::build(&options, &mut |_| {}).expect("built");
        Self { corpus: Corpus::open(&options.target).expect("opened"), _folder: folder }
    }

    fn found(&self, row: &Row, limits: Option<ToolLimits>) -> Vec<String> {
        let recipe = campaign(&row.recipe, 1, 1).settings.recipe;
        let ground = replay::Ground::new(self.corpus.clone(), &recipe);
        let ground = limits.map_or(ground.clone(), |limits| ground.with_limits(limits));
        let mut report = VerifyReport::default();
        replay::replay(row, &ground, &mut report);
        claims::check_gold(row, &self.corpus, &mut report);
        assert_eq!(report.differences, report.described.len() as u64);
        report.described.into_iter().map(|difference| format!("{}: {}", difference.place, difference.what)).collect()
    }

    /// The actions carried out in one browser, each with what it returned.
    fn perform(&self, limits: ToolLimits, actions: &[Action]) -> Vec<(Action, model::Observation)> {
        let mut browser = Browser::new(self.corpus.clone(), limits);
        actions.iter().map(|action| (action.clone(), corpus::perform(&mut browser, action))).collect()
    }

    /// A row of `browse` that found the light, opened it and cites it.
    fn browsed(&self, limits: ToolLimits) -> Row {
        let actions = [call("search", &json!({"query": "Skarholm Light"})), call("open", &json!({"id": LIGHT}))];
        let mut browser = Browser::new(self.corpus.clone(), limits);
        let performed: Vec<_> = actions.into_iter().map(|action| (action.clone(), corpus::perform(&mut browser, &action))).collect();
        let mut turns: Vec<_> = performed.into_iter().map(|pair| acts("r", "", vec![pair])).collect();
        let gold = [(LIGHT.to_owned(), LIGHT.to_owned())].into();
        turns.iter_mut().for_each(|turn| turn.retrieval = Retrieval::of(&turn.actions, &turn.observations, &gold));
        assert_eq!((turns[0].retrieval.gold_opened.len(), turns[1].retrieval.gold_opened.len()), (0, 1));
        turns.push(says("In 1871【1†L0】."));
        let thread = Thread::new(ThreadRole::Researcher, Digest::of(b""), turns);
        let mut row = row(vec![thread], Some("In 1871【1†L0】."));
        row.recipe = "browse".into();
        row.citations = corpus::resolve_citations(&browser, "In 1871【1†L0】.");
        row.seed.gold_urls = vec![LIGHT.into()];
        row.gold = GoldMet::of(&row.seed, &row.threads);
        row
    }
}

fn cites(url: Option<&str>, attribution: Attribution) -> Citation {
    Citation { marker: "[1]".into(), url: url.map(str::to_owned), title: None, lines: None, attribution }
}

/// Two researchers; the first was shown the light, the second opened the pier and another page with it.
fn decomposed() -> Row {
    let shown = model::Observation { urls_shown: vec![LIGHT.into()], ..observed("a list") };
    let opened = model::Observation {
        url_opened: Some("https://a.example".into()),
        urls_opened_too: vec!["https://b.example".into()],
        ..observed("two pages")
    };
    let turn = |tool: &str, observation| vec![acts("r", "", vec![(call(tool, &json!({})), observation)])];
    let mut threads = vec![researcher("s", turn("web_search", shown), None), researcher("t", turn("crawl_page", opened), None)];
    threads[1].citations = vec![cites(Some("https://b.example"), Attribution::Shown)];
    let mut row =
        row(threads, Some(&format!("It was lit in 1871 [1] . More is said [2] .\n\n## References\n[1]. {LIGHT} - Skarholm Light\n")));
    let ground = Ground::new();
    let mut observations = row.threads.iter().flat_map(|thread| &thread.turns).flat_map(|turn| &turn.observations);
    let answer = row.answer.as_deref().unwrap_or_default();
    row.citations = corpus::resolve_numbered(&ground.corpus, answer, &mut observations).expect("a readable corpus");
    row
}

fn citations_found(row: &Row) -> Vec<String> {
    let mut report = VerifyReport::default();
    claims::check_numbered_citations(row, &Ground::new().corpus, &mut report);
    report.described.into_iter().map(|difference| difference.what).collect()
}

#[test]
fn a_row_of_browse_is_as_its_corpus_has_it_under_the_limits_it_was_made_with() {
    let ground = Ground::new();
    let limits = ToolLimits::of(&campaign("browse", 1, 1).settings.recipe);
    assert_eq!(ground.found(&ground.browsed(limits), None), Vec::<String>::new());
    let narrow = ToolLimits { window_tokens: 100, ..limits };
    let row = ground.browsed(narrow);
    assert_eq!(ground.found(&row, Some(narrow)), Vec::<String>::new());
    assert!(ground.found(&row, None).iter().any(|what| what.contains("turn 1, open: the observation differs")));
}

#[test]
fn a_forged_citation_of_browse_is_found() {
    let ground = Ground::new();
    let mut row = ground.browsed(ToolLimits::default());
    row.citations[0].lines = Some((0, 1));
    assert!(ground.found(&row, None)[0].contains("its citations resolve otherwise"));
    row = ground.browsed(ToolLimits::default());
    row.threads[0].citations = vec![cites(Some(LIGHT), Attribution::Shown)];
    assert!(ground.found(&row, None)[0].contains("its citations resolve otherwise"));
    row = ground.browsed(ToolLimits::default());
    row.answer = None;
    assert!(ground.found(&row, None)[0].contains("its citations resolve otherwise"), "nothing is cited without an answer");
}

#[test]
fn forged_gold_is_found_in_the_row_and_in_its_turns() {
    let ground = Ground::new();
    let mut row = ground.browsed(ToolLimits::default());
    row.gold = row.gold.map(|gold| GoldMet { first_opened_turn: Some(1), ..gold });
    assert!(ground.found(&row, None)[0].contains("it says it met Some(GoldMet"));
    // Turns and row forged so that they agree with each other: the observations say otherwise.
    row = ground.browsed(ToolLimits::default());
    row.threads[0].turns[0].retrieval.gold_opened = vec![LIGHT.into()];
    row.gold = GoldMet::of(&row.seed, &row.threads);
    let found = ground.found(&row, None);
    assert!(found.len() == 1 && found[0].contains("turn 0: the gold documents it says it met"), "{found:?}");
    row.threads[0].turns[0].retrieval.gold_opened.clear();
    row.gold = None;
    assert_eq!(ground.found(&row, None), Vec::<String>::new(), "a row of browse from before rows said it");
    row.recipe = "decompose".into();
    assert!(ground.found(&row, None).iter().any(|what| what.contains("it says it met None")));
}

#[test]
fn each_thread_of_decompose_is_replayed_in_a_browser_of_its_own_unless_it_goes_on() {
    let ground = Ground::new();
    let recipe = campaign("decompose", 1, 1).settings.recipe;
    assert!(matches!(recipe, RecipeSettings::Decompose(_)));
    let limits = ToolLimits::default();
    let actions = [call("open", &json!({"id": LIGHT, "num_lines": 2})), call("open", &json!({"num_lines": 2}))];
    // With cursors, so that the difference shows: the second call scrolls on from the first.
    let together = ground.perform(limits, &actions);
    let thread = |pair: &(Action, model::Observation)| researcher("s", vec![acts("r", "", vec![pair.clone()])], None);
    let mut row = row(together.iter().map(thread).collect(), None);
    assert!(ground.found(&row, Some(limits)).iter().any(|what| what.contains("thread 1, turn 0, open")));
    row.threads[1].continues = true;
    assert_eq!(ground.found(&row, Some(limits)), Vec::<String>::new());
}

#[test]
fn an_extract_is_not_replayed_and_every_opened_page_is_compared() {
    let ground = Ground::new();
    let limits = ToolLimits::of(&campaign("decompose", 1, 1).settings.recipe);
    let performed = ground.perform(limits, &[call("crawl_page", &json!({"url": [LIGHT, "https://harbour.example/pier"]}))]);
    let mut row = row(vec![researcher("s", vec![acts("r", "", performed)], None)], None);
    row.threads[0].turns[0].observations[0].extract = Some("in brief".into());
    assert_eq!(ground.found(&row, None), Vec::<String>::new());
    row.threads[0].turns[0].observations[0].urls_opened_too.push("https://never.example".into());
    assert!(ground.found(&row, None)[0].contains("what is noted beside it differs"));
}

#[test]
fn numbered_citations_are_those_of_the_report_and_rest_on_what_was_shown() {
    let row = decomposed();
    let attributions: Vec<Attribution> = row.citations.iter().map(|citation| citation.attribution).collect();
    assert_eq!(attributions, [Attribution::Shown, Attribution::Unresolved]);
    assert_eq!(citations_found(&row), Vec::<String>::new());

    let forged = |change: &dyn Fn(&mut Row)| {
        let mut row = decomposed();
        change(&mut row);
        citations_found(&row)
    };
    let differs = ["its citations are not those of its report"];
    assert_eq!(forged(&|row| row.citations.clear()), differs);
    assert_eq!(forged(&|row| row.citations[0].title = Some("Another light".into())), differs);
    assert_eq!(forged(&|row| row.citations[1] = cites(Some(LIGHT), Attribution::Shown)), differs);
    let more = "A forged fact [9] .";
    assert_eq!(forged(&|row| row.answer = row.answer.as_ref().map(|answer| format!("{more} {answer}"))), differs);

    let never = "https://never.example";
    let of_thread = |thread: usize, url: &'static str| {
        forged(&|row: &mut Row| row.threads[thread].citations = vec![cites(Some(url), Attribution::Shown)])
    };
    assert_eq!(of_thread(0, never), [format!("it resolves to {never}, which no observation shows")]);
    assert_eq!(of_thread(0, "https://b.example").len(), 1, "another researcher was shown it");
    assert_eq!(of_thread(0, LIGHT), Vec::<String>::new());
    assert_eq!(
        forged(&|row| row.threads[1].citations = vec![cites(None, Attribution::Shown)]),
        ["it is said to resolve, and to no document"]
    );
}

#[test]
fn a_citation_of_a_shown_page_that_the_report_does_not_list_under_its_number_is_found() {
    for (marker, url) in [("[2]", LIGHT), ("[1]", "https://a.example")] {
        let mut row = decomposed();
        row.citations[0] = Citation { marker: marker.into(), ..cites(Some(url), Attribution::Shown) };
        assert_eq!(citations_found(&row), ["its citations are not those of its report"], "{marker} {url}");
    }
}
