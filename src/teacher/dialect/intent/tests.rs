//! Texts as models end them, each with what it is.

use super::*;

const TOOLS: [&str; 5] = ["search", "open", "find", "web_search", "crawl_page"];

#[test]
fn a_text_that_says_what_it_will_do_announces_a_call() {
    for text in [
        "I'll search for the history of the lock.",
        "I’ll search for the history of the lock.",
        "The first page does not say. Let me open the second result.",
        "Let me open the second result. It should name the architect.",
        "To answer this, I need to find out who built the tower first.\n\nLet me start by searching for \"Marrow Light\":",
        "I'll use a search query to find out:\n\n John F. Marrow birth date",
        "Okay. I will now look up the founding date.",
        "I'm going to use the search tool to get more.",
        "We should search for the second director as well.",
        "The next step is to look up his birthplace.",
        "Searching for \"lighthouse keepers of Marrow\"...",
        "*Opening the third result…*",
        "search(\"lighthouse keepers\")",
        "I look at the page.\n```python\nopen(id=3)\n```",
        "functions.search(query=\"dams\", topn=5)",
        "Thought: I should know more.\nAction: search\nAction Input: lighthouse keepers",
        "**Tool:** `web_search`",
        "{\"tool\": \"search\", \"input\": \"dams\"}",
        "{\"action\": \"open\", \"id\": 3}",
        "<plan>Search for the tallest dam, then open its page.</plan>",
        "<plan>Search for the tallest dam",
        "接下来我将搜索大坝的建造年份。",
        "让我打开第二个结果。",
        "这个页面没有说明年份。我需要先查找一下设计师的资料。",
        "接下來我會搜尋燈塔的歷史。",
        "好的，我来查询一下。",
        "调用工具：search",
    ] {
        assert!(announces_a_call(text, &TOOLS), "{text}");
        assert!(!refuses(text), "{text}");
    }
}

#[test]
fn an_answer_that_mentions_searching_announces_nothing() {
    for text in [
        "",
        "The tower was designed by Ada Venn in 1871.【2†L3】",
        "I searched for the tower and opened three pages; none names its architect.",
        "The library holds no answer: no page that I found names the architect.",
        "I could not find the answer in the library.",
        "Based on my search, the dam was finished in 1936. Let me know if you want me to search for more.",
        "The dam is 221 m high. If you like, I can look for its volume too.",
        "I would need to search further to be certain, but all evidence points to 1936.",
        "Let me summarise: the dam was finished in 1936 and cost 49 million dollars.",
        "Let me search my notes first.\n\nFinal answer: 1936",
        "I will search for it. [later] It is 1936. The builder was Six Companies. They finished two years early.",
        "You can search for it with `search(\"dam\")` in the catalogue, as the manual says, which opened in 1936.",
        "with open(\"dam.txt\") as file:\n    print(file.read())",
        "Function: open spillways carry the flood past the dam.",
        "In conclusion, we should look at dams as works of their time.",
        "{\"name\": \"Ada\", \"born\": 1815}",
        "<plan>Search.</plan><suggested_answer>It is 1936.</suggested_answer>",
        "大坝建成于1936年，我搜索了三个页面，都证实了这一点。",
        "资料库中没有答案。如果您需要，我可以帮您继续搜索。",
        "我打开了第二个结果，其中写明建成于1936年。",
        "我将搜索结果整理如下：大坝建成于1936年。",
    ] {
        assert!(!announces_a_call(text, &TOOLS), "{text}");
    }
}

#[test]
fn a_short_text_that_declines_refuses() {
    for text in [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I cannot provide instructions for building weapons.",
        "As an AI language model, I cannot browse the internet.",
        "I apologize, but I am unable to fulfill this request.",
        "I must decline.",
        "Sorry, I won't help with this.",
        "抱歉，我无法回答这个问题。",
        "对不起，我不能提供这方面的帮助。",
        "作为一个人工智能，我无法满足这个请求。",
    ] {
        assert!(refuses(text), "{text}");
        assert!(!announces_a_call(text, &TOOLS), "{text}");
    }
}

#[test]
fn a_text_that_says_what_could_not_be_found_refuses_nothing() {
    for text in [
        "",
        "I'm sorry, but I could not find the year in any page.",
        "I cannot provide a definite year: the library holds no page about the tower.",
        "I can't determine who built it from the sources.",
        "I cannot confirm the date.",
        "The minister said: \"I cannot help with that.\" He resigned in 1936.",
        "No answer can be given: the two pages contradict each other.",
        "抱歉，我无法在资料库中找到答案。",
        "很遗憾，搜索结果无法提供确切的年份。",
        "他表示无法提供帮助，随后于1936年辞职。",
    ] {
        assert!(!refuses(text), "{text}");
    }
    assert!(!refuses(&format!("I can't help with that. {}", "But here is all that is known of it. ".repeat(30))));
}

#[test]
fn texts_in_any_script_and_of_any_length_are_looked_at() {
    for text in ["ß".repeat(2_000), "搜".repeat(2_000), "🜁 ".repeat(2_000), "İ".repeat(700), "(".repeat(3_000), ". ".repeat(3_000)] {
        assert!(!announces_a_call(&text, &TOOLS) && !refuses(&text));
    }
}
