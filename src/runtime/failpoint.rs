//! Places where a test kills the process between two durable steps.
//!
//! `SLUICE_FAILPOINT=name` aborts at the first hit of that name, `name:N` at the Nth. Without the crate feature `failpoints` a hit is nothing
//! at all. These are all the names:
//!
//! | name | what has just happened |
//! |---|---|
//! | `claim.before` | a message was received and read; nobody holds its job |
//! | `claim.after` | the ledger knows who holds the job; nothing was done |
//! | `journal.before` | a fact is there, paid for, and in no journal |
//! | `journal.after` | a fact is in the ledger's journal; nobody acted on it |
//! | `handle.after` | the handler returned; where it succeeded, its effects are durable and published, and the ledger does not know |
//! | `finish.after` | the ledger knows that the work is done; the message is not acknowledged |
//! | `release.before` | the handler wants to hand the job on; the lease is still held |
//! | `release.after` | the lease is given back; the continuation or next attempt is not published |
//! | `publish.after` | the continuation or next attempt is published; the old message is not acknowledged |
//! | `give_up.after` | the failure is on record in the archive; the ledger does not know |
//! | `ack.after` | the message is acknowledged |
//!
//! Handlers add their own, named in their own files.

/// Aborts the process if this is the hit that the environment asks for.
#[cfg(feature = "failpoints")]
pub fn hit(name: &'static str) {
    static WANTED: std::sync::OnceLock<Option<Wanted>> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var("SLUICE_FAILPOINT").ok().map(|text| Wanted::parse(&text)));
    if wanted.as_ref().is_some_and(|wanted| wanted.is_now(name)) {
        // As kill -9 would: no destructor runs, no buffer is flushed.
        std::process::abort();
    }
}

/// Nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn hit(_name: &'static str) {}

#[cfg(feature = "failpoints")]
#[derive(Debug)]
struct Wanted {
    name: String,
    hits_left: std::sync::atomic::AtomicU64,
}

#[cfg(feature = "failpoints")]
impl Wanted {
    fn parse(text: &str) -> Self {
        let (name, hits) = match text.rsplit_once(':').and_then(|(name, hits)| Some((name, hits.parse().ok()?))) {
            Some((name, hits)) => (name, hits),
            None => (text, 1),
        };
        Self { name: name.to_owned(), hits_left: std::sync::atomic::AtomicU64::new(hits) }
    }

    fn is_now(&self, name: &str) -> bool {
        self.name == name && self.hits_left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn the_nth_hit_of_that_name_is_the_one() {
        let wanted = Wanted::parse("finish.after:3");
        let hits: Vec<bool> =
            ["finish.after", "ack.after", "finish.after", "finish.after", "finish.after"].map(|n| wanted.is_now(n)).into();
        assert_eq!(hits, [false, false, false, true, false]);
        assert!(Wanted::parse("finish.after").is_now("finish.after"));
    }
}
