//! What a browser has shown: which documents, and which of their lines. Citations are resolved against it.

use super::{Browser, Target, View};
use crate::browser::document_page::Subject;
use crate::document::Ordinal;

/// What one cursor showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPage {
    /// First and last line, as numbered on the page.
    pub lines: (u32, u32),
    /// What it showed of documents, in the order of its lines: one part for a document, one per result of a search, one per match of a find.
    pub parts: Vec<ShownPart>,
}

/// What a page showed of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPart {
    /// The document.
    pub ordinal: Ordinal,
    /// Its canonical URL.
    pub url: String,
    /// Its title as shown.
    pub title: String,
    /// First and last line, as numbered on the page.
    pub page_lines: (u32, u32),
    /// First and last line, as numbered on the document's own page; none for a search result.
    pub document_lines: Option<(u32, u32)>,
}

impl ShownPart {
    fn new(subject: &Subject, page_lines: (u32, u32), document_lines: Option<(u32, u32)>) -> Self {
        let Subject { ordinal, url, title } = subject;
        Self { ordinal: *ordinal, url: url.clone(), title: title.clone(), page_lines, document_lines }
    }
}

impl Browser {
    /// What the page with `cursor` showed.
    pub fn shown_lines(&self, cursor: u32) -> Option<ShownPage> {
        let View { target, first, last } = self.views.get(cursor as usize)?;
        let (first, last) = (*first, *last);
        let parts = match target {
            Target::Document(subject) => vec![ShownPart::new(subject, (first, last), Some((first, last)))],
            Target::Search(search) => {
                let part = |lines: (u32, u32)| (lines.0.max(first), lines.1.min(last));
                search.shown(first, last).map(|result| ShownPart::new(&result.subject, part(result.lines), None)).collect()
            }
            Target::Find(find) => find.shown(first, last).map(|(page, lines)| ShownPart::new(&find.subject, page, Some(lines))).collect(),
        };
        Some(ShownPage { lines: (first, last), parts })
    }

    /// Whether all these lines of a document have been shown, under whatever cursors.
    pub(crate) fn has_shown(&self, ordinal: Ordinal, lines: (u32, u32)) -> bool {
        let mut shown: Vec<(u32, u32)> = Vec::new();
        for view in &self.views {
            match &view.target {
                Target::Document(subject) if subject.ordinal == ordinal => shown.push((view.first, view.last)),
                Target::Find(find) if find.subject.ordinal == ordinal => {
                    shown.extend(find.shown(view.first, view.last).map(|(_, lines)| lines));
                }
                _ => {}
            }
        }
        shown.sort_unstable();
        let mut next = lines.0;
        for (first, last) in shown {
            if first <= next && last >= next {
                next = last + 1;
            }
        }
        next > lines.1
    }
}
