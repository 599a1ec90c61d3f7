//! The planner.

use std::collections::HashSet;

use model::{Message, Role};

use super::{PLANNER, begun, said, user, within};
use crate::heuristic::text::words;

fn subtasks(text: &str) -> Vec<String> {
    let lines = within(text, "subtask_list").lines().enumerate();
    lines.map(|(number, line)| line.strip_prefix(&format!("{}. ", number + 1)).expect("a numbered line").to_owned()).collect()
}

/// The largest share of words that two of them have in common.
fn overlap(subtasks: &[String]) -> f32 {
    let keys: Vec<HashSet<u64>> = subtasks.iter().map(|subtask| words(subtask).iter().map(|word| word.key).collect()).collect();
    let pairs = keys.iter().enumerate().flat_map(|(at, one)| keys.iter().skip(at + 1).map(move |other| (one, other)));
    let share = |(one, other): (&HashSet<u64>, &HashSet<u64>)| one.intersection(other).count() as f32 / one.union(other).count() as f32;
    pairs.map(share).fold(0.0, f32::max)
}

const QUESTIONS: [&str; 9] = [
    "Who designed the tower of Marrow Light, and in which year was Kettle Bridge opened?",
    "Who kept it?",
    "Which bridge is older, Kettle Bridge or Marl Bridge?",
    "How does a tide mill grind grain?",
    "Write a report on the decline of lighthouse keeping in the north of Skarholm between 1900 and 1950.",
    "马罗灯塔是哪一年由安罗设计的？",
    "请比较潮汐磨坊与风力磨坊的产量。",
    "灯台はいつ誰によって設計されましたか。",
    "Wer baute die Kettle Bridge in Skarholm und wann?",
];

#[test]
fn subtasks_are_as_many_as_asked_for_and_do_not_overlap() {
    for question in QUESTIONS {
        for seed in [None, Some(1), Some(2), Some(3)] {
            let list = subtasks(&said(&begun(PLANNER, question), seed));
            assert!((2..=5).contains(&list.len()), "{question}: {list:?}");
            assert!(overlap(&list) < 0.5, "{question}: {list:?}");
        }
    }
    let exact = PLANNER.replace("between 2 and 5", "between 4 and 4");
    assert!(QUESTIONS.iter().all(|question| subtasks(&said(&begun(&exact, *question), None)).len() == 4));
}

#[test]
fn subtasks_name_what_the_question_names_in_its_language() {
    let list = subtasks(&said(&begun(PLANNER, QUESTIONS[0]), None)).join("\n");
    for named in ["Marrow Light", "Kettle Bridge", "who designed"] {
        assert!(list.to_lowercase().contains(&named.to_lowercase()), "{named} in {list}");
    }
    let list = subtasks(&said(&begun(PLANNER, QUESTIONS[2]), None)).join("\n");
    assert!(list.contains("How it stands with Kettle Bridge") && list.contains("particulars of Marl Bridge"), "{list}");
    let list = subtasks(&said(&begun(PLANNER, QUESTIONS[6]), None));
    assert!(list.iter().any(|subtask| subtask.contains("潮汐磨坊")) && list.iter().any(|subtask| subtask.contains("风力磨坊")), "{list:?}");
    assert!(list.iter().all(|subtask| !subtask.chars().any(|c| c.is_ascii_alphabetic())), "{list:?}");
    assert!(
        said(&begun(PLANNER, QUESTIONS[5]), None).starts_with("<think>这个问题")
            || said(&begun(PLANNER, QUESTIONS[5]), None).starts_with("<think>我按照")
    );
}

#[test]
fn a_refused_list_is_followed_by_another_that_overlaps_no_more() {
    for question in QUESTIONS {
        let mut messages = begun(PLANNER, question);
        let mut lists: Vec<Vec<String>> = Vec::new();
        for _ in 0..4 {
            let said = said(&messages, None);
            let list = subtasks(&said);
            assert!(!lists.contains(&list), "{question}: {list:?} again");
            assert!(overlap(&list) < 0.5, "{question}: {list:?}");
            lists.push(list);
            messages.push(Message::text(Role::Assistant, said));
            messages.push(user("Notice: two of these subtasks ask for the same. Write another list."));
        }
    }
}

#[test]
fn a_refusal_that_names_a_number_is_obeyed() {
    let mut messages = begun(PLANNER, QUESTIONS[0]);
    messages.push(Message::text(Role::Assistant, said(&messages, None)));
    messages.push(user("Notice: the list must have between 5 and 5 subtasks."));
    assert_eq!(subtasks(&said(&messages, None)).len(), 5);
}

#[test]
fn seeds_vary_the_list_and_temperature_zero_does_not() {
    let list = |seed| said(&begun(PLANNER, QUESTIONS[4]), seed);
    assert!((2..10).any(|seed| list(Some(seed)) != list(Some(1))));
    assert_eq!(list(None), list(None));
    assert_eq!(list(Some(3)), list(Some(3)));
}
