//! Counts tokens, each text once: a conversation comes again with every turn, and only what is new in it costs anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::Digest;

use crate::Request;

/// Texts remembered in each of two generations; the older one is forgotten when the younger is full.
const REMEMBERED_MAX: usize = 1 << 16;
/// Shorter texts are counted faster than they are looked up.
const REMEMBERED_BYTES_MIN: usize = 64;

/// A tokenizer with a memory.
pub(super) struct Counter {
    count: fn(&str) -> u32,
    known: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<(u64, usize), u32>,
    old: HashMap<(u64, usize), u32>,
}

impl Counter {
    pub(super) fn new(count: fn(&str) -> u32) -> Self {
        Self { count, known: Mutex::default() }
    }

    /// Tokens of `text`, which is not remembered.
    pub(super) fn count(&self, text: &str) -> u64 {
        u64::from((self.count)(text))
    }

    /// Tokens of the whole prompt.
    pub(super) fn prompt(&self, request: &Request) -> u64 {
        let messages = request.messages.iter().map(|message| self.remembered(&message.text));
        let tools = request.tools.iter().map(|tool| self.remembered(&tool.description) + self.remembered(&tool.parameters.to_string()));
        messages.chain(tools).sum()
    }

    fn remembered(&self, text: &str) -> u64 {
        if text.len() < REMEMBERED_BYTES_MIN {
            return self.count(text);
        }
        // 64 bits and the length: a mistake is less likely than a broken disk, and would cost a wrong number in a rehearsal.
        let digest = Digest::of(text.as_bytes());
        let key = (u64::from_str_radix(digest.short(), 16).unwrap_or(0), text.len());
        if let Some(tokens) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return u64::from(tokens);
        }
        // Counted outside of the lock: others go on meanwhile.
        let tokens = (self.count)(text);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tokens);
        u64::from(tokens)
    }
}

impl Generations {
    fn get(&mut self, key: (u64, usize)) -> Option<u32> {
        if let Some(tokens) = self.young.get(&key) {
            return Some(*tokens);
        }
        let tokens = self.old.remove(&key)?;
        self.insert(key, tokens);
        Some(tokens)
    }

    fn insert(&mut self, key: (u64, usize), tokens: u32) {
        if self.young.len() >= REMEMBERED_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static COUNTED: AtomicU32 = AtomicU32::new(0);

    #[test]
    fn a_text_that_comes_again_is_not_counted_again_and_memory_is_bounded() {
        let counter = Counter::new(|text| {
            COUNTED.fetch_add(1, Ordering::Relaxed);
            u32::try_from(text.len()).expect("short")
        });
        let text = "word ".repeat(100);
        for _ in 0..3 {
            assert_eq!(counter.remembered(&text), 500);
        }
        assert_eq!(COUNTED.load(Ordering::Relaxed), 1);
        let mut known = counter.known.lock().expect("no panic under the lock");
        for number in 0..3 * REMEMBERED_MAX as u64 {
            known.insert((number, 0), 1);
        }
        assert!(known.young.len() <= REMEMBERED_MAX && known.old.len() <= REMEMBERED_MAX);
        assert_eq!(known.get((3 * REMEMBERED_MAX as u64 - 1, 0)), Some(1));
    }
}
