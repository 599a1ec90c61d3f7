//! The filter's rules with their thresholds, as they are typed and as they are meant.
//!
//! Every rule can be switched off; every threshold is read by the rule of its name in the filter worker. One list says both forms: a written
//! table may leave anything out, and takes it from its preset; what is meant has every value, because a grade is named by all of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($(
        $(#[$doc:meta])*
        $rule:ident: $name:ident, $table:ident, $enabled:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? }
    )*) => {
        /// The rules of the filter, each with its thresholds. The default is the preset `default`.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct FilterSettings {
            $($(#[$doc])* pub $rule: $name,)*
        }

        /// `[filter]`: a preset, and one sub-table per rule for what shall differ from it.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct FilterTable {
            /// `default` or `o-researcher`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub preset: Option<String>,
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $rule: Option<$table>,)*
        }

        impl FilterTable {
            /// `preset`, with all that is written here in its place.
            pub(super) fn over(&self, preset: FilterSettings) -> FilterSettings {
                let mut rules = preset;
                $(if let Some(table) = &self.$rule {
                    rules.$rule = table.over(rules.$rule);
                })*
                rules
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields, default)]
            pub struct $name {
                /// Whether the rule is asked at all.
                pub enabled: bool,
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { enabled: $enabled, $($field: $default,)* }
                }
            }

            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields, default)]
            pub struct $table {
                /// Whether the rule is asked at all; a table that does not say so switches its rule on.
                #[serde(skip_serializing_if = "Option::is_none")]
                pub enabled: Option<bool>,
                $($(#[$field_doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
            }

            impl $table {
                fn over(&self, preset: $name) -> $name {
                    let mut rule = preset;
                    rule.enabled = self.enabled.unwrap_or(true);
                    $(if let Some(value) = self.$field {
                        rule.$field = value;
                    })*
                    rule
                }
            }
        )*
    };
}

rules! {
    /// There is an answer, and it was not forced unless that is allowed.
    answered: AnsweredRule, AnsweredTable, true {
        /// Whether an answer forced by a budget counts.
        allow_forced: bool = true,
    }
    /// Length of the answer, in characters.
    answer_length: AnswerLengthRule, AnswerLengthTable, true {
        /// Shortest.
        min_chars: u64 = 1,
        /// Longest.
        max_chars: u64 = 20_000,
    }
    /// Number of tool calls.
    tool_calls: ToolCallsRule, ToolCallsTable, true {
        /// Fewest.
        min: u64 = 1,
        /// Most.
        max: u64 = 400,
    }
    /// Share of tool calls that returned an error.
    tool_errors: ToolErrorsRule, ToolErrorsTable, true {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Share of tool calls that repeat an earlier one of the same trajectory.
    repetition: RepetitionRule, RepetitionTable, true {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Citations of the answer lead to pages shown in the trajectory.
    citations: CitationsRule, CitationsTable, true {
        /// Fewest citations.
        min: u64 = 1,
        /// Least share that resolves, 0 to 1.
        resolved_share_min: f64 = 1.0,
    }
    /// The answer is in the question's language.
    language: LanguageRule, LanguageTable, true {
        /// Fewest characters of an answer whose language is told at all.
        min_chars: u64 = 60,
    }
    /// No protocol tag or special token stands in the answer.
    protocol_leak: ProtocolLeakRule, ProtocolLeakTable, true {}
    /// Length of the whole conversation, in tokens; of `decompose`, of the one trace its threads are merged into.
    length: LengthRule, LengthTable, true {
        /// Most.
        max_tokens: u64 = 262_144,
    }
    /// The merged trace of `decompose` keeps to the tag protocol: every tag and every call closed, in order, and no tag in free text.
    protocol: ProtocolRule, ProtocolTable, false {}
    /// Number of reasoning steps: turns, over all threads, in which the model reasons or plans.
    steps: StepsRule, StepsTable, false {
        /// Fewest.
        min: u64 = 10,
    }
    /// Number of distinct tool calls: the same tool with the same arguments counts once.
    distinct_calls: DistinctCallsRule, DistinctCallsTable, false {
        /// Fewest.
        min: u64 = 5,
    }
    /// Researchers think before they plan or call.
    thinking: ThinkingRule, ThinkingTable, false {
        /// Least share of their turns with a call that begin with a thought, 0 to 1.
        share_min: f64 = 1.0,
    }
    /// The answer is a report: introduction, body, conclusion, and references of which each is cited and none is missing.
    report: ReportRule, ReportTable, false {
        /// Fewest citations in its body.
        min_citations: u64 = 1,
    }
}

impl FilterSettings {
    /// Names of the presets.
    pub const PRESETS: [&str; 2] = ["default", "o-researcher"];

    /// The preset of this name.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::default()),
            "o-researcher" => Some(Self::o_researcher()),
            _ => None,
        }
    }

    /// The hard gates of O-Researcher's rejection sampling: tags and calls closed, at most 64k tokens, at least 10 reasoning steps and 5 distinct
    /// uses of tools, a report in the question's language. An answer may be as long as its trace allows.
    fn o_researcher() -> Self {
        let mut rules = Self::default();
        rules.answer_length.max_chars = 200_000;
        rules.length.max_tokens = 65_536;
        rules.protocol.enabled = true;
        rules.steps = StepsRule { enabled: true, min: 10 };
        rules.distinct_calls = DistinctCallsRule { enabled: true, min: 5 };
        rules.thinking = ThinkingRule { enabled: true, share_min: 1.0 };
        rules.report = ReportRule { enabled: true, min_citations: 1 };
        rules
    }
}
