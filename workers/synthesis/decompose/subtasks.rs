//! The planner's list of subtasks, and what is wrong with it.

use std::collections::HashSet;

use model::protocol::{self, ProtocolTag};
use model::settings::DecomposeSettings;

/// Longest subtask that is taken, in characters.
const SUBTASK_CHARS_MAX: usize = 2_000;
/// Lines of a list that are looked at.
const LINES_MAX: usize = 256;
/// Columns that a tab at the beginning of a line counts for.
const TAB_COLUMNS: usize = 4;
/// Two subtasks whose words overlap at least so far (Jaccard) ask for the same thing: the measure by which repeated queries of published
/// trajectories were counted.
const OVERLAP_MAX: f64 = 0.8;
/// Fewest content words of a subtask that is called a part of another: fewer may name the same thing and ask something else.
const PART_WORDS_MIN: usize = 3;
/// English words that say nothing of what is asked for. The question words are not among them.
const FUNCTION_WORDS: [&str; 28] = [
    "a", "an", "the", "of", "in", "on", "at", "by", "for", "from", "to", "with", "and", "or", "is", "was", "were", "are", "be", "been",
    "did", "does", "do", "it", "its", "this", "that", "as",
];

/// The subtasks in `text`: the lines, or the JSON list, between the tags, in a code fence or not; without tags the numbered lines.
pub(super) fn read(text: &str) -> Vec<String> {
    let between = protocol::last_part(text, ProtocolTag::SubtaskList);
    let body = unfenced(between.map_or(text, |part| indented(text, part)));
    if let Ok(list) = serde_json::from_str::<Vec<String>>(body.trim()) {
        return list.iter().filter_map(|line| clean(line)).take(LINES_MAX).collect();
    }
    let mut subtasks = in_lines(body, between.is_some());
    subtasks.retain(|subtask| subtask.chars().count() <= SUBTASK_CHARS_MAX);
    subtasks
}

/// `part` of `text`, with the white space before it on its line.
fn indented<'a>(text: &'a str, part: &'a str) -> &'a str {
    let Some((before, _)) = text.rsplit_once(part) else { return part };
    let start = before.trim_end_matches([' ', '\t']).len();
    text.get(start..before.len() + part.len()).unwrap_or(part)
}

/// `text` without the code fence around it, if it has one.
fn unfenced(text: &str) -> &str {
    let text = text.trim_end();
    let text = text.strip_suffix("```").unwrap_or(text);
    let Some(fenced) = text.trim_start().strip_prefix("```") else { return text };
    // The rest of the fence's line names a language.
    match fenced.split_once('\n') {
        Some((language, list)) if language.trim().chars().all(|c| c.is_ascii_alphanumeric()) => list,
        _ => fenced.strip_prefix("json").unwrap_or(fenced),
    }
}

/// A line of a list.
struct Line<'a> {
    /// Columns of white space that it begins with.
    indent: usize,
    /// Whether it is marked as a subtask by tags.
    is_tagged: bool,
    /// What it says, without such tags.
    bare: &'a str,
    /// What stands behind its number or bullet, if it has one.
    item: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let columns = |c: char| if c == '\t' { TAB_COLUMNS } else { 1 };
        let indent = line.chars().take_while(|c| c.is_whitespace()).map(columns).sum();
        let bare = without_subtask_tags(line);
        Self { indent, is_tagged: bare != line.trim(), bare, item: after_bullet(bare) }
    }
}

/// The subtasks that the lines of `list` are. Where some have a number or a bullet, bare lines before the first of these are an
/// introduction, and those of them that are indented deeper than the first go on the subtask above. Bare lines count only in a list that
/// `has_tags` around it.
fn in_lines(list: &str, has_tags: bool) -> Vec<String> {
    let lines: Vec<Line<'_>> = list.lines().take(LINES_MAX).map(Line::of).collect();
    let first = lines.iter().position(|line| line.item.is_some()).unwrap_or(0);
    let outermost = lines.get(first).map_or(0, |line| line.indent);
    let mut subtasks: Vec<String> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        match line.item {
            Some(item) if line.indent > outermost => go_on(&mut subtasks, item),
            Some(item) => subtasks.extend(clean(item)),
            None if !has_tags => {}
            None if line.is_tagged => subtasks.extend(clean(line.bare)),
            None if number < first => {}
            None => go_on(&mut subtasks, line.bare),
        }
    }
    subtasks
}

/// Adds `more` to the last subtask; it is the first where there is none.
fn go_on(subtasks: &mut Vec<String>, more: &str) {
    let Some(more) = clean(more) else { return };
    match subtasks.last_mut() {
        Some(last) => {
            last.push(' ');
            last.push_str(&more);
        }
        None => subtasks.push(more),
    }
}

fn without_subtask_tags(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix("<subtask>").unwrap_or(line);
    line.strip_suffix("</subtask>").unwrap_or(line).trim()
}

/// What stands behind a number or a bullet.
fn after_bullet(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix(['-', '*', '•', '–']) {
        return rest.starts_with(char::is_whitespace).then(|| rest.trim());
    }
    let line = line.strip_prefix(['(', '[', '（']).unwrap_or(line);
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    if !(1..=3).contains(&digits) {
        return None;
    }
    let rest = line.get(digits..)?;
    rest.strip_prefix(['.', ')', ':', ']', '、', '．', '）', '：']).map(str::trim)
}

fn clean(line: &str) -> Option<String> {
    let line = line.trim().trim_matches(['"', '*', '`']).trim();
    let has_tag = !protocol::tags(line).is_empty();
    (line.chars().any(char::is_alphanumeric) && !has_tag).then(|| line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What is wrong with `subtasks`, for the planner; none when they can be researched as they are.
pub(super) fn problem(subtasks: &[String], settings: &DecomposeSettings) -> Option<String> {
    let (fewest, most) = (settings.min_subtasks, settings.max_subtasks);
    if subtasks.is_empty() {
        return Some("There is no list of subtasks in it.".to_owned());
    }
    if let Some((first, second, clash)) = clashing(subtasks) {
        let (first, second) = (first + 1, second + 1);
        return Some(match clash {
            Clash::Alike => format!("Subtasks {first} and {second} ask for nearly the same thing."),
            Clash::FirstIsPart => format!("Subtask {first} is part of subtask {second}."),
            Clash::SecondIsPart => format!("Subtask {second} is part of subtask {first}."),
        });
    }
    let count = subtasks.len();
    let fits = (usize::try_from(fewest).unwrap_or(0)..=usize::try_from(most).unwrap_or(usize::MAX)).contains(&count);
    (!fits).then(|| format!("It has {count} subtasks; there must be between {fewest} and {most}."))
}

/// `subtasks` without those that clash with an earlier one, no more than the settings allow: for a planner that was asked often enough.
pub(super) fn mended(subtasks: Vec<String>, settings: &DecomposeSettings) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut words: Vec<Words> = Vec::new();
    for subtask in subtasks {
        let own = Words::of(&subtask);
        if words.iter().all(|known| known.clash(&own).is_none()) {
            words.push(own);
            kept.push(subtask);
        }
    }
    kept.truncate(usize::try_from(settings.max_subtasks).unwrap_or(usize::MAX));
    kept
}

/// The first two that clash, and how.
fn clashing(subtasks: &[String]) -> Option<(usize, usize, Clash)> {
    let words: Vec<Words> = subtasks.iter().map(|subtask| Words::of(subtask)).collect();
    for (second, own) in words.iter().enumerate() {
        for (first, known) in words.iter().enumerate().take(second) {
            if let Some(clash) = known.clash(own) {
                return Some((first, second, clash));
            }
        }
    }
    None
}

/// Why two subtasks cannot stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clash {
    /// Both ask for nearly the same thing.
    Alike,
    /// All that the first asks for, the second asks for too.
    FirstIsPart,
    /// The other way round.
    SecondIsPart,
}

/// The words of a subtask.
struct Words {
    all: HashSet<String>,
    /// Those that say what is asked for.
    content: HashSet<String>,
}

impl Words {
    fn of(subtask: &str) -> Self {
        let all = words_of(subtask);
        let content = all.iter().filter(|word| !FUNCTION_WORDS.contains(&word.as_str())).cloned().collect();
        Self { all, content }
    }

    fn clash(&self, second: &Self) -> Option<Clash> {
        let is_part = |part: &Self, whole: &Self| part.content.len() >= PART_WORDS_MIN && part.content.is_subset(&whole.content);
        let is_alike = overlap(&self.all, &second.all) >= OVERLAP_MAX;
        match (is_part(self, second), is_part(second, self)) {
            _ if is_alike => Some(Clash::Alike),
            (true, true) => Some(Clash::Alike),
            (true, false) => Some(Clash::FirstIsPart),
            (false, true) => Some(Clash::SecondIsPart),
            (false, false) => None,
        }
    }
}

fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f64 {
    let both = a.intersection(b).count();
    let all = a.len() + b.len() - both;
    if all == 0 { 1.0 } else { both as f64 / all as f64 }
}

/// Words in lower case; of scripts that write no spaces, pairs of neighbouring characters.
fn words_of(text: &str) -> HashSet<String> {
    let lower = text.to_lowercase();
    let mut words = HashSet::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let dense: Vec<char> = word.chars().filter(|c| is_dense(*c)).collect();
        words.extend(dense.windows(2).map(|pair| pair.iter().collect::<String>()));
        let spaced: String = word.chars().filter(|c| !is_dense(*c)).collect();
        if !spaced.is_empty() {
            words.insert(spaced);
        } else if dense.len() == 1 {
            words.insert(word.to_owned());
        }
    }
    words
}

fn is_dense(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(fewest: u32, most: u32) -> DecomposeSettings {
        let table = model::written::RecipeTable {
            kind: Some("decompose".into()),
            min_subtasks: Some(fewest),
            max_subtasks: Some(most),
            ..Default::default()
        };
        let text = "[campaign]\nname = \"a\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n";
        let mut file = model::written::CampaignFile::parse(text).expect("well-formed");
        file.recipe = table;
        match file.resolve(std::path::Path::new("/")).expect("valid").recipe {
            model::settings::RecipeSettings::Decompose(settings) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_list_is_read_however_a_planner_writes_it() {
        let two = ["When was the mill built?", "Who owned the mill?"];
        for text in [
            "<think>so</think><subtask_list>\n1. When was the mill built?\n2. Who owned the mill?\n</subtask_list>",
            "<subtask_list>\n- When was the mill built?\n- Who owned\n  the mill?\n</subtask_list>",
            "<subtask_list>[\"When was the mill built?\", \"Who owned the mill?\"]</subtask_list>",
            "<subtask_list>\n<subtask>When was the mill built?</subtask>\n<subtask>Who owned the mill?</subtask>",
            "Here is my plan:\n1) When was the mill built?\n2) Who owned the mill?\nThat is all.",
            "<subtask_list>\n**1. When was the mill built?**\n(2) Who owned the mill?\n</subtask_list>".replace("**1.", "1.").as_str(),
        ] {
            assert_eq!(read(text), two, "{text}");
        }
        let (first, second) = ("1. When was the mill built?", "2. Who owned the mill?");
        for text in [
            format!("<subtask_list>\nThese are the subtasks:\nall of them\n{first}\n{second}\n</subtask_list>"),
            format!("<subtask_list>\n```\n{first}\n{second}\n```\n</subtask_list>"),
            format!("<subtask_list>\n```json\n[\"{}\",\n\"{}\"]\n```\n</subtask_list>", two[0], two[1]),
            format!("<subtask_list>```json [\"{}\", \"{}\"]```</subtask_list>", two[0], two[1]),
            format!("```json\n[\"{}\", \"{}\"]\n```", two[0], two[1]),
            format!("<subtask_list>\n```text\n{first}\n{second}\n```\n"),
            format!("  <subtask_list>  {first}\n  {second}\n</subtask_list>"),
            format!("<subtask_list>\n\n   {first}\n {second}\n</subtask_list>"),
        ] {
            assert_eq!(read(&text), two, "{text}");
        }
        assert_eq!(read("<subtask_list>\n1、水车建于何时？\n2、谁拥有水车？\n</subtask_list>").len(), 2);
        assert!(read("I would rather not.").is_empty());
    }

    #[test]
    fn only_the_outermost_lines_of_a_list_are_subtasks() {
        let nested =
            "1. When was the mill built?\n   - by whom\n\t* of what stone,\n     or of what timber\n2. Who owned the mill?\n   a guild?";
        let expected = ["When was the mill built? by whom of what stone, or of what timber", "Who owned the mill? a guild?"];
        assert_eq!(read(&format!("<subtask_list>\n{nested}\n</subtask_list>")), expected);
        assert_eq!(read(&format!("<subtask_list>\nThe list:\n```\n{nested}\n```\n</subtask_list>")), expected);
        let without_tags = "My plan:\n  - When was the mill built?\n    - by whom\n  - Who owned the mill?\n";
        assert_eq!(read(without_tags), ["When was the mill built? by whom", "Who owned the mill?"]);
    }

    #[test]
    fn a_subtask_that_is_part_of_another_is_refused() {
        let list = |subtasks: [&str; 2]| Vec::from(subtasks.map(str::to_owned));
        let settings = settings(1, 3);
        let (part, whole) =
            ("Who designed the Swan Bridge in Pellin?", "Who designed the Swan Bridge in Pellin and when and why was it built by them?");
        assert_eq!(problem(&list([part, whole]), &settings).as_deref(), Some("Subtask 1 is part of subtask 2."));
        assert_eq!(problem(&list([whole, part]), &settings).as_deref(), Some("Subtask 2 is part of subtask 1."));
        assert_eq!(mended(list([part, whole]), &settings), [part]);
        assert_eq!(mended(list([whole, part]), &settings), [whole]);
        let same = ["Who was the designer of the Swan Bridge?", "Who is its designer: this Swan Bridge"];
        assert!(problem(&list(same), &settings).is_some_and(|problem| problem.contains("1 and 2 ask for nearly the same")));
        for apart in [
            ["When was the mill at Marl built?", "Where was the mill at Marl built?"],
            ["The Swan Bridge", "Who designed the Swan Bridge in Pellin?"],
            ["Who designed the Swan Bridge in Pellin?", "When was the Swan Bridge in Pellin opened, and by whom?"],
        ] {
            assert_eq!(problem(&list(apart), &settings), None, "{apart:?}");
            assert_eq!(mended(list(apart), &settings), apart);
        }
    }

    #[test]
    fn lists_that_repeat_themselves_or_have_the_wrong_length_are_refused() {
        let list = |subtasks: &[&str]| subtasks.iter().map(|subtask| (*subtask).to_owned()).collect::<Vec<_>>();
        let settings = settings(2, 3);
        let same = list(&["Who built the old mill at Marl?", "who built the OLD mill, at Marl", "When did it burn?"]);
        assert!(problem(&same, &settings).is_some_and(|problem| problem.contains("1 and 2")));
        assert_eq!(mended(same, &settings), ["Who built the old mill at Marl?", "When did it burn?"]);
        let dense = list(&["古老的水车建于何时", "古老的水车建于何时呢", "谁拥有它"]);
        assert!(problem(&dense, &settings).is_some());
        assert!(problem(&list(&["only one subtask"]), &settings).is_some_and(|problem| problem.contains("between 2 and 3")));
        assert!(problem(&[], &settings).is_some());
        assert_eq!(problem(&list(&["When was the mill at Marl built?", "Where was the mill at Orn built?"]), &settings), None);
    }
}
