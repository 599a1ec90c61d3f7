//! The recipe `browse`: one researcher, three tools, as many turns as the budgets allow (OpenResearcher's way of working).

use model::settings::BrowseSettings;
use model::{Seed, Thread, ThreadRole};
use runtime::Failure;

use crate::budget::Limits;
use crate::desk::Desk;
use crate::recipe::Research;
use crate::research::{Manner, Researcher};
use crate::speaker::{Speaker, Work};

/// What all jobs of a campaign share.
pub(crate) struct Browse {
    /// The budgets.
    pub(crate) settings: BrowseSettings,
    /// Who researches.
    pub(crate) researcher: Speaker,
}

impl Browse {
    /// See [`Recipe::research`](crate::recipe::Recipe::research).
    pub(crate) async fn research(&self, work: &Work<'_>, seed: &Seed, desk: &mut Desk) -> Result<Option<Research>, Failure> {
        let manner = Manner { limits: Limits::from(&self.settings), min_tool_calls: 0, is_subtask: false, extractor: None };
        let mut transcript = self.researcher.open(&seed.question);
        let researcher = Researcher { speaker: &self.researcher, manner: &manner, work, thread: 0, goal: &seed.question };
        let Some(ending) = researcher.research(&mut transcript, desk).await? else { return Ok(None) };
        let citations = ending.answer.as_deref().map(|answer| desk.citations(answer)).unwrap_or_default();
        let (turns, usage) = transcript.take();
        Ok(Some(Research {
            threads: vec![Thread::new(ThreadRole::Researcher, self.researcher.prompt(), turns)],
            usage,
            outcome: ending.outcome,
            limit: ending.limit,
            answer: ending.answer,
            citations,
        }))
    }
}
