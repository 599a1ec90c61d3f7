//! Citations as models write them, and whether what we write is read again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn found(text: &str) -> Vec<(u32, &str)> {
    markers(text).into_iter().map(|marker| (marker.number, text.get(marker.range).expect("a part of the text"))).collect()
}

fn numbers(pairs: &[(u32, u32)]) -> BTreeMap<u32, u32> {
    pairs.iter().copied().collect()
}

fn reference(number: u32, url: &str, title: &str) -> Reference {
    Reference { number, url: url.to_owned(), title: title.to_owned() }
}

#[test]
fn markers_are_read_in_every_form() {
    for (text, expected) in [
        ("a [3] b", vec![(3, "[3]")]),
        ("a[1, 2]", vec![(1, "[1, 2]"), (2, "[1, 2]")]),
        ("a[1][2].", vec![(1, "[1]"), (2, "[2]")]),
        ("a [1-3] b", vec![(1, "[1-3]"), (2, "[1-3]"), (3, "[1-3]")]),
        ("a [2–3, 7]", vec![(2, "[2–3, 7]"), (3, "[2–3, 7]"), (7, "[2–3, 7]")]),
        ("塔［3］は【4】。", vec![(3, "［3］"), (4, "【4】")]),
        ("a [ 5 ] b", vec![(5, "[ 5 ]")]),
        ("a [3](https://e.org/x_(y)) b", vec![(3, "[3](https://e.org/x_(y))")]),
        ("a [[3]](https://e.org) b", vec![(3, "[[3]](https://e.org)")]),
        ("a [3](see there) b", vec![(3, "[3]")]),
        ("a [1-16]", (1..=16).map(|number| (number, "[1-16]")).collect()),
        ("[999]", vec![(999, "[999]")]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn other_brackets_are_no_markers() {
    for text in [
        "[2020] and [1000]",
        "[0] [007] [-1] [3-1] [1-17] [1-2-3]",
        "[text](url) [1](",
        "【3†L1】 【注】 [3†L1]",
        "[] [ ] [x] [1 2] [1,] [3】 【3]",
        "[1\n]",
    ] {
        let found = found(text);
        assert!(found.is_empty() || text.ends_with("[1](") && found == [(1, "[1]")], "{text}: {found:?}");
    }
}

#[test]
fn code_holds_no_markers() {
    let text = "a [1]\n```rust\nlet x = a[2];\n~~~\n```\nb [3] `c[4]` [5] ``d ` [6]`` e [7]\n~~~~\n[8]\n~~~\n[9]\n~~~~\n[10] ` [11]\n";
    assert_eq!(found(text).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3, 5, 7, 10, 11]);
}

#[test]
fn every_form_of_a_line_is_a_reference() {
    let url = "https://e.org/a_(b)?q=1";
    for line in [
        "[2]. URL - A title",
        "[2] URL - A title",
        "[2]: URL: A title",
        "2. A title - URL",
        "2) A title: URL",
        "[2] [A title](URL)",
        "[2] [A title](URL).",
        "- [2] A title: URL",
        "* **[2]** *A title* — <URL>",
        "【2】 A title（URL）",
        "[2] \"A title,\" URL",
        "[2] A title (URL)",
        "[2] A title.\n    URL",
        "[2]. URL | A title",
        "[2](URL) A title",
        "[2] URL \"A title\"",
    ] {
        let text = format!("Body [2] .\n\n## References\n\n{}\n", line.replace("URL", url));
        let (body, list) = split_references(&text);
        assert_eq!(body, "Body [2] .", "{line}");
        let [Reference { number, url: read, title }] = list.as_slice() else { panic!("{line}: {list:?}") };
        assert_eq!((*number, read.as_str()), (2, url), "{line}");
        assert_eq!(title.trim_end_matches(['.', ',']), "A title", "{line}");
    }
}

#[test]
fn a_line_may_lack_title_or_number() {
    let text = "B\n\nSources:\n- https://e.org/a\n- [https://e.org/b](https://e.org/b)\n[7] https://e.org/c\n- Title: www.e.org/d.\nNot one of them.\n";
    let expected = [
        reference(1, "https://e.org/a", ""),
        reference(2, "https://e.org/b", ""),
        reference(7, "https://e.org/c", ""),
        reference(4, "www.e.org/d", "Title"),
    ];
    assert_eq!(split_references(text), ("B", expected.to_vec()));
}

#[test]
fn a_full_stop_belongs_to_the_url_where_it_is_no_sentence() {
    let list = |line: &str| split_references(&format!("References\n{line}")).1.pop().expect("a reference");
    assert_eq!(list("[1]. https://e.org/Acme_Inc. - Acme Inc."), reference(1, "https://e.org/Acme_Inc.", "Acme Inc."));
    assert_eq!(list("[1]. https://e.org/Acme_Inc."), reference(1, "https://e.org/Acme_Inc.", ""));
    assert_eq!(list("[1] Acme, at https://e.org/acme."), reference(1, "https://e.org/acme", "Acme, at"));
}

#[test]
fn a_list_has_many_headings() {
    for heading in [
        "## References",
        "# 5. References:",
        "**References**",
        "**References:**",
        "References:",
        "References",
        "REFERENCES",
        "Sources",
        "### Works Cited ###",
        "参考文献",
        "## 六、参考资料：",
        "## References\n\n**Sources:**",
    ] {
        let text = format!("One [1] .\n\nTwo.\n\n{heading}\n\n[1]. https://e.org - T\n");
        assert_eq!(split_references(&text), ("One [1] .\n\nTwo.", vec![reference(1, "https://e.org", "T")]), "{heading}");
    }
}

#[test]
fn a_list_stands_at_the_end() {
    let sub = "## Part\n\n### References\n[1] https://e.org/a\n\n## Conclusion\n\nAll [1] of it.";
    assert_eq!(split_references(sub), (sub, vec![]), "what follows would be lost");
    let (body, list) = split_references("A.\n\n## References\n\n### Web\n[1] https://e.org/a\n\n### Print\n[2] https://e.org/b\n\n---\n");
    assert_eq!((body, list.len()), ("A.", 2));
    let prose = "Sources\n\ndisagree about this.";
    assert_eq!(split_references(prose), (prose, vec![]));
    assert_eq!(split_references("A.\n\n## References\n"), ("A.", vec![]));
    let two = "A.\n\nReferences\n[1] https://e.org/old\n\nB.\n\nReferences\n[1] https://e.org/new";
    assert_eq!(split_references(two).1, [reference(1, "https://e.org/new", "")], "the last one counts");
}

#[test]
fn without_a_heading_only_numbered_lines_at_the_very_end_are_a_list() {
    let text = "One [1] .\n1. Go to https://e.org/form and sign.\n\n[1] https://e.org/a\n2. A title - https://e.org/b\n\n";
    let (body, list) = split_references(text);
    assert_eq!(body, "One [1] .\n1. Go to https://e.org/form and sign.");
    assert_eq!(list, [reference(1, "https://e.org/a", ""), reference(2, "https://e.org/b", "A title")]);
    for text in ["[1] https://e.org/a\n\nThe end.", "- See https://e.org/a", "The end [1] .", "", "\n\n", "https://e.org"] {
        assert_eq!(split_references(text), (text, vec![]), "{text}");
    }
}

#[test]
fn markers_are_written_one_way() {
    let map = numbers(&[(1, 4), (2, 5), (3, 4), (7, 7)]);
    for (body, expected) in [
        ("Tall[1].", "Tall [4] ."),
        ("Tall [1] .", "Tall [4] ."),
        ("Tall.[1]", "Tall. [4]"),
        ("Tall  [1]  and old", "Tall [4] and old"),
        ("Tall[1]\nOld [2] \r\nEnd", "Tall [4]\nOld [5]\r\nEnd"),
        ("[1] says\n  [2] too\n- [1]x", "[4] says\n  [5] too\n- [4] x"),
        ("a[1, 2] b[1][2] c[1], [2] d", "a [4] [5] b [4] [5] c [4] [5] d"),
        ("a [1][3] b [1-3]", "a [4] b [4] [5]"),
        ("a [1](https://e.org) b 【2】。", "a [4] b [5] 。"),
        ("a (see [1]) and ([2])", "a (see [4]) and ([5])"),
        ("**bold [1]** **[2]** and **x**[1] y", "**bold [4]** **[5]** and **x** [4] y"),
        ("| a[1]| [2] |", "| a [4] | [5] |"),
        ("`a[1]` [2]", "`a[1]` [5]"),
    ] {
        assert_eq!(renumber(body, &map), expected, "{body}");
    }
}

#[test]
fn a_number_without_a_new_one_is_left_out() {
    let map = numbers(&[(1, 1)]);
    for (body, expected) in [
        ("Tall [9].", "Tall."),
        ("Tall [9] and old[9], or[8][9]", "Tall and old, or"),
        ("Tall [9] [1] [8] .", "Tall [1] ."),
        ("[9] Tall\n  [9] too [9]\n", "Tall\n  too\n"),
        ("塔[9]は", "塔は"),
    ] {
        assert_eq!(renumber(body, &map), expected, "{body}");
    }
}

#[test]
fn a_written_list_is_what_a_report_ends_with() {
    let list = [reference(1, "https://e.org/a", "A  title\nof two lines"), reference(2, "https://e.org/b", " ")];
    let written = write_references(&list);
    assert_eq!(written, "## References\n\n[1]. https://e.org/a - A title of two lines\n[2]. https://e.org/b");
    assert_eq!(write_references(&[]), "");
}

#[test]
fn hostile_text_is_read_in_linear_time() {
    for unit in
        ["[", "[1", "[1](http://", "[[1]](", "`", "`a``", "[1]", "https://", "1,", "(", "# References\n", "[1] https://a\n", "**", "\n \t"]
    {
        let text = unit.repeat(400_000 / unit.len());
        let begun = std::time::Instant::now();
        let (body, _) = split_references(&text);
        renumber(body, &numbers(&[(1, 2)]));
        markers(&text);
        // A quadratic walk over this takes minutes.
        assert!(begun.elapsed().as_secs() < 20, "{unit}: {:?}", begun.elapsed());
    }
}

/// Pieces of reports that mean something here.
const SOUP: &str = "(\\[|\\]|\\[1\\]|\\[2, 3\\]|\\[2-4\\]|【|】|【5】|［6］|\\(|\\)|https://e.org/a|://|www\\.|`|```|~~~|\\*\\*|#|## References|Sources:\
                    |参考文献|1\\. |- |\n|\r\n| |\t|,|\\.|塔|a|_|\\[7\\]\\(https://e.org\\)|\\[8\\]\\. ){0,40}";

proptest! {
    #[test]
    fn nothing_panics_and_parts_are_parts(text in SOUP) {
        let mut end = 0;
        for marker in markers(&text) {
            prop_assert!(text.get(marker.range.clone()).is_some() && (1..=999).contains(&marker.number));
            prop_assert!(marker.range.start >= end || marker.range.end == end, "in order, without overlap");
            end = marker.range.end;
        }
        let (body, list) = split_references(&text);
        prop_assert!(text.starts_with(body));
        for reference in list {
            prop_assert!(!reference.url.is_empty() && text.contains(&reference.url) && !reference.url.contains(char::is_whitespace));
        }
    }

    #[test]
    fn any_text_is_read(text in "\\PC{0,80}") {
        let (body, _) = split_references(&text);
        renumber(body, &numbers(&[(1, 2)]));
    }

    #[test]
    fn writing_twice_changes_nothing_and_keeps_every_number(text in SOUP) {
        let same: BTreeMap<u32, u32> = (1..=999).map(|number| (number, number)).collect();
        let once = renumber(&text, &same);
        prop_assert_eq!(&renumber(&once, &same), &once);
        let cited = |text: &str| markers(text).iter().map(|marker| marker.number).collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(cited(&text), cited(&once));
    }

    #[test]
    fn a_written_list_is_read_again(titles in proptest::collection::vec("([A-Z][a-z]{1,8}( [a-z0-9]{1,6}){0,4})?", 1..6), body in "[a-z .]{0,20}x") {
        let list: Vec<Reference> =
            (1..).zip(&titles).map(|(number, title)| reference(number, &format!("https://e.org/{number}_(x)"), title)).collect();
        let text = format!("{body}\n\n{}", write_references(&list));
        prop_assert_eq!(split_references(&text), (body.as_str(), list));
    }
}
