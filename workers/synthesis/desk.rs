//! A job's browser, and what it has met of the gold documents. Tools run on blocking threads: the index is memory-mapped and a page may have
//! to come from disk.

use std::sync::Arc;

use corpus::{Browser, Corpus, CorpusError, Gold, ToolLimits};
use model::{Action, Citation, GoldMet, Observation, Retrieval, Seed, Thread, Turn};

/// The browser of one job.
pub(crate) struct Desk {
    corpus: Corpus,
    limits: ToolLimits,
    /// Absent only while a blocking thread works with it.
    browser: Option<Browser>,
    gold: Arc<Gold>,
}

/// A tool panicked: the job fails, with the tool's message on record.
#[derive(Debug, thiserror::Error)]
#[error("carry out an action: {0}")]
pub(crate) struct ToolPanic(String);

/// An action that came to nothing a trajectory may record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The corpus cannot be read at the moment: what a tool says then depends on more than the job.
    #[error("carry out an action: the corpus cannot be read; check the disk it lies on and `sluice corpus verify` it")]
    CorpusFault,
    /// A tool panicked.
    #[error(transparent)]
    Panic(#[from] ToolPanic),
}

/// The desk could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    /// The index cannot be read.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The corpus panicked.
    #[error(transparent)]
    Panic(#[from] ToolPanic),
}

impl Desk {
    /// A fresh browser over `corpus` for `seed`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) async fn new(corpus: Corpus, limits: ToolLimits, seed: &Seed) -> Result<Self, DeskError> {
        let gold_urls = seed.gold_urls.clone();
        let (corpus, gold) = blocking(move || {
            let gold = Gold::of(&corpus, &gold_urls)?;
            Ok::<_, CorpusError>((corpus, gold))
        })
        .await??;
        let browser = Browser::new(corpus.clone(), limits);
        Ok(Self { corpus, limits, browser: Some(browser), gold: Arc::new(gold) })
    }

    /// Another fresh browser for the same job.
    pub(crate) fn beside(&self) -> Self {
        let browser = Browser::new(self.corpus.clone(), self.limits);
        Self { corpus: self.corpus.clone(), limits: self.limits, browser: Some(browser), gold: Arc::clone(&self.gold) }
    }

    /// Carries out `actions` in order.
    ///
    /// # Errors
    /// When the corpus cannot be read, or a tool panics.
    pub(crate) async fn perform(&mut self, actions: Vec<Action>) -> Result<(Vec<Action>, Vec<Observation>), ToolError> {
        let mut browser = self.browser.take().unwrap_or_else(|| Browser::new(self.corpus.clone(), self.limits));
        let (browser, actions, observations) = blocking(move || {
            let observations: Vec<Observation> = actions.iter().map(|action| corpus::perform(&mut browser, action)).collect();
            (browser, actions, observations)
        })
        .await?;
        self.browser = Some(browser);
        let is_faulty = |observation: &Observation| observation.error.as_deref() == Some(corpus::CORPUS_FAULT);
        if observations.iter().any(is_faulty) {
            return Err(ToolError::CorpusFault);
        }
        Ok((actions, observations))
    }

    /// Starts over and carries out the actions of `turns` again: after a turn was withdrawn.
    ///
    /// # Errors
    /// As [`Desk::perform`].
    pub(crate) async fn rebuild(&mut self, turns: &[Turn]) -> Result<(), ToolError> {
        self.browser = Some(Browser::new(self.corpus.clone(), self.limits));
        let actions = turns.iter().flat_map(|turn| turn.actions.iter().cloned()).collect();
        self.perform(actions).await?;
        Ok(())
    }

    /// What `threads` met of the gold documents of `seed`, at whose desk this is.
    pub(crate) fn met(&self, seed: &Seed, threads: &[Thread]) -> Option<GoldMet> {
        self.gold.met(seed, threads)
    }

    /// The gold documents among what `actions` have shown and opened.
    pub(crate) fn retrieval(&self, actions: &[Action], observations: &[Observation]) -> Retrieval {
        Retrieval::of(actions, observations, &self.gold.urls)
    }

    /// The citations of `answer`, resolved against what this browser has shown.
    pub(crate) fn citations(&self, answer: &str) -> Vec<Citation> {
        self.browser.as_ref().map(|browser| corpus::resolve_citations(browser, answer)).unwrap_or_default()
    }

    /// The numbered citations of `answer`, resolved against what `observations` have shown.
    ///
    /// # Errors
    /// When the corpus cannot be read.
    pub(crate) async fn numbered_citations(&self, answer: String, observations: Vec<Observation>) -> Result<Vec<Citation>, DeskError> {
        let corpus = self.corpus.clone();
        let resolved = blocking(move || corpus::resolve_numbered(&corpus, &answer, &mut observations.iter())).await?;
        Ok(resolved?)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ToolPanic> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let panic = error.try_into_panic().map(|panic| match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(panic) => panic.downcast::<&str>().map_or_else(|_| "a panic without a message".to_owned(), |message| (*message).to_owned()),
        });
        ToolPanic(panic.unwrap_or_else(|_| "the process is shutting down".to_owned()))
    })
}
