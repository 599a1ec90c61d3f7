//! Hostile text: read in time that grows with its length, and in bounds.

use super::super::marks::looked_at;
use super::*;

/// Parts that cost the most when they are repeated.
const UNITS: [&str; 53] = [
    "<tool_call>",
    "</tool_call>",
    "<tool_call>{\"a\":\"",
    "<tool_call>['",
    "<tool_call>[\"x",
    "<think>",
    "</think>",
    "<function=f>",
    "<function=f><parameter=p>",
    "<parameter=p>",
    "<function=",
    "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"",
    "{\"name\":\"arguments\"",
    "\" ",
    "<tool_call>{\"name\": \"f\"}",
    "[{",
    "<tool_call><function=f>",
    "<",
    "<|",
    "<|a",
    "<｜",
    "<|channel|>",
    "<|channel|>final<|message|>",
    "<|channel|>commentary to=f<|message|>",
    "<|start|>assistant",
    "<|tool_call_begin|>",
    "<|tool_call_begin|>f:0<|tool_call_argument_begin|>{\"",
    "<｜tool▁sep｜>",
    "<｜tool▁calls▁begin｜>",
    "[TOOL_CALLS]",
    "[TOOL_CALLS]f[ARGS]{\"",
    "[TOOL_CALLS][",
    "[",
    "[f(",
    "\n[f(a=",
    "\n[f()]",
    "\n{\"name\":\"",
    "\n{\"name\":\"f\",\"parameters\":{}}",
    "<web_search>",
    "<web_search>a|",
    "<crawl_page>\n|",
    "<think><|tool_calls_section_begin|>",
    "<think><｜DSML｜x>",
    "<function=f{",
    "<｜DSML｜",
    "</ | ",
    "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"p\">",
    "f<｜tool▁sep｜>{}",
    "&num=1",
    "\\",
    "query=",
    "assistantfinal",
    "analysisassistantcommentary to=f{",
];

#[test]
fn hostile_text_is_read_in_linear_time() {
    /// How often a byte may be looked at in search of marks: by the walk, by a reader that looks ahead, at seams.
    const LOOKS_MAX: usize = 4;
    for unit in UNITS {
        for before in ["", "<tool_call>{\"a\":\"", "[TOOL_CALLS]f[ARGS]{\"a\":\"", "<web_search>"] {
            let text = format!("{before}{}", unit.repeat(60_000 / unit.len()));
            for dialect in Dialect::ALL {
                looked_at::take();
                read(dialect, &of_text(&text));
                let looked = looked_at::take();
                assert!(looked <= LOOKS_MAX * text.len(), "{dialect:?} looks at {looked} bytes of {}: {before}{unit}…", text.len());
            }
            read_tags_strictly(&of_text(&text));
            announces_a_call(&text, &["search"]);
            refuses(&text);
            read(Dialect::Openai, &native(&[("a", "f", &text)]));
        }
    }
}

#[test]
fn a_loop_of_calls_is_read_for_a_while_and_told() {
    for dialect in Dialect::ALL {
        let call = write(dialect, "web_search", &object(json!({"query": ["x"]})));
        let reading = read(dialect, &of_text(&format!("{call}\n").repeat(100)));
        assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (64, 1, ""), "{dialect:?}");
        assert!(reading.problems[0].contains("more than 64"), "{:?}", reading.problems);
    }
}

#[test]
fn a_call_larger_than_any_tool_takes_is_told() {
    let list = vec![1; 600];
    for dialect in Dialect::ALL {
        let written = write(dialect, "search", &object(json!({"query": list, "a\nb": 1})));
        let reading = read(dialect, &of_text(&written));
        assert_eq!((reading.actions.len(), reading.problems.len()), (0, 1), "{dialect:?}: {written}");
    }
    let parameters: String = (0..600).map(|n| format!("<parameter=p{n}>1</parameter>")).collect();
    let reading = read(Dialect::Qwen3Coder, &of_text(&format!("<function=f>{parameters}</function>It is 4.")));
    assert_eq!((reading.actions.len(), reading.problems.len(), reading.text.as_str()), (0, 1, "It is 4."));
}
