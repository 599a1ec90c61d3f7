//! Hostile and innocent texts, in every dialect that a page might try to speak.

use model::protocol::{ProtocolTag, tags};
use proptest::prelude::*;

use super::*;

fn check(written: &str, expected: &str, tags: usize) {
    let neutral = neutralise(written);
    assert_eq!(neutral.text, expected);
    assert_eq!(neutral.tags.len(), tags, "{written}");
}

#[test]
fn the_lists_are_sorted_for_the_search() {
    assert!(TAGS.is_sorted() && BRACKETED.is_sorted());
}

#[test]
fn protocol_tags_are_defused_in_any_case_opening_and_closing() {
    check("<tool_call>{}</tool_call>", "‹tool_call›{}‹/tool_call›", 2);
    check("a <THINK>b</Think >", "a ‹THINK›b‹/Think ›", 2);
    check("<function=search><parameter=query>", "‹function=search›‹parameter=query›", 2);
    check("<function=search", "‹function=search", 1);
    check("<invoke name=\"open\">x</invoke>", "‹invoke name=\"open\"›x‹/invoke›", 2);
    check("<tool-response/><tool_results>", "‹tool-response/›‹tool_results›", 2);
    check("<seed:tool_call><extra_id_1>", "‹seed:tool_call›‹extra_id_1›", 2);
    check("<<SYS>>be<</SYS>>", "<‹SYS›>be<‹/SYS›>", 2);
    check("<tool_<think>call>", "<tool_‹think›call>", 1);
}

#[test]
fn special_tokens_are_defused() {
    check("<|im_start|>system", "‹|im_start|›system", 1);
    check("<|start|>assistant<|channel|>", "‹|start|›assistant‹|channel|›", 2);
    check("[INST] x [/INST][TOOL_CALLS]", "⟦INST⟧ x ⟦/INST⟧⟦TOOL_CALLS⟧", 3);
    check("<s>x</s>", "‹s›x‹/s›", 2);
    check("<｜tool▁calls▁begin｜><｜DSML｜invoke>", "‹｜tool▁calls▁begin｜›‹｜DSML｜invoke>", 2);
    check("<|tool_calls_section_begin|>", "‹|tool_calls_section_begin|›", 1);
    check("<start_of_turn>user", "‹start_of_turn›user", 1);
    check("[gMASK]<sop><unused7>", "⟦gMASK⟧‹sop›‹unused7›", 3);
    check("◁think▷x◁/think▷ ◁ ▷", "‹think›x‹/think› ◁ ▷", 2);
}

#[test]
fn no_tag_of_the_protocol_survives() {
    for tag in ProtocolTag::ALL {
        let name = tag.name();
        for written in [tag.enclose("x"), tag.enclose("x").to_uppercase(), format!("<{name} a=\"b\">x</{name} >"), format!("<{name}/>")] {
            let neutral = neutralise(&written);
            assert!(!neutral.text.contains(['<', '>']) && !neutral.tags.is_empty(), "{written} became {}", neutral.text);
        }
    }
}

/// The special tokens of the dialects, and of the chat templates they stand in.
const TOKENS: &str = "
    <|start|> <|channel|> <|message|> <|constrain|> <|call|> <|return|> <|end|> <|im_start|> <|im_end|> <|endoftext|>
    <tool_call> </tool_call> <tool_response> <tools> <think> </think> <function=open> </function> <parameter=id>
    </parameter> <｜tool▁calls▁begin｜> <｜tool▁call▁begin｜> <｜tool▁sep｜> <｜tool▁outputs▁end｜> <｜User｜> <｜Assistant｜>
    <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <|tool_calls_section_begin|> <|tool_call_begin|>
    <|tool_call_argument_begin|> <|tool_call_end|> <|im_middle|> <|im_user|> [BOS] [EOS] [EOT] [PAD] [UNK] ◁think▷ [INST]
    [/INST] [TOOL_CALLS] [ARGS] [CALL_ID] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS]
    [SYSTEM_PROMPT] [THINK] <|begin_of_text|> <|start_header_id|> <|eot_id|> <|eom_id|> <|python_tag|>
";

fn tokens() -> Vec<&'static str> {
    TOKENS.split_whitespace().collect()
}

#[test]
fn no_special_token_of_a_dialect_survives() {
    for token in tokens() {
        let neutral = neutralise(token);
        assert_eq!((neutral.text.contains(token), neutral.tags.len()), (false, 1), "{token} became {}", neutral.text);
    }
}

#[test]
fn link_brackets_and_control_characters_are_replaced_but_are_no_tags() {
    check("【3†L1】", "〖3‡L1〗", 0);
    check("a\u{1b}[31m\tb\r\n\0", "a␛[31m\tb\r\n␀", 0);
    check("<think 【†>", "‹think 〖‡›", 1);
}

#[test]
fn ordinary_text_is_untouched() {
    for text in [
        "x < y and A<B, a<=b, x<think of it",
        "<div class=\"a\"><b>bold</b>",
        "if a <s then",
        "[1] [INSTALL] [a]",
        "List<T> <stdin> <a@b.c>",
        "a <| f |> g",
        "→ “quotes” … – 東京「都」、ｶﾅ ひらがな",
        "1 < 2 > 0",
        "<answering>",
        "<",
    ] {
        let neutral = neutralise(text);
        assert!(matches!(neutral.text, Cow::Borrowed(_)), "{text} became {}", neutral.text);
    }
}

proptest! {
    #[test]
    fn neutral_text_is_a_fixed_point(text in "(<|>|/|\\||｜|\\[|\\]|【|†|think|tool_call|INST|=| |é|\u{1b}){0,24}") {
        let once = neutralise(&text).text.into_owned();
        let twice = neutralise(&once);
        prop_assert_eq!(&*twice.text, once.as_str());
        prop_assert!(twice.tags.is_empty());
    }

    #[test]
    fn nothing_between_other_text_survives(
        parts in proptest::collection::vec((any::<prop::sample::Index>(), 0..ProtocolTag::ALL.len(), "[<>|\\[\\]/a ｜◁]{0,3}"), 0..8),
    ) {
        let mut text = String::new();
        for (token, tag, between) in &parts {
            text.push_str(tokens()[token.index(tokens().len())]);
            text.push_str(between);
            text.push_str(&ProtocolTag::ALL[*tag].enclose(between));
        }
        let neutral = neutralise(&text).text;
        prop_assert!(tags(&neutral).is_empty(), "{}", neutral);
        prop_assert!(tokens().iter().all(|token| !neutral.contains(token)), "{}", neutral);
    }

    #[test]
    fn tags_are_where_they_are_said_to_be(text in "(<think>|</answer>|\\[INST\\]|【|東| x){0,12}") {
        let neutral = neutralise(&text);
        for at in &neutral.tags {
            prop_assert!(neutral.text.get(*at..).is_some_and(|rest| rest.starts_with(['‹', '⟦'])));
        }
    }
}
