//! The recipes of a campaign: what its jobs share, and the way from a job to what came of it.

use model::settings::{RecipeSettings, Settings, TeacherSettings};
use model::{Citation, Limit, Outcome, Seed, TeacherRecord, Thread, ToolDefinition, Usage};
use runtime::Failure;

use crate::browse::Browse;
use crate::decompose::Decompose;
use crate::desk::Desk;
use crate::prompts;
use crate::speaker::{Speaker, Voice, Voices, Work, describes_tools};

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Research {
    /// The threads.
    pub(crate) threads: Vec<Thread>,
    /// What all completions cost, withdrawn ones included.
    pub(crate) usage: Usage,
    /// Why it ended.
    pub(crate) outcome: Outcome,
    /// The budget that was reached.
    pub(crate) limit: Option<Limit>,
    /// The answer.
    pub(crate) answer: Option<String>,
    /// Its citations.
    pub(crate) citations: Vec<Citation>,
}

/// How a campaign's jobs are researched.
pub(crate) enum Recipe {
    Browse(Box<Browse>),
    Decompose(Box<Decompose>),
}

impl Recipe {
    /// The recipe of `settings`, spoken by `voices`.
    pub(crate) fn new(settings: &Settings, voices: &Voices) -> Self {
        let teacher = &settings.teacher;
        match &settings.recipe {
            RecipeSettings::Browse(browse) => {
                let tools = corpus::definitions(corpus::ToolBox::Browse);
                let system = prompts::browse_system(browse, teacher, &tools);
                let researcher = Speaker::new(&voices.researcher, teacher, system, tools, false);
                Self::Browse(Box::new(Browse { settings: browse.clone(), researcher }))
            }
            RecipeSettings::Decompose(decompose) => {
                let roles = &teacher.roles;
                let role = |voice: &Option<Voice>, own: &Option<Box<TeacherSettings>>, system| {
                    let voice = voice.as_ref().unwrap_or(&voices.researcher);
                    Speaker::silent(voice, own.as_deref().unwrap_or(teacher), system)
                };
                let tools: Vec<ToolDefinition> = corpus::definitions(corpus::ToolBox::Web);
                let system = prompts::decompose::researcher(decompose, teacher, &tools);
                Self::Decompose(Box::new(Decompose {
                    settings: decompose.clone(),
                    planner: role(&voices.planner, &roles.planner, prompts::decompose::planner(decompose)),
                    researcher: Speaker::new(&voices.researcher, teacher, system, tools, decompose.strict),
                    summarizer: role(&voices.summarizer, &roles.summarizer, prompts::decompose::summarizer(decompose)),
                    extractor: role(&voices.extractor, &roles.extractor, prompts::decompose::extractor()),
                }))
            }
        }
    }

    /// The teacher that a row names: the researcher's.
    pub(crate) fn introduction(&self, seed: u64) -> TeacherRecord {
        match self {
            Self::Browse(browse) => browse.researcher.introduction(seed),
            Self::Decompose(decompose) => decompose.researcher.introduction(seed),
        }
    }

    /// Researches one job; `None` when it must hand itself on before it is done.
    ///
    /// # Errors
    /// The teacher's, the ledger's, or a corpus that cannot be read.
    pub(crate) async fn research(&self, work: &Work<'_>, seed: &Seed, desk: &mut Desk) -> Result<Option<Research>, Failure> {
        match self {
            Self::Browse(browse) => browse.research(work, seed, desk).await,
            Self::Decompose(decompose) => decompose.research(work, seed, desk).await,
        }
    }
}

/// The text of `system`, with the tools described where the teacher's server is not told of them.
pub(crate) fn with_tools(mut system: String, teacher: &TeacherSettings, tools: &[ToolDefinition]) -> String {
    if describes_tools(teacher) {
        system.push_str("\n\n");
        system.push_str(teacher::dialect::instructions(teacher.dialect, tools).trim_end());
    }
    system
}
