//! Measures how fast hostile texts are read, in every dialect.
//!
//! `cargo run --release -p teacher --example bench_dialect -- [DIALECT|all [KILOBYTES [KIND]]]`, where KIND is a part of a kind's name.
//! Prints megabytes a second for each kind of text at 1 MB and 4 MB (or at that size and four times that), the best of several rounds.
//! Reading must be linear: a speed that falls from each size to the next one is a super-linear case and is marked (one that falls once
//! fell out of a cache), and so is anything below the target of 200 MB/s. Ends with the slowest of all.

use std::hint::black_box;
use std::time::{Duration, Instant};

use model::settings::Dialect;
use model::{Completion, FinishReason, ToolCall, Usage};
use teacher::dialect;

/// Below this a case is marked.
const TARGET_MB_S: f64 = 200.0;
/// A case whose speed falls by more than this each time that the text is four times as long is marked, unless it is so fast that the memory
/// is what falls behind. A quadratic one falls by four.
const FALL_MAX: f64 = 1.5;
const MEMORY_MB_S: f64 = 1000.0;
const ROUNDS: usize = 5;
/// When all are measured, what is marked is measured again, so often at most, each time after a pause, and its best speeds count: machines are
/// slowed down from outside for seconds.
const AGAIN_MAX: usize = 10;
const PAUSE: Duration = Duration::from_secs(2);
const SMALL_KILOBYTES: usize = 1024;

/// A text: what it begins with, what is repeated, what it ends with.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("prose", "", "The lock was finished in 1871, and the canal in 1874. ", ""),
    ("prose in Chinese", "", "大坝建成于1936年，运河建成于1938年。", ""),
    ("prose with brackets", "", "See [1] and [2]; a < b, <b>bold</b>, f(x). ", ""),
    ("open call tags", "", "<tool_call>", ""),
    ("closing call tags", "", "</tool_call>", ""),
    ("open and closing call tags", "", "<tool_call></tool_call>", ""),
    ("calls", "", "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"dam\"}}\n</tool_call>\n", ""),
    ("calls with open strings", "", "<tool_call>{\"a\":\"", ""),
    ("calls with open single quotes", "", "<tool_call>['", ""),
    ("thoughts", "", "<think>a</think>", ""),
    ("open thoughts", "", "<think>", ""),
    ("closing thoughts", "", "</think>", ""),
    ("a thought closed at the end", "", "<|im_end|>", "</think>"),
    ("functions", "", "<function=f>", ""),
    ("functions with parameters", "", "<function=f><parameter=p>v</parameter></function>", ""),
    ("one function, many parameters", "<function=f>", "<parameter=p>v</parameter>", "</function>"),
    ("parameters alone", "", "<parameter=p>", ""),
    ("open names", "", "<function=", ""),
    (
        "long names",
        "",
        "<function=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "",
    ),
    ("less-than signs", "", "<", ""),
    ("less-than signs apart", "", "< ", ""),
    ("half tags", "", "<t</", ""),
    ("half tags of the protocol", "", "<subtask_</s<web_search<", ""),
    ("half tokens", "", "<|", ""),
    ("long half tokens", "", "<|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""),
    ("half wide tokens", "", "<｜", ""),
    ("tokens", "", "<|im_end|>", ""),
    ("wide tokens", "", "<｜tool▁call▁end｜>", ""),
    ("a string of backslashes", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\\", ""),
    ("a string of escapes", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\\n", "\"}}</tool_call>"),
    ("a string of unicode escapes", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\\u00e9", "\"}}</tool_call>"),
    ("a string of quotes", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\"x", "\"}}</tool_call>"),
    ("a string of quotes and spaces", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\"   ", "\"}}</tool_call>"),
    ("a string of less-than signs", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "<", "\"}}</tool_call>"),
    ("a string of tags", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "<think>", "\"}}</tool_call>"),
    ("a string of line breaks", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "\n", "\"}}</tool_call>"),
    ("a string in Chinese", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "灯塔“的”", "\"}}</tool_call>"),
    ("an open string", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "x", ""),
    ("a curly string", "<tool_call>{“q”: “", "“ ”", ""),
    ("a number", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":", "1", "}}</tool_call>"),
    ("deep brackets", "<tool_call>", "[", ""),
    ("deep objects", "<tool_call>", "{\"a\":", ""),
    ("deep objects in many calls", "", "<tool_call>{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":", ""),
    ("a list of numbers", "<tool_call>[", "1,", "]</tool_call>"),
    ("a list of objects", "<tool_call>[", "{\"a\":1},", "]</tool_call>"),
    (
        "lists in many calls",
        "",
        "<tool_call>[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
        "",
    ),
    ("commas", "<tool_call>[1", ",", "]</tool_call>"),
    ("white space", "<tool_call>", " ", "{}</tool_call>"),
    ("wide white space", "<tool_call>", "\u{3000}", "{}</tool_call>"),
    ("white space before answers", "", " \n", ""),
    ("channels", "", "<|channel|>", ""),
    ("final messages", "", "<|channel|>final<|message|>", ""),
    ("thoughts on a channel", "", "<|channel|>analysis<|message|>a<|end|><|start|>assistant", ""),
    ("messages to tools", "", "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>", ""),
    ("half headers", "", "<|start|>assistant to=f ", ""),
    ("stripped channels", "analysis", "assistantfinal", ""),
    ("stripped roles", "analysisassistantfinal", "assistant", ""),
    ("marked calls", "", "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>", ""),
    ("separators", "", "<｜tool▁sep｜>", ""),
    ("sections", "", "<｜tool▁calls▁begin｜>", ""),
    ("one name, many separators", "<｜tool▁call▁begin｜>a b", "<｜tool▁sep｜>", ""),
    ("separators behind a name", "", "f<｜tool▁sep｜>", ""),
    ("arguments behind a name", "", "f<｜tool▁sep｜>{}", ""),
    (
        "elements with a prefix",
        "",
        "<｜DSML｜invoke name=\"f\"><｜DSML｜parameter name=\"p\" string=\"true\">v</｜DSML｜parameter></｜DSML｜invoke>",
        "",
    ),
    (
        "one element, many parameters",
        "<｜DSML｜invoke name=\"f\">",
        "<｜DSML｜parameter name=\"p\">v</｜DSML｜parameter>",
        "</｜DSML｜invoke>",
    ),
    ("prefixes", "", "</｜DSML｜>", ""),
    ("half prefixes", "", "<｜DSML｜", ""),
    ("half prefixes with spaces", "", "</ | ", ""),
    ("half closing tags", "", "</t", ""),
    ("functions without their bracket", "", "<function=f{", ""),
    ("ids", "", "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"", ""),
    ("sections within an open thought", "<think>", "<|tool_calls_section_begin|>", ""),
    ("objects on lines", "", "\n{\"name\":\"f\",\"parameters\":{}}", ""),
    ("half objects on lines", "", "\n{\"name\":\"", ""),
    ("half objects after arguments", "parameters", "\n{\"name", ""),
    ("sections within open thoughts", "", "<think><|tool_calls_section_begin|>", ""),
    ("a string of half prefixes", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "<|D|", "\"}}</tool_call>"),
    ("a string of half prefixes with bars", "<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"", "<|||D", "\"}}</tool_call>"),
    ("half prefixes behind a seam", "a<think>a</think>", "<|||D", ""),
    ("braces", "parameters", "{", ""),
    ("braces on lines", "parameters", "\n{", ""),
    ("lists of calls on lines", "", "\n[f(a=1)]", ""),
    ("half lists on lines", "", "\n[f(", ""),
    ("a list of calls", "[", "f(a=\"b\"),", "]"),
    ("a call with many arguments", "[f(", "a=1,", ")]"),
    ("square brackets", "", "[", ""),
    ("square brackets apart", "", "\n[ ]", ""),
    ("square names", "[TOOL_CALLS]", "[T[A[/T", ""),
    ("tool calls", "", "[TOOL_CALLS]", ""),
    ("tool calls with open strings", "", "[TOOL_CALLS]f[ARGS]{\"", ""),
    ("one call, many parts", "[TOOL_CALLS]f", "[ARGS]", ""),
    ("open searches", "", "<web_search>", ""),
    ("searches", "", "<web_search>a | b&num=5</web_search>", ""),
    ("a search of bars", "<web_search>", "|", "</web_search>"),
    ("a search of queries", "<web_search>", "a|", "</web_search>"),
    ("a search of numbers", "<web_search>a", "&num=1", "</web_search>"),
    ("a search of lines", "<web_search>", "a\n", "</web_search>"),
    ("a crawl of bars", "<crawl_page>", "|", "</crawl_page>"),
    ("a crawl of URLs", "<crawl_page>", "https://a ", "</crawl_page>"),
    ("a crawl of lines", "<crawl_page>", "\n", "</crawl_page>"),
    ("marks of all kinds", "", "<think><|channel|></tool_call><｜tool▁sep｜>[ARGS]<plan>\"{\\", ""),
];

/// A kind of text in one dialect, and how fast it was read at best.
struct Measured {
    dialect: Dialect,
    case: Case,
    /// Whether the text is the arguments of a native call.
    is_native: bool,
    small: f64,
    large: f64,
    is_super_linear: bool,
}

impl Measured {
    fn measure(&mut self, small_bytes: usize) {
        self.small = self.small.max(self.speed(small_bytes));
        self.large = self.large.max(self.speed(small_bytes * 4));
        self.is_super_linear = falls(self.small, self.large) && falls(self.large, self.speed(small_bytes * 16));
    }

    fn speed(&self, bytes: usize) -> f64 {
        let (_, before, unit, after) = self.case;
        megabytes_a_second(self.dialect, &format!("{before}{}{after}", unit.repeat(bytes / unit.len())), self.is_native)
    }

    fn is_marked(&self) -> bool {
        self.least() < TARGET_MB_S || self.is_super_linear
    }

    fn least(&self) -> f64 {
        self.small.min(self.large)
    }

    fn name(&self) -> String {
        format!("{}{}", self.case.0, if self.is_native { " (native arguments)" } else { "" })
    }
}

fn falls(small: f64, large: f64) -> bool {
    small / large > FALL_MAX && large < MEMORY_MB_S
}

fn main() {
    let only = std::env::args().nth(1).filter(|name| name != "all");
    let kind = std::env::args().nth(3).unwrap_or_default();
    let kilobytes: usize = std::env::args().nth(2).and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or(SMALL_KILOBYTES);
    let dialects = Dialect::ALL.into_iter().filter(|dialect| only.as_deref().is_none_or(|name| name == dialect.name()));
    let mut all: Vec<Measured> = dialects
        .flat_map(|dialect| CASES.iter().flat_map(move |case| [false, true].map(|is_native| (dialect, *case, is_native))))
        .filter(|(dialect, case, is_native)| case.0.contains(&kind) && (*dialect == Dialect::Openai || !is_native))
        .map(|(dialect, case, is_native)| Measured { dialect, case, is_native, small: 0.0, large: 0.0, is_super_linear: false })
        .collect();
    for again in 0..=AGAIN_MAX {
        if !all.iter().any(Measured::is_marked) {
            break;
        }
        if again > 0 {
            std::thread::sleep(PAUSE);
        }
        all.iter_mut().filter(|measured| measured.is_marked()).for_each(|measured| measured.measure(kilobytes << 10));
    }
    let mut dialect = None;
    for measured in &all {
        if dialect.replace(measured.dialect) != Some(measured.dialect) {
            println!("{}", measured.dialect.name());
        }
        let slow = if measured.least() < TARGET_MB_S { "  SLOW" } else { "" };
        let fall = if measured.is_super_linear { "  SUPER-LINEAR" } else { "" };
        println!("  {:<48} {:>8.0} MB/s {:>8.0} MB/s{slow}{fall}", measured.name(), measured.small, measured.large);
    }
    println!("marked: {} of {}", all.iter().filter(|measured| measured.is_marked()).count(), all.len());
    if let Some(slowest) = all.iter().min_by(|a, b| a.least().total_cmp(&b.least())) {
        let (speed, dialect, name) = (slowest.least(), slowest.dialect.name(), slowest.name());
        println!("slowest: {speed:.0} MB/s, {dialect} · {name}");
    }
}

/// The best of several rounds, of which the first warms up.
fn megabytes_a_second(dialect: Dialect, text: &str, is_native: bool) -> f64 {
    let call = ToolCall { id: "a".into(), name: "f".into(), arguments: text.to_owned() };
    let completion = Completion {
        text: if is_native { String::new() } else { text.to_owned() },
        reasoning: None,
        calls: if is_native { vec![call] } else { Vec::new() },
        finish_reason: FinishReason::Stop,
        usage: Usage::default(),
        model: None,
    };
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        black_box(dialect::read(dialect, black_box(&completion)));
        best = best.min(started.elapsed());
    }
    text.len() as f64 / 1e6 / best.as_secs_f64()
}
