//! A chat template as a model's files hold it: its text, perhaps one for each purpose, and the tokens it names.

use serde_json::{Map, Value};

/// The tokens that a `tokenizer_config.json` names and that Hugging Face hands to a template.
const TOKENS: [&str; 4] = ["bos_token", "eos_token", "unk_token", "pad_token"];

/// What a file says.
#[derive(Debug)]
pub(super) struct Written {
    /// The template for a conversation without tools.
    pub(super) plain: String,
    /// The one for a conversation with tools, where there is one of its own.
    pub(super) tool_use: Option<String>,
    /// The tokens, as far as the file has them.
    pub(super) tokens: Map<String, Value>,
}

impl Written {
    /// Reads a template, or a `tokenizer_config.json` with one.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        // A template may open with a brace too, but it is no JSON object then.
        let Ok(Value::Object(config)) = serde_json::from_str::<Value>(text) else {
            return Ok(Self { plain: as_meant(text), tool_use: None, tokens: Map::new() });
        };
        let tokens = TOKENS.iter().filter_map(|name| Some(((*name).to_owned(), token(config.get(*name)?)?))).collect();
        let named = |wanted: &str| {
            let list = config.get("chat_template").and_then(Value::as_array)?;
            let found = list.iter().find(|each| each.get("name").and_then(Value::as_str) == Some(wanted))?;
            found.get("template").and_then(Value::as_str).map(as_meant)
        };
        let only = config.get("chat_template").and_then(Value::as_str).map(as_meant);
        let tool_use = named("tool_use");
        match only.or_else(|| named("default")).or_else(|| tool_use.clone()) {
            Some(plain) => Ok(Self { plain, tool_use, tokens }),
            None => Err("read the chat template: this JSON has no `chat_template`; a model that keeps it apart has a file \
                         chat_template.jinja, and `extra.chat_template_kwargs` then gives the tokens it names, such as `bos_token`"
                .to_owned()),
        }
    }

    /// Whether a template names the variable `name`.
    pub(super) fn names(&self, name: &str) -> bool {
        self.plain.contains(name) || self.tool_use.as_ref().is_some_and(|text| text.contains(name))
    }
}

/// A token, which is written as its text or as an object around it.
fn token(written: &Value) -> Option<Value> {
    written.as_str().or_else(|| written.get("content")?.as_str()).map(Value::from)
}

/// `text` as Jinja for Python takes it. Line ends of Windows are plain ones. `{% generation %}`, an extension of Hugging Face's, marks for trainers
/// what the model wrote; what stands in it is written as it is.
fn as_meant(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut pieces = text.split("{%");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str("{%");
        let replaced = piece.split_once("%}").and_then(|(tag, after)| {
            let instead = match tag.trim_matches(['-', '+', ' ', '\t', '\n']) {
                "generation" => "if true",
                "endgeneration" => "endif",
                _ => return None,
            };
            let mark = |is_there: bool| if is_there { "-" } else { "" };
            Some(format!("{} {instead} {}%}}{after}", mark(tag.starts_with('-')), mark(tag.ends_with('-'))))
        });
        plain.push_str(replaced.as_deref().unwrap_or(piece));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_is_found_in_every_file_that_holds_one() {
        let plain = Written::read("{{ messages }}").expect("a template");
        assert_eq!((plain.plain.as_str(), plain.tool_use, plain.tokens.len()), ("{{ messages }}", None, 0));

        let config =
            json!({"chat_template": "{{ x }}", "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null});
        let one = Written::read(&config.to_string()).expect("a template");
        assert_eq!((one.plain.as_str(), Value::from(one.tokens)), ("{{ x }}", json!({"bos_token": "<s>", "eos_token": "</s>"})));

        let list = json!({"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]});
        let two = Written::read(&list.to_string()).expect("two templates");
        assert_eq!((two.plain.as_str(), two.tool_use.as_deref()), ("d", Some("t")));
        assert!(Written::read("{\"bos_token\": \"<s>\"}").expect_err("none").contains("chat_template.jinja"));
    }

    #[test]
    fn marks_for_trainers_are_no_part_of_a_template() {
        assert_eq!(as_meant("a{%- generation %}b{% endgeneration -%}c{% if x %}"), "a{%- if true %}b{% endif -%}c{% if x %}");
        assert_eq!(as_meant("{% generation"), "{% generation");
        assert_eq!(as_meant("a\r\nb\n"), "a\nb\n");
    }
}
