//! The researcher, on a web of a few pages.

use model::settings::{Dialect, Mode};
use model::{Action, Message, Role};
use serde_json::Value;

use super::{RESEARCHER, begun, said, sampling, user, within};
use crate::heuristic::complete;
use crate::{Calls, dialect};

const PAGES: [(&str, &str, &str); 7] = [
    (
        "https://isles.example/marrow-light",
        "Marrow Light",
        "Marrow Light is a lighthouse on the Isle of Marrow.\nThe tower was designed by the engineer Ann Roe and first lit in October 1821.[4] It was \
         built because eleven ships had been lost.\n## Keepers\nTom Lee kept the light for 42 years.",
    ),
    (
        "https://people.example/ann-roe",
        "Ann Roe",
        "Ann Roe was an engineer from Skarholm. She learnt her trade at the tide mill of Marl and died in 1850.",
    ),
    (
        "https://isles.example/marrow",
        "Isle of Marrow",
        "The Isle of Marrow lies off Skarholm. Its people fish, and its light was first lit in 1821.",
    ),
    (
        "https://bridges.example/kettle",
        "Kettle Bridge",
        "Kettle Bridge is a stone bridge of nine arches over the Orn. It was opened in 1790.",
    ),
    ("https://bridges.example/marl", "Marl Bridge", "Marl Bridge is an iron bridge over the Orn. It was opened in 1874."),
    ("https://isles.example/zh", "马罗灯塔", "马罗灯塔位于马罗岛。灯塔由工程师安罗于1821年设计。守塔人在塔中住了四十二年。"),
    ("https://isles.example/zh2", "马罗岛", "马罗岛是斯卡霍姆外海的岛屿。岛上的灯塔在1821年首次点亮。"),
];

/// What a web tool shows.
fn perform(action: &Action) -> String {
    let list = |key: &str| -> Vec<String> {
        let values = action.arguments[key].as_array().expect("a list");
        values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if action.tool == "web_search" {
        let queries = list("query");
        let mut shown = format!("# Search Summary\nTotal results: {}\n", queries.len() * 4);
        for query in &queries {
            let held = |text: &str| query.split(' ').filter(|word| text.contains(word)).count();
            let mut order: Vec<&(&str, &str, &str)> = PAGES.iter().collect();
            order.sort_by_key(|(_, title, text)| std::cmp::Reverse(held(text) + 2 * held(title)));
            shown += &format!("\n## Query: '{query}'\nFound 4 results:\n\n");
            for (number, (url, title, text)) in order.iter().take(4).enumerate() {
                let snippet = text.lines().next().expect("a first line");
                shown += &format!("{}. [{title}]({url})\n{snippet}\n\n", number + 1);
            }
        }
        return shown;
    }
    assert_eq!(action.tool, "crawl_page");
    let page = |(number, url): (usize, String)| {
        let (url, title, text) = PAGES.iter().find(|(known, ..)| *known == url).expect("only what was shown is crawled");
        format!("Page {} [{url}]: {title}\n\n{text}", number + 1)
    };
    list("url").into_iter().enumerate().map(page).collect::<Vec<_>>().join("\n\n")
}

/// A subtask researched to its end: the calls, and the last text.
struct Run {
    messages: Vec<Message>,
    actions: Vec<Action>,
    answer: String,
}

impl Run {
    fn queries(&self) -> Vec<String> {
        let searches = self.actions.iter().filter(|action| action.tool == "web_search");
        searches.flat_map(|action| action.arguments["query"].as_array().expect("a list")).map(Value::to_string).collect()
    }
}

fn run(mut messages: Vec<Message>, seed: Option<u64>, frame: impl Fn(&Action, String) -> Message) -> Run {
    let mut actions = Vec::new();
    for _ in 0..20 {
        let completion = complete(&messages, Calls::Offered, &sampling(seed));
        let reading = dialect::read(Dialect::Hermes, &completion);
        assert!(reading.problems.is_empty() && reading.reasoning.is_some(), "{}", completion.text);
        messages.push(dialect::assistant_message(Dialect::Hermes, Mode::Chat, &completion));
        if reading.actions.is_empty() {
            return Run { messages, actions, answer: completion.text };
        }
        assert_eq!(reading.actions.len(), 1, "one call a turn");
        let (think, plan) = (completion.text.find("<think>"), completion.text.find("<plan>"));
        assert!(think < plan && plan < completion.text.find("<tool_call>"), "{}", completion.text);
        for action in reading.actions {
            messages.push(frame(&action, perform(&action)));
            actions.push(action);
        }
    }
    panic!("no answer after twenty turns");
}

fn framed(action: &Action, observed: String) -> Message {
    dialect::observation_message(Dialect::Hermes, Mode::Chat, &observed, action)
}

fn english() -> Vec<Message> {
    begun(
        RESEARCHER,
        "Question: Who designed the tower of Marrow Light, and when was it first lit?\nSubtask: Find out who designed Marrow Light",
    )
}

/// The sentences of an answer with the URL that each is cited to.
fn cited(answer: &str) -> Vec<(String, String)> {
    let (body, list) = answer.split_once("References\n").expect("a list of references");
    let url = |number: &str| {
        let line = list.lines().find_map(|line| line.strip_prefix(&format!("[{number}]. "))).expect("each number is listed");
        line.split_once(" - ").expect("an address and a title").0.to_owned()
    };
    let mut parts = body.trim().split(" [");
    let mut said = parts.next().expect("a sentence").to_owned();
    let mut found = Vec::new();
    for part in parts {
        let (number, next) = part.split_once(']').expect("a closed marker");
        found.push((std::mem::replace(&mut said, next.trim().to_owned()), url(number)));
    }
    found
}

#[test]
fn it_searches_crawls_and_quotes_what_it_has_read() {
    for seed in [None, Some(1), Some(2), Some(3), Some(4)] {
        let run = run(english(), seed, framed);
        assert!((5..=7).contains(&run.actions.len()), "{} calls", run.actions.len());
        let searches = run.actions.iter().filter(|action| action.tool == "web_search").count();
        assert!(searches >= 2 && run.actions.len() - searches >= 2, "both tools are used");
        let quotes = cited(within(&run.answer, "subtask_answer"));
        let (first, url) = quotes.first().expect("a quote");
        assert_eq!(first, "The tower was designed by the engineer Ann Roe and first lit in October 1821.", "without the page's footnote");
        assert_eq!(url, "https://isles.example/marrow-light");
        for (said, url) in &quotes {
            let page = PAGES.iter().find(|(known, ..)| known == url).expect("a page that was shown").2;
            assert!(page.replace("[4]", "").contains(said.as_str()), "{said} is not on {url}");
        }
    }
}

#[test]
fn no_query_and_no_page_is_asked_for_twice() {
    for seed in 0..40 {
        let run = run(english(), Some(seed), framed);
        let mut asked = run.queries();
        asked.extend(
            run.actions
                .iter()
                .filter(|action| action.tool == "crawl_page")
                .flat_map(|action| action.arguments["url"].as_array().expect("a list").iter().map(Value::to_string)),
        );
        let count = asked.len();
        asked.sort();
        asked.dedup();
        assert_eq!(asked.len(), count, "seed {seed}");
    }
}

#[test]
fn seeds_vary_the_queries_and_temperature_zero_does_not() {
    let queries = |seed| run(english(), seed, framed).queries();
    assert!((2..20).any(|seed| queries(Some(seed)) != queries(Some(1))));
    assert_eq!(queries(Some(7)), queries(Some(7)));
    assert_eq!(queries(None), queries(None));
}

#[test]
fn a_chinese_subtask_is_researched_and_answered_in_chinese() {
    let run = run(begun(RESEARCHER, "Question: 马罗灯塔是哪一年由谁设计的？\nSubtask: 马罗灯塔的设计者"), None, framed);
    assert!(run.actions.len() >= 5);
    assert!(run.queries().iter().any(|query| query.contains("马罗灯塔")), "{:?}", run.queries());
    let quotes = cited(within(&run.answer, "subtask_answer"));
    assert!(quotes.contains(&("灯塔由工程师安罗于1821年设计。".to_owned(), "https://isles.example/zh".to_owned())), "{quotes:?}");
    assert!(run.answer.starts_with("<think>读过的页面已经足够"), "{}", run.answer);
}

#[test]
fn observations_are_understood_in_every_frame() {
    let frames: [fn(&Action, String) -> Message; 4] = [
        framed,
        |_, observed| Message::text(Role::Tool, observed),
        |_, observed| user(format!("<observation>\n{observed}\n</observation>")),
        |_, observed| user(observed),
    ];
    let answers: Vec<String> = frames.into_iter().map(|frame| run(english(), None, frame).answer).collect();
    assert!(answers[0].contains("Ann Roe") && answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn a_conversation_whose_calls_cannot_be_read_goes_on_by_what_was_shown() {
    let mut messages = english();
    let first = run(english(), None, framed);
    for message in first.messages.iter().skip(2).take(10) {
        let is_call = message.role == Role::Assistant;
        messages.push(if is_call { Message::text(Role::Assistant, "<think>t</think>\n<plan>p</plan>\n(a call)") } else { message.clone() });
    }
    let text = said(&messages, None);
    assert!(text.contains("Ann Roe") && text.contains("<subtask_answer>"), "{text}");
}

#[test]
fn a_demand_for_the_answer_is_met_at_once() {
    let demand =
        user("Notice: The number of tool calls is used up. No further tool call will be carried out. Answer now in <subtask_answer>.");
    let mut messages = english();
    messages.push(demand.clone());
    let nothing = said(&messages, None);
    assert!(within(&nothing, "subtask_answer").starts_with("No source") && !nothing.contains('['), "{nothing}");

    // After three calls, one page of which was read.
    let mut messages: Vec<Message> = run(english(), None, framed).messages.into_iter().take(8).collect();
    let forbidden = complete(&messages, Calls::Forbidden, &sampling(None)).text;
    messages.push(demand);
    let told = said(&messages, None);
    assert!(told.contains("[1] ") && !told.contains("<tool_call>"), "{told}");
    assert_eq!(told, forbidden);
}

#[test]
fn too_few_calls_are_followed_by_more() {
    let mut messages: Vec<Message> = run(english(), None, framed).messages.into_iter().take(8).collect();
    messages.push(Message::text(Role::Assistant, "<think>t</think>\n<subtask_answer>Done.</subtask_answer>"));
    messages.push(user("Notice: you have made 3 tool calls; at least 5 are needed before an answer is taken. Go on."));
    assert!(said(&messages, None).contains("<tool_call>"));
}

#[test]
fn without_any_result_it_searches_in_other_words_and_says_so_in_the_end() {
    let none = |_: &Action, _: String| {
        user("<observation>\n# Search Summary\nTotal results: 0\n\nNo results found. Try with a more general query.\n</observation>")
    };
    for asked in ["Question: Who kept the light?\nSubtask: The keeper of the light", "Question: 谁守灯塔？\nSubtask: 灯塔的守护人"]
    {
        let run = run(begun(RESEARCHER, asked), None, none);
        assert!((5..=7).contains(&run.actions.len()), "{} calls", run.actions.len());
        assert!(!within(&run.answer, "subtask_answer").contains(['[', ':']), "{}", run.answer);
    }
}

#[test]
fn the_next_subtask_begins_anew_in_the_same_conversation() {
    let first = run(english(), None, framed);
    let mut messages = first.messages.clone();
    messages.push(user("Notice: Taken. Go on with the next one.\nSubtask: When was Kettle Bridge opened?"));
    let second = run(messages, None, framed);
    assert!((5..=7).contains(&second.actions.len()), "{} calls", second.actions.len());
    let quotes = cited(within(&second.answer, "subtask_answer"));
    assert!(quotes.iter().any(|(said, _)| said == "It was opened in 1790."), "{quotes:?}");
    assert!(first.queries().iter().all(|query| !second.queries().contains(query)), "no query is made again");
}
