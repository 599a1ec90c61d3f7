//! Asking a process to stop, once, and by when it must have stopped.
//!
//! One value is cloned to whoever has to know. The first request starts the drain: nothing new begins, what runs has until the deadline. A
//! second request makes the deadline now. Nothing here stops anything by itself.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Draining { deadline: Instant },
}

/// A request to stop, shared by all who must heed it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    drain: Duration,
}

impl Shutdown {
    /// Nobody has asked yet. Once somebody does, there is `drain` time left.
    pub fn new(drain: Duration) -> Self {
        Self { stage: watch::Sender::new(Stage::Running), drain }
    }

    /// As [`Shutdown::new`], requested by SIGINT or SIGTERM; a second signal ends the drain at once.
    ///
    /// # Errors
    /// When the process may not listen to signals.
    pub fn on_signals(drain: Duration) -> io::Result<Self> {
        let shutdown = Self::new(drain);
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let asked = shutdown.clone();
        tokio::spawn(async move {
            // Signals after the second change nothing: the deadline has passed already.
            for _ in 0..2 {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                asked.request();
            }
        });
        Ok(shutdown)
    }

    /// Asks to stop. The first time the drain begins; the second time it is over.
    pub fn request(&self) {
        let now = Instant::now();
        self.stage.send_modify(|stage| {
            *stage = match *stage {
                Stage::Running => Stage::Draining { deadline: now + self.drain },
                Stage::Draining { deadline } => Stage::Draining { deadline: deadline.min(now) },
            };
        });
    }

    /// Whether somebody has asked to stop.
    pub fn is_requested(&self) -> bool {
        *self.stage.borrow() != Stage::Running
    }

    /// Returns when somebody has asked to stop.
    pub async fn requested(&self) {
        let mut stage = self.stage.subscribe();
        // The sender is borrowed here, so the channel cannot close.
        let _changed = stage.wait_for(|stage| *stage != Stage::Running).await;
    }

    /// By when everything must have stopped; `None` while nobody asked. A second request may still bring it forward.
    pub fn deadline(&self) -> Option<Instant> {
        match *self.stage.borrow() {
            Stage::Running => None,
            Stage::Draining { deadline } => Some(deadline),
        }
    }

    /// Returns when the drain is over: its deadline passed, or somebody asked twice.
    pub async fn expired(&self) {
        let mut stage = self.stage.subscribe();
        loop {
            let deadline = match *stage.borrow_and_update() {
                Stage::Running => None,
                Stage::Draining { deadline } => Some(deadline),
            };
            let passed = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                // The sender is borrowed here, so this is always a change and never the end of the channel.
                _ = stage.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_request_is_seen_by_every_clone_and_leaves_the_drain_time() {
        let shutdown = Shutdown::new(DRAIN);
        let clone = shutdown.clone();
        assert!(!clone.is_requested() && clone.deadline().is_none());
        let start = Instant::now();
        shutdown.request();
        clone.requested().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        clone.expired().await;
        assert_eq!(start.elapsed().as_secs(), DRAIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_ends_the_drain_for_those_who_wait_already() {
        let shutdown = Shutdown::new(DRAIN);
        let start = Instant::now();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.expired().await }
        });
        shutdown.request();
        tokio::time::sleep(Duration::from_secs(3)).await;
        shutdown.request();
        waiting.await.expect("the waiting task ends");
        assert_eq!(start.elapsed().as_secs(), 3);
    }
}
