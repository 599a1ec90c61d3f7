//! `crawl_page`: the stored text of one or several documents, one below the other.
//!
//! Pages are looked up as `open` looks them up, and shown whole or cut at a line's end. All pages of a call share one number of tokens: each may
//! have its equal share, and what short pages leave goes to the longer ones.

use std::collections::HashSet;

use model::Observation;

use super::excerpt::Excerpt;
use super::page::{URL_CHARS_MAX, cut};
use super::{Browser, Echo, Trouble};
use crate::neutralise::neutralise;
use crate::shares::shares;
use crate::tokens::count_tokens;

/// What a URL leads to.
enum Crawled {
    Page(Box<Excerpt>),
    Unknown(Echo),
}

impl Browser {
    /// Shows the documents at `urls`, in that order and each once; of a URL that is not in the corpus a line that says so. Trouble when none is.
    pub(crate) fn crawl(&self, urls: &[String]) -> Result<Observation, Trouble> {
        let limit = self.limits.page_tokens;
        let mut seen = HashSet::new();
        let mut crawled = Vec::with_capacity(urls.len());
        for url in urls {
            match self.corpus.lookup_written(url)? {
                Some(ordinal) if !seen.insert(ordinal) => {}
                Some(ordinal) => crawled.push(Crawled::Page(Box::new(Excerpt::new(self.corpus.document(ordinal)?, limit)))),
                None => crawled.push(Crawled::Unknown(Echo::new(url))),
            }
        }
        if seen.is_empty() {
            return Err(if self.limits.strict { Trouble::PeerNoUrl } else { Trouble::NoneInCorpus(unknown(crawled)) });
        }
        Ok(observation(&crawled, limit))
    }
}

fn unknown(crawled: Vec<Crawled>) -> Vec<Echo> {
    let echo = |crawled| match crawled {
        Crawled::Unknown(url) => Some(url),
        Crawled::Page(_) => None,
    };
    crawled.into_iter().filter_map(echo).collect()
}

fn observation(crawled: &[Crawled], tokens_max: u32) -> Observation {
    let wanted: Vec<u32> = crawled.iter().map(|crawled| if let Crawled::Page(page) = crawled { page.tokens() } else { 0 }).collect();
    let mut parts = Vec::with_capacity(crawled.len());
    let mut urls = Vec::with_capacity(crawled.len());
    let mut tags = 0;
    for ((number, crawled), tokens) in (1..).zip(crawled).zip(shares(&wanted, tokens_max)) {
        parts.push(match crawled {
            Crawled::Unknown(url) => format!("Page {number} [{url}]: not in the corpus. Only its documents can be read."),
            Crawled::Page(page) => {
                let shown = page.cut(tokens);
                tags += shown.tags;
                urls.push(page.url.clone());
                let mut part = format!("Page {number} [{}]: {}\n\n{}", cut(&page.url, URL_CHARS_MAX), page.title, shown.text);
                if let Some((left_out, all)) = shown.left_out {
                    part.push_str(&format!("\n\n[The rest of this page is left out: {left_out} of {all} characters.]"));
                }
                part
            }
        });
    }
    // The texts are neutral already; what they and the lines around them make together is not yet.
    let text = parts.join("\n\n");
    let neutral = neutralise(&text);
    Observation {
        tokens: count_tokens(&neutral.text),
        neutralised: u32::try_from(tags + neutral.tags.len()).unwrap_or(u32::MAX),
        urls_shown: urls.clone(),
        url_opened: urls.first().cloned(),
        urls_opened_too: urls.into_iter().skip(1).collect(),
        text: neutral.text.into_owned(),
        ..Observation::default()
    }
}
