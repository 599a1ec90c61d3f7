//! A small corpus of our own, and a browser over it that is called as a model calls.

use model::{Action, Observation};

use super::perform;
use crate::browser::{Browser, ToolBox, ToolLimits};
use crate::citations::resolve_citations;
use crate::indexer::Layout;
use crate::snapshot::Corpus;
use crate::testing::{Built, Source};

/// The documents of the golden files.
pub(crate) fn corpus() -> Built {
    corpus_with(&[])
}

/// The same and some more.
pub(crate) fn corpus_with(more: &[String]) -> Built {
    let mut lines: Vec<String> = include_str!("../golden/documents.jsonl").lines().map(str::to_owned).collect();
    lines.extend_from_slice(more);
    Source::new(&lines).build(Layout::ONE_SEGMENT, 1)
}

pub(crate) struct TestBrowser(pub(crate) Browser);

impl TestBrowser {
    pub(crate) fn new(corpus: &Corpus) -> Self {
        Self::with(corpus, ToolLimits::default())
    }

    /// With the web tools.
    pub(crate) fn web(corpus: &Corpus) -> Self {
        Self::with(corpus, ToolLimits { toolbox: ToolBox::Web, ..ToolLimits::default() })
    }

    pub(crate) fn with(corpus: &Corpus, limits: ToolLimits) -> Self {
        Self(Browser::new(corpus.clone(), limits))
    }

    /// Calls a tool with arguments written as JSON.
    pub(crate) fn call(&mut self, tool: &str, arguments: &str) -> Observation {
        perform(&mut self.0, &action(tool, arguments))
    }

    /// The same, which must succeed.
    pub(crate) fn show(&mut self, tool: &str, arguments: &str) -> Observation {
        let observation = self.call(tool, arguments);
        assert_eq!(observation.error, None, "{}", observation.text);
        observation
    }

    /// The same, which must fail: the kind of trouble and its text.
    pub(crate) fn trouble(&mut self, tool: &str, arguments: &str) -> (String, String) {
        let observation = self.call(tool, arguments);
        assert_eq!(observation.cursor, None, "{}", observation.text);
        (observation.error.expect("trouble"), observation.text)
    }

    pub(crate) fn cite(&self, answer: &str) -> Vec<model::Citation> {
        resolve_citations(&self.0, answer)
    }
}

pub(crate) fn action(tool: &str, arguments: &str) -> Action {
    Action {
        id: String::new(),
        tool: tool.to_owned(),
        arguments: serde_json::from_str(arguments).expect("arguments are a JSON object"),
        written: None,
        dialect: "hermes".to_owned(),
        repairs: Vec::new(),
        unreadable: None,
    }
}
