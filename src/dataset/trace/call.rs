//! A call as the tag protocol writes it, from what was understood of it.

use model::Action;
use serde_json::{Map, Value};

use super::{CallStyle, in_one_line};

/// Names under which models give queries, the tool's own first.
const QUERY: [&str; 3] = ["query", "queries", "q"];
/// The same for the number of results.
const NUMBER: [&str; 2] = ["num", "serp_num"];
/// The same for addresses.
const URL: [&str; 2] = ["url", "urls"];

/// `action` between its tool's tags. What could not be read, or has none of the tool's arguments, stands there as it was written.
pub(super) fn write(action: &Action, style: CallStyle) -> String {
    let tool = action.tool.trim();
    let arguments = &action.arguments;
    let inner = match tool {
        "web_search" => search(arguments, style),
        "crawl_page" => list(arguments, &URL).map(|urls| keyed("url=", &urls, style)),
        _ => None,
    };
    let inner = inner.unwrap_or_else(|| as_given(action));
    format!("<{tool}>{inner}</{tool}>")
}

fn search(arguments: &Map<String, Value>, style: CallStyle) -> Option<String> {
    let mut inner = keyed("query=", &list(arguments, &QUERY)?, style);
    if let Some(number) = NUMBER.iter().find_map(|name| plain(arguments.get(*name)?)) {
        let key = match style {
            CallStyle::Keyed => "&num=",
            CallStyle::Bare => "&serp_num=",
        };
        inner.push_str(key);
        inner.push_str(&number);
    }
    Some(inner)
}

fn keyed(key: &str, values: &str, style: CallStyle) -> String {
    match style {
        CallStyle::Keyed => format!("{key}{values}"),
        CallStyle::Bare => values.to_owned(),
    }
}

/// One text or a list of texts, each in one line, as the protocol separates them.
fn list(arguments: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let texts: Vec<String> = match names.iter().find_map(|name| arguments.get(*name))? {
        Value::Array(values) => values.iter().filter_map(plain).collect(),
        value => plain(value).into_iter().collect(),
    };
    (!texts.is_empty()).then(|| texts.join(" | "))
}

fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => in_one_line(text),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn as_given(action: &Action) -> String {
    action.written.clone().unwrap_or_else(|| Value::Object(action.arguments.clone()).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::call;

    #[test]
    fn calls_are_written_in_both_styles_from_whatever_types_the_model_gave() {
        let both = |tool: &str, arguments: Value| {
            let action = call(tool, &arguments);
            [write(&action, CallStyle::Keyed), write(&action, CallStyle::Bare)]
        };
        assert_eq!(
            both("web_search", json!({"query": ["Orrel dam", "AT&T\nhistory "], "num": 10})),
            [
                "<web_search>query=Orrel dam | AT&T history&num=10</web_search>",
                "<web_search>Orrel dam | AT&T history&serp_num=10</web_search>"
            ]
        );
        assert_eq!(
            both("web_search", json!({"query": "Orrel dam"})),
            ["<web_search>query=Orrel dam</web_search>", "<web_search>Orrel dam</web_search>"],
            "a number that nobody gave is not made up"
        );
        assert_eq!(
            both("crawl_page", json!({"url": ["https://a.example/x", "https://b.example"]})),
            [
                "<crawl_page>url=https://a.example/x | https://b.example</crawl_page>",
                "<crawl_page>https://a.example/x | https://b.example</crawl_page>"
            ]
        );
    }

    #[test]
    fn what_could_not_be_read_or_is_no_tool_of_the_protocol_stands_as_it_was_given() {
        let unread =
            Action { written: Some("{\"query\": \"the fir".into()), unreadable: Some("cut".into()), ..call("web_search", &json!({})) };
        assert_eq!(write(&unread, CallStyle::Keyed), "<web_search>{\"query\": \"the fir</web_search>");
        assert_eq!(write(&call("ask", &json!({"q": "who"})), CallStyle::Bare), "<ask>{\"q\":\"who\"}</ask>");
        assert_eq!(write(&call("crawl_page", &json!({"url": []})), CallStyle::Keyed), "<crawl_page>{\"url\":[]}</crawl_page>");
    }
}
