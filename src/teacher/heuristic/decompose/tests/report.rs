//! The summarizer.

use model::{Message, Role};

use super::{SUMMARIZER, begun, said, user, within};

const ENGLISH: &str = "Question: Who designed the tower of Marrow Light?\n\n\
     <subtask>Find out who designed Marrow Light</subtask>\n<subtask_answer>\nThe tower was designed by the engineer Ann Roe. [1] It was lit in 1821. [3] \
     Nobody knows this. \n</subtask_answer>\n\
     <subtask>Background of Marrow Light</subtask>\n<subtask_answer>It was lit in 1821. [3] It stands on the Old Neck [1] [4]. A rumour. [9] </subtask_answer>\n\
     <subtask>People of Marrow</subtask>\n<subtask_answer>It was lit in 1821. [3] </subtask_answer>\n\
     <subtask>Storms</subtask>\n<subtask_answer>No source says anything.</subtask_answer>\n\n\
     References\n[1]. https://isles.example/light - Marrow Light\n[2]. https://isles.example/unused - Unused\n[3]. https://isles.example/marrow - Isle of Marrow\n\
     [4]. https://isles.example/neck";

const CHINESE: &str = "Question: 马罗灯塔是哪一年设计的？\n\n<subtask>马罗灯塔的设计年份</subtask>\n<subtask_answer>灯塔由工程师安罗于1821年设计。 [1] \
     </subtask_answer>\n<subtask>马罗岛</subtask>\n<subtask_answer>马罗岛是外海的岛屿。 [2] </subtask_answer>\n\nReferences\n\
     [1]. https://isles.example/zh - 马罗灯塔\n[2]. https://isles.example/zh2 - 马罗岛";

fn headings(report: &str) -> Vec<&str> {
    report.lines().filter(|line| line.starts_with('#')).collect()
}

fn exact(report: &str) -> &str {
    report.lines().find_map(|line| line.strip_prefix("Exact Answer: ")).expect("an exact answer")
}

#[test]
fn a_report_has_its_parts_and_keeps_the_markers() {
    let said = said(&begun(SUMMARIZER, ENGLISH), None);
    let report = within(&said, "suggested_answer");
    let expected = [
        "# Who designed the tower of Marrow Light",
        "## Introduction",
        "## Find out who designed Marrow Light",
        "## Background of Marrow Light",
        "## People of Marrow",
        "## Storms",
        "## Conclusion",
        "## References",
    ];
    assert_eq!(headings(report), expected);
    assert!(said.starts_with("<think>"));
    assert!(report.contains("The tower was designed by the engineer Ann Roe. [1] It was lit in 1821. [3] "), "{report}");
    assert!(report.contains("It stands on the Old Neck [1] [4] "), "{report}");
    assert_eq!(exact(report), "Ann Roe");
    assert!(report.find("Exact Answer: ") < report.find("## References"));
}

#[test]
fn only_what_is_cited_and_listed_is_listed_and_nothing_is_said_twice() {
    let said = said(&begun(SUMMARIZER, ENGLISH), None);
    let (body, list) = within(&said, "suggested_answer").split_once("## References\n").expect("a list");
    let expected = "[1]. https://isles.example/light - Marrow Light\n[3]. https://isles.example/marrow - Isle of Marrow\n\
        [4]. https://isles.example/neck - https://isles.example/neck";
    assert_eq!(list, expected);
    assert!(!body.contains("rumour") && !body.contains("Nobody knows"), "{body}");
    assert_eq!(body.matches("It was lit in 1821.").count(), 1, "{body}");
    assert!(body.contains("## People of Marrow\nThe sources for this part say nothing beyond"), "{body}");
    assert!(body.contains("## Storms\nNo source"), "{body}");
}

#[test]
fn a_chinese_question_gets_a_chinese_report() {
    let said = said(&begun(SUMMARIZER, CHINESE), None);
    let report = within(&said, "suggested_answer");
    let expected = ["# 马罗灯塔是哪一年设计的", "## 引言", "## 马罗灯塔的设计年份", "## 马罗岛", "## 结论", "## 参考文献"];
    assert_eq!(headings(report), expected);
    assert!(report.contains("灯塔由工程师安罗于1821年设计。 [1] "), "{report}");
    assert!(exact(report).contains("1821"), "{report}");
}

#[test]
fn a_report_without_evidence_says_so_and_lists_nothing() {
    let asked = "Question: Who kept it?\n<subtask>Keepers</subtask>\n<subtask_answer>No source.</subtask_answer>\n\nReferences\n";
    let said = said(&begun(SUMMARIZER, asked), None);
    let report = within(&said, "suggested_answer");
    assert_eq!(exact(report), "not found");
    assert!(report.ends_with("## References\nNone.") && !report.contains('['), "{report}");
}

#[test]
fn a_refused_report_is_written_again_with_more_of_what_was_found() {
    let many: String = (1..=12).map(|number| format!("The light has window number {number} in its wall. [1] ")).collect();
    let asked = format!(
        "Question: How many windows has Marrow Light?\n<subtask>Windows</subtask>\n<subtask_answer>{many}</subtask_answer>\n\nReferences\n\
         [1]. https://isles.example/light - Marrow Light"
    );
    let mut messages = begun(SUMMARIZER, asked);
    let first = said(&messages, None);
    messages.push(Message::text(Role::Assistant, first.clone()));
    messages.push(user("Notice: the report leaves out too much. Write it again."));
    let second = said(&messages, None);
    assert!(second.matches("[1] ").count() > first.matches("[1] ").count(), "{second}");
}
