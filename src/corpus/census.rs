//! Which documents are kept: the decisions between the two readings of the sources.
//!
//! Of lines with one canonical URL the one with the longest text is kept, of kept ones with one text the one with the shortest URL, and
//! digests decide what is left: the order of files and lines never does. Memory is about 60 bytes a line, whatever the documents' size.

use model::Digest;

use crate::document::Ordinal;
use crate::line::{Mark, Marks};

/// What is known of a line after the first reading.
#[derive(Clone, Copy)]
struct Row {
    marks: Marks,
    /// Bytes; a longer text counts as one of this length.
    text_bytes: u32,
    /// At most `canonical::URL_BYTES_MAX`; none for a line that holds no document.
    url_bytes: Option<u16>,
}

/// All lines of the sources, by their number among all lines.
#[derive(Default)]
pub(crate) struct Census {
    rows: Vec<Row>,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It holds no document.
    Nothing,
    /// It is kept, as this document.
    Kept(Ordinal),
    /// Another line with its URL is kept, as this document.
    SameUrl(Ordinal),
    /// Another document with its text is kept; its URL leads there.
    SameText(Ordinal),
}

/// What the decisions come to.
pub(crate) struct Decided {
    /// By the line's number among all lines.
    pub(crate) fates: Vec<Fate>,
    /// Documents kept.
    pub(crate) kept: u32,
    /// Digest of the kept documents, in the order of their ordinals.
    pub(crate) documents: Digest,
}

const NO_DOCUMENT: Row = Row { marks: Marks { url: [0; 16], text: [0; 16], content: [0; 16] }, text_bytes: 0, url_bytes: None };

impl Census {
    /// The next line holds no document.
    pub(crate) fn skip(&mut self) {
        self.rows.push(NO_DOCUMENT);
    }

    /// The next line holds this document.
    pub(crate) fn count(&mut self, marks: Marks, text_bytes: usize, url_bytes: usize) {
        let text_bytes = u32::try_from(text_bytes).unwrap_or(u32::MAX);
        self.rows.push(Row { marks, text_bytes, url_bytes: Some(u16::try_from(url_bytes).unwrap_or(u16::MAX)) });
    }

    /// Decides. There must be fewer lines than `u32::MAX`.
    pub(crate) fn decide(self) -> Decided {
        let rows = &self.rows;
        let row = |line: &u32| &rows[*line as usize];
        let mut fates = vec![Fate::Nothing; rows.len()];
        let lines = (0..rows.len() as u32).filter(|line| row(line).url_bytes.is_some());

        // By URL: the best line of each.
        let mut winners: Vec<u32> = lines.collect();
        winners.sort_unstable_by_key(|line| {
            (number(row(line).marks.url), std::cmp::Reverse(row(line).text_bytes), number(row(line).marks.content), *line)
        });
        let mut beaten = Vec::new();
        winners.dedup_by(|line, winner| {
            let is_beaten = row(line).marks.url == row(winner).marks.url;
            if is_beaten {
                beaten.push((*line, *winner));
            }
            is_beaten
        });

        // By text: the best winner of each.
        winners.sort_unstable_by_key(|line| (number(row(line).marks.text), row(line).url_bytes, number(row(line).marks.url)));
        let mut aliases = Vec::new();
        winners.dedup_by(|line, winner| {
            let is_alias = row(line).marks.text == row(winner).marks.text;
            if is_alias {
                aliases.push((*line, *winner));
            }
            is_alias
        });

        winners.sort_unstable_by_key(|line| number(row(line).marks.url));
        let mut documents = blake3::Hasher::new();
        for (ordinal, line) in winners.iter().enumerate() {
            fates[*line as usize] = Fate::Kept(Ordinal(ordinal as u32));
            documents.update(&row(line).marks.content);
        }
        for (line, winner) in aliases {
            fates[line as usize] = Fate::SameText(fates[winner as usize].ordinal());
        }
        for (line, winner) in beaten {
            fates[line as usize] = Fate::SameUrl(fates[winner as usize].ordinal());
        }
        Decided { fates, kept: winners.len() as u32, documents: Digest::from_hash(documents.finalize()) }
    }
}

/// A mark as a number of the same order: compared in one step.
fn number(mark: Mark) -> u128 {
    u128::from_be_bytes(mark)
}

impl Fate {
    /// The document that stands for the line. Asked only of lines that hold one.
    fn ordinal(self) -> Ordinal {
        match self {
            Self::Kept(ordinal) | Self::SameUrl(ordinal) | Self::SameText(ordinal) => ordinal,
            Self::Nothing => unreachable!("a line without a document wins over none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url_mark(url: &str) -> Mark {
        let hash = blake3::hash(url.as_bytes());
        std::array::from_fn(|at| hash.as_bytes()[at])
    }

    fn marks(url: &str, text: &str) -> Marks {
        Marks { url: url_mark(url), text: url_mark(text), content: url_mark(&format!("{url} {text}")) }
    }

    fn decide(lines: &[(&str, &str)]) -> Decided {
        let mut census = Census::default();
        for (url, text) in lines {
            census.count(marks(url, text), text.len(), url.len());
        }
        census.decide()
    }

    #[test]
    fn of_one_url_the_longest_text_is_kept_and_of_one_text_the_shortest_url() {
        let decided = decide(&[("u1", "short"), ("u1", "longer"), ("a/longer/url", "same"), ("u2", "same"), ("u1", "longer")]);
        assert_eq!(decided.kept, 2);
        let Fate::Kept(u1) = decided.fates[1] else { panic!("the first of two equal lines is kept: {:?}", decided.fates) };
        let Fate::Kept(u2) = decided.fates[3] else { panic!("the short url is kept: {:?}", decided.fates) };
        assert_eq!(decided.fates[0], Fate::SameUrl(u1));
        assert_eq!(decided.fates[4], Fate::SameUrl(u1));
        assert_eq!(decided.fates[2], Fate::SameText(u2));
        assert_eq!(u1 < u2, url_mark("u1") < url_mark("u2"));
    }

    #[test]
    fn ordinals_are_ranks_by_the_digest_of_the_url() {
        let lines: Vec<_> = (0..20).map(|n| (format!("u{n}"), format!("text {n}"))).collect();
        let decided = decide(&lines.iter().map(|(url, text)| (url.as_str(), text.as_str())).collect::<Vec<_>>());
        let mut ranked: Vec<_> = lines.iter().map(|(url, _)| url_mark(url)).collect();
        ranked.sort();
        for ((url, _), fate) in lines.iter().zip(&decided.fates) {
            assert_eq!(*fate, Fate::Kept(Ordinal(ranked.iter().position(|mark| *mark == url_mark(url)).expect("ranked") as u32)));
        }
    }

    #[test]
    fn a_beaten_line_leads_where_its_winner_leads() {
        // The winner of `long` has the text of `u`, so both its lines lead to `u`.
        let decided = decide(&[("long", "x"), ("long", "same text"), ("u", "same text")]);
        assert_eq!(decided.kept, 1);
        assert_eq!(decided.fates, [Fate::SameUrl(Ordinal(0)), Fate::SameText(Ordinal(0)), Fate::Kept(Ordinal(0))]);
    }

    proptest! {
        #[test]
        fn the_order_of_lines_decides_nothing(
            lines in proptest::collection::vec((0usize..6, 0usize..6), 1..30).prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
        ) {
            let (lines, shuffled) = lines;
            let urls = ["a", "bb", "ccc", "dd", "e", "ffff"];
            let texts = ["one", "two", "three", "four", "five", "sixteen"];
            let named = |lines: &[(usize, usize)]| lines.iter().map(|(url, text)| (urls[*url], texts[*text])).collect::<Vec<_>>();
            let (lines, shuffled) = (named(&lines), named(&shuffled));
            let (one, other) = (decide(&lines), decide(&shuffled));
            prop_assert_eq!(&one.documents, &other.documents);
            prop_assert_eq!(one.kept, other.kept);
            let kept = |lines: &[(&'static str, &'static str)], fates: &[Fate]| {
                let mut kept: Vec<_> = lines.iter().zip(fates).filter(|(_, fate)| matches!(fate, Fate::Kept(_)))
                    .map(|(line, fate)| (fate.ordinal(), *line)).collect();
                kept.sort();
                kept
            };
            prop_assert_eq!(kept(&lines, &one.fates), kept(&shuffled, &other.fates));
        }
    }
}
