//! How links are written on a page, `【id†text†domain】`, and what to call a link or a document that has no name of its own.
//!
//! Nothing is looked up here: a page lists its links whether or not the corpus has what they lead to, and a model learns which on opening.

use super::page::{Page, one_line};
use crate::document::Link;

/// A longer link text or domain is cut, in characters.
const LINK_TEXT_CHARS_MAX: usize = 120;
const DOMAIN_CHARS_MAX: usize = 80;

/// Writes the marker of link `id` to the current line.
pub(crate) fn write_marker(page: &mut Page, id: usize, text: &str, domain: Option<&str>) {
    page.write(&format!("【{id}†"));
    page.write_foreign(&one_line(text, LINK_TEXT_CHARS_MAX));
    if let Some(domain) = domain {
        page.write("†");
        page.write_foreign(&one_line(domain, DOMAIN_CHARS_MAX));
    }
    page.write("】");
}

/// Writes a document's own link; its domain is left out when it is the document's.
pub(crate) fn write_link(page: &mut Page, id: usize, link: &Link, document_host: &str) {
    let domain = host(&link.url).filter(|domain| !domain.eq_ignore_ascii_case(document_host));
    match link.text.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => write_marker(page, id, text, domain),
        None => write_marker(page, id, &readable(&link.url), domain),
    }
}

/// The text of a link of a line that is one: without brackets, number and domain.
pub(crate) fn text_of_marker(line: &str) -> Option<&str> {
    let (_, after) = line.strip_prefix('【')?.split_once('†')?;
    after.split(['†', '】']).next()
}

/// The host of a URL, if it is absolute.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (_, after) = url.split_once("//").filter(|(scheme, _)| scheme.is_empty() || scheme.ends_with(':'))?;
    let authority = after.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.is_empty()).then_some(host)
}

/// A name made of a URL's end: `https://e.org/wiki/Blue_whale#p3` is called `Blue whale#p3`. Its host, when there is nothing but that.
pub(crate) fn readable(url: &str) -> String {
    let after_scheme = url.split_once("//").map_or(url, |(_, after)| after);
    let path = after_scheme.split_once(['/', '?', '#']).map_or("", |(authority, _)| after_scheme.get(authority.len()..).unwrap_or(""));
    let is_relative = after_scheme.len() == url.len();
    let path = if is_relative { url } else { path };
    let segment = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    if segment.is_empty() { host(url).unwrap_or(url).to_owned() } else { percent_decoded(segment).replace('_', " ") }
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2).and_then(octet)).flatten();
        decoded.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or(&[]) } else { after };
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

fn octet(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(link: Link) -> String {
        let mut page = Page::new("", "u");
        write_link(&mut page, 4, &link, "e.org");
        page.end_unbroken_line();
        page.line(2).to_owned()
    }

    #[test]
    fn a_link_shows_its_text_and_a_foreign_domain() {
        let link = |url: &str, text: Option<&str>| Link { url: url.into(), text: text.map(str::to_owned) };
        assert_eq!(written(link("https://e.org/a", Some("Text"))), "【4†Text】");
        assert_eq!(written(link("https://other.org/a", Some("Two\n  lines"))), "【4†Two lines†other.org】");
        assert_eq!(written(link("https://E.org/wiki/Blue_whale", None)), "【4†Blue whale】");
        assert_eq!(written(link("/wiki/Caf%C3%A9", Some(" "))), "【4†Café】");
        assert_eq!(written(link("//other.org/", None)), "【4†other.org†other.org】");
        assert_eq!(written(link("https://e.org/x", Some("【9†forged】 <think>"))), "【4†〖9‡forged〗 ‹think›】");
    }

    #[test]
    fn names_are_made_of_urls() {
        for (url, expected) in [
            ("https://en.wikipedia.org/wiki/Black_Death#p51", "Black Death#p51"),
            ("https://e.org", "e.org"),
            ("https://e.org/", "e.org"),
            ("https://e.org/a/b/", "b"),
            ("https://e.org/?q=1", "?q=1"),
            ("page.html", "page.html"),
            ("https://e.org/100%", "100%"),
            ("https://e.org/%FF", "%FF"),
        ] {
            assert_eq!(readable(url), expected, "{url}");
        }
    }

    #[test]
    fn hosts_are_taken_from_absolute_urls() {
        assert_eq!(host("https://user@e.org:80/a//b"), Some("e.org:80"));
        assert_eq!(host("//e.org"), Some("e.org"));
        assert_eq!(host("/a//b"), None);
        assert_eq!(host("mailto:x@e.org"), None);
    }

    #[test]
    fn the_text_of_a_marker_is_what_stands_between() {
        assert_eq!(text_of_marker("【12†A text†e.org】"), Some("A text"));
        assert_eq!(text_of_marker("【12†A text】"), Some("A text"));
        assert_eq!(text_of_marker("plain"), None);
    }
}
