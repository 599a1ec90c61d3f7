//! The filter's rules with their thresholds: what is typed is what is meant, so one type serves both.
//!
//! Every rule can be switched off; every threshold is read by the rule of its name in the filter worker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident: $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),* $(,)? })*) => {
        /// The rules of the filter, each with its thresholds.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct FilterSettings {
            $($(#[$doc])* pub $rule: $name,)*
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
                    Self { enabled: true, $($field: $default,)* }
                }
            }
        )*
    };
}

rules! {
    /// There is an answer, and it was not forced unless that is allowed.
    answered: AnsweredRule {
        /// Whether an answer forced by a budget counts.
        allow_forced: bool = true,
    }
    /// Length of the answer, in characters.
    answer_length: AnswerLengthRule {
        /// Shortest.
        min_chars: u64 = 1,
        /// Longest.
        max_chars: u64 = 20_000,
    }
    /// Number of tool calls.
    tool_calls: ToolCallsRule {
        /// Fewest.
        min: u64 = 1,
        /// Most.
        max: u64 = 400,
    }
    /// Share of tool calls that returned an error.
    tool_errors: ToolErrorsRule {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Share of tool calls that repeat an earlier one of the same trajectory.
    repetition: RepetitionRule {
        /// Largest share, 0 to 1.
        share_max: f64 = 0.5,
    }
    /// Citations of the answer lead to pages shown in the trajectory.
    citations: CitationsRule {
        /// Fewest citations.
        min: u64 = 1,
        /// Least share that resolves, 0 to 1.
        resolved_share_min: f64 = 1.0,
    }
    /// The answer is in the question's language.
    language: LanguageRule {
        /// Fewest characters of an answer whose language is told at all.
        min_chars: u64 = 60,
    }
    /// No protocol tag or special token stands in the answer.
    protocol_leak: ProtocolLeakRule {}
    /// Length of the whole conversation, in tokens.
    length: LengthRule {
        /// Most.
        max_tokens: u64 = 262_144,
    }
}
