//! What a server says is wrong, out of the body of its answer.
//!
//! Servers agree on status codes only roughly, so that a few codes and words are read too: every server words a context overflow in its own way.
//! What is passed on is shortened, and what a server echoes of the prompt is left out.

use serde_json::Value;

/// How much of a server's message is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Codes by which servers say that the conversation is too long: OpenAI's and llama.cpp's.
const OVERFLOW_CODES: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
/// Words by which servers say so that give no code: vLLM, SGLang, Mistral, Gemini, Anthropic, gateways. In lower case.
const OVERFLOW_WORDS: [&str; 13] = [
    "context_length_exceeded",
    "maximum context length",
    "model's context length",
    "maximum model length",
    "context window",
    "context size",
    "context limit",
    "prompt is too long",
    "input is too long",
    "input token count",
    "too many input tokens",
    "reduce the length of the",
    "longer than the maximum model",
];
/// Codes by which Groq refuses what the model wrote.
const MODEL_FAULT: [&str; 2] = ["tool_use_failed", "json_validate_failed"];
/// Codes by which OpenAI and DeepSeek refuse an empty account.
const ACCOUNT_EMPTY: [&str; 2] = ["insufficient_quota", "insufficient_balance"];

/// Words and codes by which gateways withhold an answer to one conversation under the status of a refused key. In lower case.
const WITHHELD: [&str; 3] = ["moderation", "content policy", "content_filter"];

/// What a server says is wrong.
#[derive(Debug, Default)]
pub(super) struct Said {
    message: String,
    /// Type and code, as far as there are.
    codes: Vec<String>,
}

impl Said {
    /// Out of any of the shapes in use: `{error: {message, type, code}}`, `{error: "…"}`, `{object: "error", message}`, `{detail}`, plain text.
    pub(super) fn from_body(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::from_value(&value),
            // An HTML page of a gateway says nothing that its status does not.
            Err(_) if body.trim_ascii_start().starts_with(b"<") => Self::default(),
            Err(_) => Self { message: shorten(&String::from_utf8_lossy(body.get(..4096).unwrap_or(body))), codes: Vec::new() },
        }
    }

    pub(super) fn from_value(value: &Value) -> Self {
        let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let message = match (inner, inner.get("message").or_else(|| inner.get("detail")).or_else(|| inner.get("msg"))) {
            (Value::String(text), _) | (_, Some(Value::String(text))) => shorten(text),
            // Validation errors of FastAPI: where and what, but not the input that they echo.
            (_, Some(Value::Array(list))) => shorten(&list.iter().take(4).map(detail).collect::<Vec<_>>().join("; ")),
            _ => String::new(),
        };
        let codes = ["type", "code", "status"].iter().filter_map(|key| match inner.get(*key) {
            Some(Value::String(text)) => Some(shorten(text)),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        });
        Self { message, codes: codes.collect() }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }

    /// Whether the conversation is too long.
    pub(super) fn means_overflow(&self) -> bool {
        let message = self.message.to_lowercase();
        self.has_code(&OVERFLOW_CODES) || OVERFLOW_WORDS.iter().any(|words| message.contains(words))
    }

    /// Whether the refusal is the model's fault and not the request's: its next attempt may do better.
    pub(super) fn blames_model(&self) -> bool {
        self.has_code(&MODEL_FAULT)
    }

    /// Whether no request succeeds until somebody pays, so that no job is to blame.
    pub(super) fn means_account_empty(&self) -> bool {
        self.has_code(&ACCOUNT_EMPTY)
    }

    /// Whether the refusal is about what this conversation speaks of.
    pub(super) fn withholds(&self) -> bool {
        let message = self.message.to_lowercase();
        self.has_code(&WITHHELD) || WITHHELD.iter().any(|words| message.contains(words))
    }

    /// Whether it names the reasoning that was sent back.
    pub(super) fn speaks_of_reasoning(&self) -> bool {
        self.message.contains("reasoning")
    }

    /// What is passed on.
    pub(super) fn words(&self) -> String {
        match (self.message.is_empty(), self.codes.is_empty()) {
            (true, true) => "no reason given".to_owned(),
            (true, false) => self.codes.join(", "),
            (false, true) => self.message.clone(),
            (false, false) => format!("{} ({})", self.message, self.codes.join(", ")),
        }
    }
}

fn detail(entry: &Value) -> String {
    let place = entry.get("loc").and_then(Value::as_array).map(|loc| loc.iter().map(ToString::to_string).collect::<Vec<_>>().join("."));
    format!("{}: {}", place.unwrap_or_default(), entry.get("msg").and_then(Value::as_str).unwrap_or_default())
}

/// `text` on one line, cut where it gets too long to be passed on: between words, since half a key would not be known as one.
pub(super) fn shorten(text: &str) -> String {
    let mut short = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        chars += word.chars().count() + 1;
        if chars > MESSAGE_CHARS_MAX {
            short.push('…');
            break;
        }
        if !short.is_empty() {
            short.push(' ');
        }
        short.push_str(word);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_errors_are_told_without_the_prompt_they_echo() {
        let body = r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","input":"the whole secret prompt"}]}"#;
        let words = Said::from_body(body.as_bytes()).words();
        assert_eq!(words, "\"body\".\"messages\".0: field required");
    }

    #[test]
    fn every_shape_of_error_is_read_and_none_is_passed_on_whole() {
        for (body, words) in [
            (r#"{"error":{"message":"m","type":"t","code":7}}"#, "m (t, 7)"),
            (r#"{"error":"m"}"#, "m"),
            (r#"{"object":"error","message":"m"}"#, "m"),
            (r#"{"detail":"m"}"#, "m"),
            ("upstream\nis gone", "upstream is gone"),
            ("<html>long page</html>", "no reason given"),
            ("", "no reason given"),
        ] {
            assert_eq!(Said::from_body(body.as_bytes()).words(), words, "{body}");
        }
        let long = Said::from_body("päge ".repeat(900).as_bytes()).words();
        assert!(long.ends_with("päge…") && long.chars().count() <= MESSAGE_CHARS_MAX, "{long}");
    }
}
