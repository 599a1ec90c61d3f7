//! The planner's list of subtasks, and what is wrong with it.

use std::collections::HashSet;

use model::protocol::{self, ProtocolTag};
use model::settings::DecomposeSettings;

/// Longest subtask that is taken, in characters.
const SUBTASK_CHARS_MAX: usize = 2_000;
/// Lines of a list that are looked at.
const LINES_MAX: usize = 256;
/// Two subtasks whose words overlap at least so far (Jaccard) ask for the same thing: the measure by which repeated queries of published
/// trajectories were counted.
const OVERLAP_MAX: f64 = 0.8;

/// The subtasks in `text`: the lines, or the JSON list, between the tags; without tags the numbered lines.
pub(super) fn read(text: &str) -> Vec<String> {
    let between = protocol::last_part(text, ProtocolTag::SubtaskList);
    let body = between.unwrap_or(text).trim();
    if let Ok(list) = serde_json::from_str::<Vec<String>>(body) {
        return list.iter().filter_map(|line| clean(line)).take(LINES_MAX).collect();
    }
    let mut subtasks: Vec<String> = Vec::new();
    for line in body.lines().take(LINES_MAX) {
        let bare = without_subtask_tags(line);
        let bullet = after_bullet(bare);
        match (bullet, between.is_some()) {
            (Some(rest), _) => subtasks.extend(clean(rest)),
            (None, true) if subtasks.is_empty() || bare != line.trim() => subtasks.extend(clean(bare)),
            // A subtask that goes on in the next line.
            (None, true) => {
                if let (Some(last), Some(more)) = (subtasks.last_mut(), clean(bare)) {
                    last.push(' ');
                    last.push_str(&more);
                }
            }
            (None, false) => {}
        }
    }
    subtasks.retain(|subtask| subtask.chars().count() <= SUBTASK_CHARS_MAX);
    subtasks
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
    if let Some((first, second)) = overlapping(subtasks) {
        return Some(format!("Subtasks {} and {} ask for nearly the same thing.", first + 1, second + 1));
    }
    let count = subtasks.len();
    let fits = (usize::try_from(fewest).unwrap_or(0)..=usize::try_from(most).unwrap_or(usize::MAX)).contains(&count);
    (!fits).then(|| format!("It has {count} subtasks; there must be between {fewest} and {most}."))
}

/// `subtasks` without those that repeat an earlier one, and not more than the settings allow: for a planner that was asked often enough.
pub(super) fn mended(subtasks: Vec<String>, settings: &DecomposeSettings) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut words: Vec<HashSet<String>> = Vec::new();
    for subtask in subtasks {
        let own = words_of(&subtask);
        if words.iter().all(|known| overlap(known, &own) < OVERLAP_MAX) {
            words.push(own);
            kept.push(subtask);
        }
    }
    kept.truncate(usize::try_from(settings.max_subtasks).unwrap_or(usize::MAX));
    kept
}

/// The first two that ask for nearly the same thing.
fn overlapping(subtasks: &[String]) -> Option<(usize, usize)> {
    let words: Vec<HashSet<String>> = subtasks.iter().map(|subtask| words_of(subtask)).collect();
    for (second, own) in words.iter().enumerate() {
        for (first, known) in words.iter().enumerate().take(second) {
            if overlap(known, own) >= OVERLAP_MAX {
                return Some((first, second));
            }
        }
    }
    None
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
        assert_eq!(read("<subtask_list>\n1、水车建于何时？\n2、谁拥有水车？\n</subtask_list>").len(), 2);
        assert!(read("I would rather not.").is_empty());
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
