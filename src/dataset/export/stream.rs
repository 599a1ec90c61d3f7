//! A row as one stream of protocol tags, with what a trainer must not learn from marked in one or both of two ways.

use model::Row;
use model::settings::RecipeSettings;
use serde_json::{Value, json};

use super::head;
use super::prompts::Prompts;
use crate::DatasetError;
use crate::trace::{CallStyle, Origin, PageText, Trace};

/// Name of the system prompt of a student that writes such streams, among a campaign's prompts.
const SYSTEM_PROMPT: &str = "decompose.trace.system";

/// How a trace is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceForm {
    /// How calls are written that were not written as tags.
    pub calls: CallStyle,
    /// Which text of a crawled page is shown.
    pub pages: PageText,
    /// How observations are told from what a model wrote.
    pub mask: Mask,
}

/// How observations are told from what a model wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mask {
    /// `mask`: `[begin, end]` of each observation in Unicode code points of `text`.
    #[default]
    Spans,
    /// `segments`: `{label, text}` as axolotl's `input_output` reads them, `label` false for observations.
    Segments,
    /// Both.
    Both,
}

/// Makes streams of the rows of one campaign.
pub(super) struct Stream {
    /// The system prompt of a student, where the campaign has one.
    prompt: Option<String>,
    form: TraceForm,
}

impl Stream {
    /// Reads what all rows share.
    pub(super) async fn new(prompts: Prompts<'_>, form: TraceForm) -> Result<Self, DatasetError> {
        if let RecipeSettings::Browse(_) = prompts.campaign.settings.recipe {
            let what = "as a trace: its recipe is browse, whose cursors the tag protocol cannot say; use --format messages or native";
            return Err(DatasetError::Unfit { campaign: prompts.campaign.name.clone(), what });
        }
        Ok(Self { prompt: prompts.named(SYSTEM_PROMPT).await?, form })
    }

    /// One row as a line.
    pub(super) fn of(&self, row: &Row) -> Value {
        let TraceForm { calls, pages, mask } = self.form;
        let trace = Trace::of(&row.threads, row.answer.as_deref(), calls, pages);
        let mut line = head(row);
        if let Some(prompt) = &self.prompt {
            line.insert("prompt".into(), json!(prompt));
        }
        line.insert("text".into(), json!(trace.text));
        if mask != Mask::Segments {
            line.insert("mask".into(), json!(trace.mask()));
        }
        if mask != Mask::Spans {
            let segment = |span| json!({"label": span_is_learnt(span), "text": trace.part(span)});
            line.insert("segments".into(), trace.spans.iter().map(segment).collect());
        }
        Value::Object(line)
    }
}

fn span_is_learnt(span: &crate::trace::Span) -> bool {
    span.origin == Origin::Model
}
