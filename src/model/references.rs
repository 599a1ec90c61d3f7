//! Numbered citations: the markers `[3]` of a report, and its list of references.
//!
//! O-Researcher's form is ` [3] ` in the text, a space on both sides, and lines `[3]. URL - Title` under a heading at the end. Models write both
//! in many other ways; here those are read and the one form is written. Pure text, linear in its length; whether a reference was ever shown
//! is for others to say.

mod line;
mod marker;
mod renumber;

use std::ops::Range;

use line::{is_heading, is_numbered, is_reference, level, read};

pub use marker::markers;
pub use renumber::renumber;

/// A marker in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedMarker {
    /// The reference it names, from 1 to 999.
    pub number: u32,
    /// From its bracket to after its bracket, in bytes; the numbers of `[1, 2]` share one range. A link's target belongs to it: `[3](https://…)`.
    pub range: Range<usize>,
}

/// One line of a list of references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its number: that of its bracket, else its place in the list, from 1.
    pub number: u32,
    /// The document's URL, as written.
    pub url: String,
    /// Its title; empty where the line has none.
    pub title: String,
}

/// `text` without its list of references, and the list.
///
/// The list is what stands below the last heading that says so (`## References`, `**Sources**`, `参考文献`, …), if no heading of the same rank
/// comes after it; or else the lines at the very end that begin with a number and hold a URL first or last. A line without a URL is no
/// reference, unless the next line is its URL. The text is a prefix of `text`, without white space at its end; all of `text` where there is
/// no list.
pub fn split_references(text: &str) -> (&str, Vec<Reference>) {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        lines.push((start, line));
        start += line.len();
    }
    let Some((first, below)) = headed(&lines).or_else(|| unheaded(&lines)) else { return (text, Vec::new()) };
    let body = lines.get(first).and_then(|(start, _)| text.get(..*start)).unwrap_or(text);
    let list = lines.get(below..).unwrap_or_default();
    (body.trim_end(), read(list.iter().map(|(_, line)| *line)))
}

/// The lines of the heading of a list, and the first line below it.
fn headed(lines: &[(usize, &str)]) -> Option<(usize, usize)> {
    let heading = lines.iter().rposition(|(_, line)| is_heading(line))?;
    let below = lines.get(heading + 1..)?;
    let rank = lines.get(heading).map_or(0, |(_, line)| level(line));
    let is_followed = below.iter().any(|(_, line)| level(line) > 0 && (rank == 0 || level(line) <= rank));
    // A list of titles without addresses is a list too, though there is nothing in it to follow.
    let is_list = below.iter().all(|(_, line)| line.trim().is_empty() || is_numbered(line));
    if is_followed || !(is_list || below.iter().any(|(_, line)| is_reference(line, false))) {
        return None;
    }
    // `## References`, and below it `Sources:`: one heading.
    let above = lines.get(..heading)?;
    let first = above.iter().rposition(|(_, line)| !line.trim().is_empty() && !is_heading(line)).map_or(0, |at| at + 1);
    let first = lines.iter().skip(first).position(|(_, line)| is_heading(line)).map_or(heading, |at| first + at);
    Some((first, heading + 1))
}

/// The first of the numbered lines with which the text ends, twice.
fn unheaded(lines: &[(usize, &str)]) -> Option<(usize, usize)> {
    let mut first = None;
    for (at, (_, line)) in lines.iter().enumerate().rev() {
        if is_reference(line, true) {
            first = Some((at, at));
        } else if !line.trim().is_empty() {
            break;
        }
    }
    first
}

/// The list as a report ends with it: a heading, then `[n]. URL - Title` lines. Nothing for no references.
pub fn write_references(references: &[Reference]) -> String {
    let mut written = String::new();
    for Reference { number, url, title } in references {
        written.push_str(if written.is_empty() { "## References\n\n" } else { "\n" });
        written.push_str(&format!("[{number}]. {url}"));
        let mut separator = " - ";
        for word in title.split_whitespace() {
            written.push_str(separator);
            written.push_str(word);
            separator = " ";
        }
    }
    written
}

#[cfg(test)]
mod tests;
