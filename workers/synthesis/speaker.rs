//! Who speaks in one role of a recipe: a teacher, with the prompt it stands under, the tools it is offered, and how it writes.

use std::sync::Arc;

use model::settings::{Dialect, Mode, TeacherSettings};
use model::{Completion, Digest, JobId, JournalKey, Prompt, Sampling, TeacherRecord, ToolDefinition};
use teacher::dialect::Reading;
use teacher::{Calls, Journal, JournalError, Request, Teacher, Tokens};

use crate::pace::Pace;
use crate::transcript::Transcript;

/// A teacher and what counts its tokens.
#[derive(Clone)]
pub struct Voice {
    /// Completes conversations.
    pub teacher: Arc<dyn Teacher>,
    /// Counts its tokens.
    pub tokens: Tokens,
}

/// The teachers of a campaign by role; where a role has none of its own, the researcher's serves.
#[derive(Clone)]
pub struct Voices {
    /// Researches.
    pub researcher: Voice,
    /// Divides the question.
    pub planner: Option<Voice>,
    /// Writes the report.
    pub summarizer: Option<Voice>,
    /// Extracts from crawled pages.
    pub extractor: Option<Voice>,
}

impl Voices {
    /// One teacher for all roles.
    pub fn of(teacher: Arc<dyn Teacher>) -> Self {
        Self { researcher: Voice { teacher, tokens: Tokens::default() }, planner: None, summarizer: None, extractor: None }
    }
}

impl Voices {
    /// All that are there.
    pub fn teachers(&self) -> Vec<Arc<dyn Teacher>> {
        let others = [&self.planner, &self.summarizer, &self.extractor].into_iter().flatten();
        std::iter::once(&self.researcher).chain(others).map(|voice| Arc::clone(&voice.teacher)).collect()
    }
}

/// One job as its threads see it.
pub(crate) struct Work<'a> {
    pub(crate) job: &'a JobId,
    /// Seed of the job's sampling.
    pub(crate) seed: u64,
    pub(crate) journal: &'a Journal,
    pub(crate) pace: &'a Pace,
}

/// One role of a campaign.
pub(crate) struct Speaker {
    teacher: Arc<dyn Teacher>,
    settings: TeacherSettings,
    tokens: Tokens,
    /// The system prompt as sent.
    pub(crate) system: Prompt,
    /// The tools as the server is told of them: none where the system prompt describes them, or there are none.
    offered: Arc<Vec<ToolDefinition>>,
    /// The tools' names.
    pub(crate) tools: Vec<String>,
    /// Whether calls are read as O-Researcher's parser reads them.
    is_strict: bool,
}

impl Speaker {
    /// A role without tools.
    pub(crate) fn silent(voice: &Voice, settings: &TeacherSettings, system: Prompt) -> Self {
        Self::new(voice, settings, system, Vec::new(), false)
    }

    /// A role with tools. `system` describes them where the dialect needs that, see [`describes_tools`].
    pub(crate) fn new(voice: &Voice, settings: &TeacherSettings, system: Prompt, tools: Vec<ToolDefinition>, is_strict: bool) -> Self {
        let names = tools.iter().map(|tool| tool.name.clone()).collect();
        let offered = if offers_tools(settings) { tools } else { Vec::new() };
        Self {
            teacher: Arc::clone(&voice.teacher),
            settings: settings.clone(),
            tokens: voice.tokens.clone(),
            system,
            offered: Arc::new(offered),
            tools: names,
            is_strict,
        }
    }

    /// How it writes.
    pub(crate) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }

    /// Which interface completes its conversations.
    pub(crate) fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// What counts its tokens.
    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Digest of its system prompt.
    pub(crate) fn prompt(&self) -> Digest {
        self.system.digest()
    }

    /// How it is sampled for a job whose sampling seed is `seed`.
    pub(crate) fn sampling(&self, seed: u64) -> Sampling {
        let TeacherSettings { temperature, top_p, max_completion_tokens, .. } = self.settings;
        Sampling { temperature, top_p, max_completion_tokens, seed }
    }

    /// Who it is, for a row.
    pub(crate) fn introduction(&self, seed: u64) -> TeacherRecord {
        let (model, dialect) = (self.settings.model.clone(), self.settings.dialect.name().to_owned());
        TeacherRecord { model, sampling: self.sampling(seed), dialect }
    }

    /// A transcript that begins with the system prompt and `opening`.
    pub(crate) fn open(&self, opening: &str) -> Transcript {
        Transcript::open(self, opening)
    }

    /// The next completion of `transcript`.
    ///
    /// # Errors
    /// The teacher's, the ledger's, or a journal that answers another question.
    pub(crate) async fn complete(
        &self,
        work: &Work<'_>,
        key: JournalKey,
        transcript: &Transcript,
        calls: Calls,
    ) -> Result<Completion, JournalError> {
        let conversation = transcript.conversation();
        let sampling = self.sampling(work.seed);
        let digest = conversation.request_digest(&self.offered, calls, &sampling);
        let request = Request {
            job: work.job.clone(),
            key,
            messages: conversation.messages(),
            rendered: conversation.rendered(),
            tools: Arc::clone(&self.offered),
            calls,
            sampling,
        };
        work.journal.complete(self.teacher.as_ref(), &request, digest).await
    }

    /// What a completion of it says. What it made up of others is taken out of the completion too, and so never enters the conversation.
    pub(crate) fn read(&self, completion: &mut Completion) -> Reading {
        let reading = match (self.is_strict, self.dialect()) {
            (true, Dialect::Tags) => teacher::dialect::read_tags_strictly(completion),
            (_, dialect) => teacher::dialect::read(dialect, completion),
        };
        if let Some(at) = reading.forged_from {
            completion.text.truncate(at);
        }
        reading
    }
}

/// Whether the server is told of the tools: natively, or by rendering the model's own chat template. The tag protocol is nobody's native form.
fn offers_tools(settings: &TeacherSettings) -> bool {
    match (settings.mode, settings.dialect) {
        (_, Dialect::Tags) => false,
        (Mode::Completion, _) | (Mode::Chat, Dialect::Openai) => true,
        (Mode::Chat, _) => false,
    }
}

/// Whether the system prompt has to describe the tools.
pub(crate) fn describes_tools(settings: &TeacherSettings) -> bool {
    !offers_tools(settings)
}
