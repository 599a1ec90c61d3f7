//! A researcher's conversation, read: the question, the subtask at hand, and what the web tools have shown.

use std::collections::{HashMap, HashSet};

use model::{Message, Role, protocol};

use super::web::{self, Hit, WebPage};
use crate::heuristic::reading::{Conversation, Demand, NOTICE, Step};

/// What stands before the question, and before a subtask, at the beginning of a line.
const QUESTION: &str = "Question:";
const SUBTASK: &str = "Subtask:";

/// Where the research stands.
pub(super) struct Trail<'a> {
    pub(super) question: String,
    /// The one at hand.
    pub(super) subtask: String,
    pub(super) demand: Demand,
    /// Searches made for the subtask at hand.
    pub(super) searches: usize,
    /// Pages crawled for it.
    pub(super) crawls: usize,
    /// Calls made for it, failed ones included.
    pub(super) made: usize,
    /// Queries made in the whole conversation.
    pub(super) queries: Vec<&'a str>,
    /// All results, each address once.
    pub(super) hits: Vec<Hit<'a>>,
    /// All pages, each address once.
    pub(super) pages: Vec<WebPage<'a>>,
    /// Addresses asked for in the whole conversation.
    crawled: HashSet<String>,
    /// For each result's address its number.
    hit_of: HashMap<String, usize>,
}

impl<'a> Trail<'a> {
    /// Reads what was said and shown.
    pub(super) fn of(conversation: &'a Conversation<'_>) -> Self {
        let (question, subtask) = (asked(conversation.asked), last_subtask(conversation.asked));
        let mut trail = Self {
            question,
            subtask: subtask.unwrap_or_default().to_owned(),
            demand: conversation.demand,
            searches: 0,
            crawls: 0,
            made: 0,
            queries: Vec::new(),
            hits: Vec::new(),
            pages: Vec::new(),
            crawled: HashSet::new(),
            hit_of: HashMap::new(),
        };
        let mut begins = 0;
        let mut said_last = false;
        for (steps, told) in &conversation.told {
            if let Some(subtask) = last_subtask(told) {
                trail.subtask = subtask.to_owned();
                begins = *steps;
                said_last = true;
            } else {
                said_last = false;
            }
        }
        // Whatever came before it, the next subtask wants research.
        if said_last && begins == conversation.steps.len() {
            trail.demand = Demand::Nothing;
        }
        for (number, step) in conversation.steps.iter().enumerate() {
            let is_search = trail.add(step);
            if number >= begins {
                trail.made += 1;
                trail.searches += usize::from(is_search == Some(true));
                trail.crawls += usize::from(is_search == Some(false));
            }
        }
        trail
    }

    /// Adds what a step brought; whether it was a search or a crawl. A call that nobody could read is known by what it brought.
    fn add(&mut self, step: &'a Step<'_>) -> Option<bool> {
        let (queries, hits) = web::results(step.observed);
        let is_search = match step.call.tool.as_str() {
            "web_search" => Some(true),
            "crawl_page" => Some(false),
            _ if !queries.is_empty() => Some(true),
            _ => None,
        };
        if is_search == Some(true) {
            self.queries.extend(step.call.list.iter().map(String::as_str).chain(queries));
            for hit in hits {
                let next = self.hits.len();
                if *self.hit_of.entry(web::identity(hit.url)).or_insert(next) == next {
                    self.hits.push(hit);
                }
            }
            return is_search;
        }
        let pages = web::pages(step.observed, &step.call.list);
        let is_crawl = is_search == Some(false) || !pages.is_empty();
        for page in pages {
            let is_new = !self.pages.iter().any(|known| known.url == page.url);
            if is_new && !page.text.is_empty() {
                self.pages.push(page);
            }
            self.crawled.insert(web::identity(page.url));
        }
        self.crawled.extend(step.call.list.iter().map(|url| web::identity(url)));
        is_crawl.then_some(false)
    }

    /// The title of a page: as the page is headed, else as a result named it, else its address.
    pub(super) fn title_of(&self, page: &WebPage<'a>) -> &'a str {
        if !page.title.is_empty() {
            return page.title;
        }
        let named = self.hit_of.get(&web::identity(page.url)).and_then(|number| self.hits.get(*number)).map(|hit| hit.title);
        named.filter(|title| !title.is_empty()).unwrap_or(page.url)
    }

    /// Whether a result's page was asked for already.
    pub(super) fn was_crawled(&self, hit: &Hit<'_>) -> bool {
        self.crawled.contains(&web::identity(hit.url))
    }
}

/// The question of a message: from its label to the line that begins something else. Without a label, the whole message.
pub(super) fn asked(message: &str) -> String {
    let ends =
        |line: &&str| ["Subtask:", "Goal:", "Page [", "References", "<subtask"].iter().all(|sign| !line.trim_start().starts_with(sign));
    let mut lines = message.lines().skip_while(|line| !line.trim_start().starts_with(QUESTION));
    let first = lines.next().and_then(|line| line.trim_start().strip_prefix(QUESTION));
    let lines: Vec<&str> = match first {
        Some(first) => std::iter::once(first).chain(lines.take_while(ends)).collect(),
        None => message.lines().take_while(ends).collect(),
    };
    lines.join(" ").trim().to_owned()
}

/// What the last line of this label says.
pub(super) fn labelled<'a>(message: &'a str, label: &str) -> Option<&'a str> {
    let said = message.lines().filter_map(|line| line.trim_start().strip_prefix(label)).next_back()?.trim();
    (!said.is_empty()).then_some(said)
}

fn last_subtask(message: &str) -> Option<&str> {
    let tagged = || protocol::last_part(message, protocol::ProtocolTag::Subtask).filter(|subtask| !subtask.is_empty());
    labelled(message, SUBTASK).or_else(tagged)
}

/// How often a user message refused what was written.
pub(super) fn refusals(messages: &[Message]) -> usize {
    let later = messages.iter().skip_while(|message| message.role != Role::Assistant);
    later.filter(|message| message.role == Role::User && message.text.starts_with(NOTICE)).count()
}
