//! Templates in the manner of those that models come with, and what becomes of those that are wrong.

use serde_json::json;

use super::*;

pub(in crate::http) const CHATML: &str = include_str!("fixtures/chatml.jinja");
pub(in crate::http) const HEADERS: &str = include_str!("fixtures/headers.jinja");
pub(in crate::http) const THINKING: &str = include_str!("fixtures/thinking.jinja");
pub(in crate::http) const STRICT: &str = include_str!("fixtures/strict.jinja");

/// `text` as a model's configuration holds it, with a date.
pub(in crate::http) fn template(text: &str) -> Template {
    let config = json!({"chat_template": text, "bos_token": "<s>", "eos_token": {"content": "</s>"}});
    Template::new(&config.to_string(), &Map::new(), Some("2026-02-03")).expect("a sound template")
}

impl Template {
    /// What the template makes of a whole conversation, answers and all.
    pub(in crate::http) fn whole(&self, messages: &[Message], tools: &[ToolDefinition]) -> String {
        let role = |role: Role| serde_json::to_value(role).expect("a word");
        let said: Vec<_> = messages.iter().map(|message| json!({"role": role(message.role), "content": message.text})).collect();
        let name = self.ways(tools).expect("tools are known").name;
        render(&self.engine, name, &said, &offered(tools), true).map_err(|fault| fault.message).expect("it takes them")
    }
}

fn said(role: Role, text: &str) -> Message {
    Message::text(role, text)
}

fn suffix(template: &Template, before: &str, run: &[Message]) -> String {
    let call = json!({"id": "", "tool": "open", "arguments": {"id": 1}, "dialect": "hermes", "repairs": []});
    let action: Action = serde_json::from_value(call).expect("an action");
    template.suffix(before, &[action], run, &[]).expect("it takes them")
}

#[test]
fn the_head_is_what_the_template_makes_of_it() {
    let question = [said(Role::System, "rules"), said(Role::User, "which dam?")];
    assert_eq!(
        template(CHATML).head(&question, &[]).expect("a head"),
        "<|im_start|>system\nrules<|im_end|>\n<|im_start|>user\nwhich dam?<|im_end|>\n<|im_start|>assistant\n"
    );
    let with_tools = template(CHATML).head(&question, &[toy()]).expect("a head");
    assert!(
        with_tools.contains(r#"{"type": "function", "function": {"name": "search", "description": "Finds pages.", "parameters": {"type""#),
        "{with_tools}"
    );
    let dated = template(HEADERS).head(&question, &[]).expect("a head");
    assert!(dated.starts_with("<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 03 Feb 2026\n\nrules<|eot_id|>"), "{dated}");
    assert_eq!(
        template(STRICT).head(&question, &[]).expect("a head"),
        "<s>[INST] rules\n\nwhich dam?[/INST]",
        "where instructions are refused they go into the question"
    );
    assert!(template(THINKING).head(&question, &[]).expect("a head").ends_with("<|im_start|>assistant\n<think>\n"));
    let variables = json!({"enable_thinking": false});
    let quiet = Template::new(THINKING, variables.as_object().expect("a map"), None).expect("a sound template");
    assert!(quiet.head(&question, &[]).expect("a head").ends_with("<|im_start|>assistant\n"));
}

#[test]
fn what_follows_an_answer_is_what_the_template_puts_there() {
    let (result, notice) = (said(Role::Tool, "a \"page\""), said(Role::User, "two turns left"));
    for (text, run, expected) in [
        (CHATML, vec![notice.clone()], "<|im_end|>\n<|im_start|>user\ntwo turns left<|im_end|>\n<|im_start|>assistant\n"),
        (
            CHATML,
            vec![result.clone(), result.clone(), notice.clone()],
            "<|im_end|>\n<|im_start|>user\n<tool_response>\na \"page\"\n</tool_response>\n<tool_response>\na \"page\"\n</tool_response><|im_end|>\n\
             <|im_start|>user\ntwo turns left<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            HEADERS,
            vec![result.clone()],
            "<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\na \"page\"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (THINKING, vec![result.clone()], "<|im_end|>\n<|im_start|>tool\na \"page\"<|im_end|>\n<|im_start|>assistant\n<think>\n"),
        (STRICT, vec![notice.clone()], "</s>[INST] two turns left[/INST]"),
        // The call is named as the model made it.
        (STRICT, vec![result.clone()], "</s>[TOOL_RESULTS] open: \"a \\\"page\\\"\"[/TOOL_RESULTS]"),
        // It takes a question only behind an answer: here the result has to be the user's words too.
        (STRICT, vec![result.clone(), notice.clone()], "</s>[INST] <tool_response>\na \"page\"\n</tool_response>\n\ntwo turns left[/INST]"),
    ] {
        assert_eq!(suffix(&template(text), "an answer", &run), expected);
    }
    let notices = [notice.clone(), said(Role::User, "answer now")];
    assert_eq!(suffix(&template(STRICT), "x", &notices), "</s>[INST] two turns left\n\nanswer now[/INST]");
}

#[test]
fn an_answer_that_carries_its_end_gets_no_second_one() {
    let notice = [said(Role::User, "go on")];
    let chatml = template(CHATML);
    assert_eq!(suffix(&chatml, "so<|im_end|>", &notice), "\n<|im_start|>user\ngo on<|im_end|>\n<|im_start|>assistant\n");
    assert!(suffix(&template(HEADERS), "so<|eom_id|>", &notice).starts_with("<|start_header_id|>user"));
    assert!(suffix(&template(STRICT), "so", &notice).starts_with("</s>[INST]"));
    for (written, answer) in [("so<|im_end|>", "so"), ("so</s>", "so"), ("so", "so"), ("so<|im_end|>\n", "so<|im_end|>\n"), ("", "")] {
        assert_eq!(chatml.without_end(written), answer);
    }
}

#[test]
fn a_result_goes_as_the_users_words_where_its_place_behind_the_call_cannot_be_told() {
    // The end of the calling turn opens the result, so that what the model wrote and what the template adds run into each other.
    let text = "{% for m in messages %}{% if m.tool_calls %}<model>call<open>{% elif m.role == 'tool' %}\
                {% if not messages[loop.index0 - 1].tool_calls %}{{ raise_exception('no call') }}{% endif %}{{ m.content }}<close>\
                {% else %}<{{ m.role }}>{{ m.content }}<end>{% endif %}{% endfor %}";
    let after = suffix(&template(text), "so", &[said(Role::Tool, "a page")]);
    assert_eq!(after, "<end><user><tool_response>\na page\n</tool_response><end>");
}

#[test]
fn words_of_ours_within_a_page_change_nothing() {
    let page = [said(Role::Tool, &format!("{ANSWER} {QUESTION} placeholderofword0x"))];
    let after = suffix(&template(CHATML), "so", &page);
    assert!(after.starts_with("<|im_end|>\n<|im_start|>user\n<tool_response>\nplaceholderofananswer "), "{after}");
}

#[test]
fn a_template_for_tools_is_taken_where_tools_are_offered() {
    let list = json!({"chat_template": [
        {"name": "default", "template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>"},
        {"name": "tool_use", "template": "{{ tools | tojson }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<a>"},
    ]});
    let template = Template::new(&list.to_string(), &Map::new(), None).expect("two templates");
    let question = [said(Role::User, "q")];
    assert_eq!(template.head(&question, &[]).as_deref(), Ok("<user>q<a>"));
    assert!(template.head(&question, &[toy()]).expect("a head").starts_with("[{\"type\": \"function\""));
    // The tools stand in the head; they are not said again.
    assert_eq!(template.suffix("x", &[], &question, &[toy()]).as_deref(), Ok("<user>q<a>"));
}

#[test]
fn what_is_wrong_with_a_template_is_told_before_anything_is_asked() {
    let turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    for (text, words) in [
        ("{% for m in messages %}\n{{ m.content }}", vec!["syntax error", "default:"]),
        ("{% for m in messages %}\n{{ m.content | reverse_words }}{% endfor %}", vec!["reverse_words", "default:2"]),
        ("{{ bos_token }}{{ messages }}", vec!["bos_token", "tokenizer_config.json"]),
        ("{{ strftime_now('%Y') }}{{ messages }}", vec!["recipe.as_of"]),
        ("always the same", vec!["leaves out"]),
        ("{{ raise_exception('no ' ~ messages[0].role) }}", vec!["the template refuses it: no system"]),
        ("{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}", vec!["what the model said"]),
        ("{\"model_max_length\": 1}", vec!["chat_template.jinja"]),
    ] {
        let error = Template::new(text, &Map::new(), None).expect_err(text);
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
    assert!(Template::new(turns, &Map::new(), Some("soon")).expect_err("no date").contains("YYYY-MM-DD"));

    // Tools that it does not write are no matter until some are offered.
    let template = Template::new(turns, &Map::new(), None).expect("sound without tools");
    let error = template.head(&[said(Role::User, "q")], &[toy()]).expect_err("the model would know no tool");
    assert!(error.contains("give one that does") && template.writes_tools() == Err(error.clone()), "{error}");
}
