//! The page of a document: its text, line by line, and below it the document's own links.
//!
//! A pure function of the document, so that a browser may forget it and make it again.

use std::sync::Arc;

use url::Url;

use super::links::{host, readable, text_of_marker, write_link};
use super::page::Page;
use crate::document::{Document, Link, Ordinal};
use crate::neutralise::neutralise;

/// What a page is a page of; kept for every page shown, unlike the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) ordinal: Ordinal,
    /// Canonical.
    pub(crate) url: String,
    /// As shown; never empty.
    pub(crate) title: String,
}

/// A document's page.
#[derive(Debug)]
pub(crate) struct DocumentPage {
    pub(crate) subject: Arc<Subject>,
    pub(crate) page: Page,
    pub(crate) links: Vec<Link>,
    /// Tags defused in the title.
    pub(crate) title_tags: usize,
    /// First line of the text, behind those that every page has.
    pub(crate) text_first: u32,
    /// Last line of the text.
    pub(crate) text_last: u32,
    /// First line of the links; beyond the last line when there are none.
    links_first: u32,
}

impl DocumentPage {
    pub(crate) fn new(document: Document) -> Self {
        let title = if document.title.trim().is_empty() { readable(&document.url) } else { document.title };
        let mut page = Page::new(&title, &document.url);
        page.reserve(document.text.len() + 64 * document.links.len());
        let text_first = page.line_count();
        page.write_foreign(&document.text);
        page.end_line();
        let text_last = page.last_line();
        if !document.links.is_empty() {
            page.end_line();
            page.write("Links:");
            page.end_line();
        }
        let links_first = page.line_count();
        let document_host = host(&document.url).unwrap_or("");
        for (id, link) in document.links.iter().enumerate() {
            write_link(&mut page, id, link, document_host);
            page.end_unbroken_line();
        }
        let title_tags = neutralise(&title).tags.len();
        let subject = Subject { ordinal: document.ordinal, title: page.title().to_owned(), url: document.url };
        Self { subject: Arc::new(subject), page, links: document.links, title_tags, text_first, text_last, links_first }
    }

    /// Where link `id` leads, made absolute; none if there is no such link.
    pub(crate) fn link_url(&self, id: usize) -> Option<String> {
        let link = self.links.get(id)?;
        let absolute = Url::parse(&self.subject.url).and_then(|base| base.join(&link.url));
        Some(absolute.map_or_else(|_| link.url.clone(), String::from))
    }

    /// The part of line `number` that is text: of a link only its text, so that no link of this page seems to be one of another.
    pub(crate) fn plain_part(&self, number: u32) -> std::ops::Range<usize> {
        let line = self.page.line_range(number);
        if number < self.links_first {
            return line;
        }
        let text = self.page.text(line.clone());
        let Some(plain) = text_of_marker(text) else { return line };
        let start = line.start + text.find('†').map_or(0, |at| at + '†'.len_utf8());
        start..start + plain.len()
    }

    /// Roughly what it occupies, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.page.memory_bytes() + self.links.iter().map(|link| size_of::<Link>() + link.url.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn page_of(title: &str, text: &str, links: &[(&str, Option<&str>)]) -> DocumentPage {
        let links = links.iter().map(|(url, text)| Link { url: (*url).into(), text: text.map(str::to_owned) }).collect();
        let (title, text) = (title.to_owned(), text.to_owned());
        DocumentPage::new(Document {
            ordinal: Ordinal(3),
            url: "https://e.org/wiki/Blue_whale".into(),
            title,
            text,
            links,
            metadata: Map::new(),
        })
    }

    fn lines(document: &DocumentPage) -> Vec<&str> {
        (0..=document.page.last_line()).map(|number| document.page.line(number)).collect()
    }

    #[test]
    fn links_stand_below_the_text() {
        let document = page_of("Blue whale", "Text.", &[("/wiki/Krill", None), ("https://o.org/a_b", Some("Elsewhere"))]);
        let expected = ["", "URL: https://e.org/wiki/Blue_whale", "Text.", "", "Links:", "【0†Krill】", "【1†Elsewhere†o.org】"];
        assert_eq!(lines(&document), expected);
        assert_eq!(document.link_url(0).as_deref(), Some("https://e.org/wiki/Krill"));
        assert_eq!(document.link_url(1).as_deref(), Some("https://o.org/a_b"));
        assert_eq!(document.link_url(2), None);
        assert_eq!(document.page.text(document.plain_part(6)), "Elsewhere");
        assert_eq!(document.page.text(document.plain_part(2)), "Text.");
    }

    #[test]
    fn a_document_without_a_title_is_called_by_its_url_and_never_by_a_number() {
        assert_eq!(page_of(" ", "Text.", &[]).subject.title, "Blue whale");
    }

    #[test]
    fn an_empty_document_has_a_page() {
        assert_eq!(lines(&page_of("T", "", &[])), ["", "URL: https://e.org/wiki/Blue_whale", ""]);
    }
}
