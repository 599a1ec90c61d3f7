//! The canonical form of a URL: two spellings that every web server treats alike become one, and nothing else does.
//!
//! Scheme and host in lower case, no default port, no dot segments, one percent-encoding, no tracking parameters, no empty query or
//! fragment. Hosts are never rewritten, parameters keep their order, and fragments stay: they tell passages of one page apart. Canonical
//! forms are fixed points (`canonicalising_twice_changes_nothing`).

use url::{Position, Url};

/// A longer canonical URL is refused; the index holds URLs as single terms, which have a bound of their own far above this.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Parameters that say how a reader came to a page, never which page it is. `utm_…` is matched by its prefix.
const TRACKING: [&str; 20] = [
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "yclid",
    "ysclid",
    "twclid",
    "ttclid",
    "igshid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_hsenc",
    "_hsmi",
    "vero_id",
    "oly_enc_id",
    "oly_anon_id",
];

/// Why a URL has no canonical form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotCanonical {
    /// It is not an absolute URL.
    #[error("url is not absolute or does not parse: {0}")]
    Unparsable(#[from] url::ParseError),
    /// Its canonical form is above [`URL_BYTES_MAX`].
    #[error("url is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
}

/// The canonical form of `url`.
pub fn canonical_url(url: &str) -> Result<String, NotCanonical> {
    // Parsing copies, and percent-encoding at most triples.
    if url.len() > URL_BYTES_MAX {
        return Err(NotCanonical::TooLong);
    }
    let parsed = Url::parse(url)?;
    let mut canonical = String::with_capacity(url.len() + 16);
    canonical.push_str(&parsed[..Position::BeforePath]);
    push_normalised(&mut canonical, parsed.path());
    let mut separator = '?';
    for parameter in parsed.query().unwrap_or("").split('&').filter(|parameter| !is_dropped(parameter)) {
        canonical.push(separator);
        push_normalised(&mut canonical, parameter);
        separator = '&';
    }
    if let Some(fragment) = parsed.fragment().filter(|fragment| !fragment.is_empty()) {
        canonical.push('#');
        push_normalised(&mut canonical, fragment);
    }
    if canonical.len() > URL_BYTES_MAX { Err(NotCanonical::TooLong) } else { Ok(canonical) }
}

/// The same address without its fragment, when it has one.
pub fn without_fragment(canonical: &str) -> Option<&str> {
    canonical.split_once('#').map(|(page, _)| page)
}

fn is_dropped(parameter: &str) -> bool {
    let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    let has_prefix = name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("utm_"));
    parameter.is_empty() || has_prefix || TRACKING.iter().any(|tracking| name.eq_ignore_ascii_case(tracking))
}

/// Appends `part` with one spelling for every octet: unreserved characters (those of RFC 2396, which browsers never encode) bare, every
/// other escape in upper case, and a `%` that starts no escape escaped itself.
fn push_normalised(canonical: &mut String, part: &str) {
    let mut rest = part;
    while let Some((plain, after)) = rest.split_once('%') {
        canonical.push_str(plain);
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(octet) => {
                if octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet) {
                    canonical.push(char::from(octet));
                } else {
                    canonical.push_str(&format!("%{octet:02X}"));
                }
                rest = after.get(2..).unwrap_or("");
            }
            None => {
                canonical.push_str("%25");
                rest = after;
            }
        }
    }
    canonical.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(url: &str) -> String {
        canonical_url(url).expect("url with a canonical form")
    }

    #[test]
    fn equal_addresses_have_one_spelling() {
        for (written, expected) in [
            ("HTTPS://Example.ORG:443/A/./b/../c", "https://example.org/A/c"),
            ("http://example.org", "http://example.org/"),
            ("http://example.org:8080/?", "http://example.org:8080/"),
            ("https://example.org/%7euser/caf%c3%a9%28x%29", "https://example.org/~user/caf%C3%A9(x)"),
            ("https://example.org/café", "https://example.org/caf%C3%A9"),
            ("https://example.org/100%", "https://example.org/100%25"),
            ("https://example.org/a?utm_source=x&q=1&UTM_Medium=y&fbclid=z", "https://example.org/a?q=1"),
            ("https://example.org/a?gclid=z", "https://example.org/a"),
            ("https://example.org/a?b=2&a=1", "https://example.org/a?b=2&a=1"),
            ("https://example.org/a#", "https://example.org/a"),
            ("https://example.org/wiki/\"Odd\"_Name", "https://example.org/wiki/%22Odd%22_Name"),
        ] {
            assert_eq!(canonical(written), expected, "{written}");
        }
    }

    #[test]
    fn fragments_and_hosts_are_kept() {
        assert_eq!(canonical("https://arxiv.org/abs/2410.1#p3"), "https://arxiv.org/abs/2410.1#p3");
        assert_eq!(without_fragment("https://arxiv.org/abs/2410.1#p3"), Some("https://arxiv.org/abs/2410.1"));
        assert_eq!(without_fragment("https://arxiv.org/abs/2410.1"), None);
    }

    #[test]
    fn relative_and_endless_urls_are_refused() {
        assert!(matches!(canonical_url("/wiki/Page"), Err(NotCanonical::Unparsable(_))));
        assert!(matches!(canonical_url("http://"), Err(NotCanonical::Unparsable(_))));
        let endless = format!("https://example.org/{}", "é".repeat(URL_BYTES_MAX / 4));
        assert_eq!(canonical_url(&endless), Err(NotCanonical::TooLong));
    }

    proptest! {
        #[test]
        fn canonicalising_twice_changes_nothing(path in "[a-zA-Z0-9%./?&=#é \"'()+_-]{0,40}") {
            if let Ok(once) = canonical_url(&format!("https://Example.org/{path}")) {
                prop_assert_eq!(canonical(&once), once);
            }
        }

        #[test]
        fn any_text_gives_an_address_or_a_reason(text in "\\PC{0,60}") {
            if let Ok(once) = canonical_url(&text) {
                prop_assert_eq!(canonical(&once), once);
            }
        }
    }
}
