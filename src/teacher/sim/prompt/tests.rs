//! The same conversation in the form of each template.

use proptest::prelude::*;

use super::*;

const CALL: &str = "<tool_call>\n{\"name\": \"search\", \"arguments\": {\"query\": \"dam\"}}\n</tool_call>";

/// The conversation that each prompt below holds.
fn conversation() -> Vec<Message> {
    vec![
        Message::text(Role::System, "rules"),
        Message::text(Role::User, "which dam?"),
        Message::text(Role::Assistant, format!("<think>hm</think>\n{CALL}")),
        Message::text(Role::User, "<tool_response>\npage \"one\"\n</tool_response>"),
    ]
}

#[test]
fn the_messages_are_found_in_the_form_of_every_template() {
    let chatml = format!(
        "<|im_start|>system\nrules<|im_end|>\n<|im_start|>user\nwhich dam?<|im_end|>\n<|im_start|>assistant\n<think>hm</think>\n{CALL}<|im_end|>\n\
         <|im_start|>user\n<tool_response>\npage \"one\"\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    );
    let llama = format!(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nrules<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nwhich dam?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n<think>hm</think>\n{CALL}<|eot_id|>\
         <|start_header_id|>ipython<|end_header_id|>\n\n\"page \\\"one\\\"\"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    let harmony = "<|start|>developer<|message|>rules<|end|><|start|>user<|message|>which dam?<|end|>\
         <|start|>assistant<|channel|>analysis<|message|>hm<|end|>\
         <|start|>assistant<|channel|>commentary to=functions.search <|constrain|>json<|message|>{\"query\": \"dam\"}<|call|>\
         <|start|>functions.search to=assistant<|channel|>commentary<|message|>\"page \\\"one\\\"\"<|end|><|start|>assistant"
        .to_owned();
    let kimi = format!(
        "<|im_system|>system<|im_middle|>rules<|im_end|><|im_user|>user<|im_middle|>which dam?<|im_end|>\
         <|im_assistant|>assistant<|im_middle|><think>hm</think>\n{CALL}<|im_end|><|im_system|>tool<|im_middle|>page \"one\"<|im_end|>\
         <|im_assistant|>assistant<|im_middle|>"
    );
    let deepseek = format!(
        "<｜begin▁of▁sentence｜>rules<｜User｜>which dam?<｜Assistant｜><think>hm</think>\n{CALL}<｜end▁of▁sentence｜><｜tool▁outputs▁begin｜>\
         <｜tool▁output▁begin｜>page \"one\"<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    );
    let mistral = format!(
        "<s>[SYSTEM_PROMPT]rules[/SYSTEM_PROMPT][INST]which dam?[/INST]<think>hm</think>\n{CALL}</s>[TOOL_RESULTS]page \"one\"[/TOOL_RESULTS]"
    );
    for prompt in [chatml, llama, harmony, kimi, deepseek, mistral] {
        let found = read(&prompt, None);
        assert_eq!(found.messages, conversation(), "{prompt}");
        assert_eq!(found.partial, "", "{prompt}");
    }
}

#[test]
fn the_tail_is_a_partial_turn_to_the_letter() {
    for (prompt, partial) in [
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n", "<think>\n"),
        ("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant", ""),
        ("<|start|>user<|message|>q<|end|><|start|>assistant<|channel|>final<|message|>It is ", "<|channel|>final<|message|>It is "),
        ("<｜User｜>q<｜Assistant｜><think>\nso ", "<think>\nso "),
        ("<|im_start|>user\nq<|im_end|>\n", ""),
    ] {
        let found = read(prompt, None);
        assert_eq!(found.messages, [Message::text(Role::User, "q")], "{prompt}");
        assert_eq!(found.partial, partial, "{prompt}");
    }
    assert_eq!(read("just words", None).messages, [Message::text(Role::User, "just words")]);
}

#[test]
fn a_turn_that_was_written_in_another_dialect_comes_in_the_played_teacher_s_own() {
    let prompt = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<tool_call>\n<function=search>\n<parameter=query>\ndam\n</parameter>\n\
                  </function>\n</tool_call><|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(read(prompt, Some(Dialect::Qwen3Coder)).messages[1].text, CALL);
}

proptest! {
    #[test]
    fn no_prompt_is_too_strange(parts in prop::collection::vec(prop::sample::select(vec![
        "<|im_start|>", "<|im_end|>", "<|start|>", "<|message|>", "<|end|>", "<|channel|>", "assistant", "user\n", "to=", "\n", "ü", "<｜User｜>",
        "[INST]", "[/INST]", "</tool_response>", "<|start_header_id|>", "<|end_header_id|>", "\"", "{}",
    ]), 0..60)) {
        let prompt = parts.concat();
        let found = read(&prompt, Some(Dialect::Harmony));
        let held: usize = found.messages.iter().map(|message| message.text.len()).sum();
        // What is written anew may be a little longer than it was.
        prop_assert!(held + found.partial.len() <= 8 * prompt.len() + 100);
    }
}
