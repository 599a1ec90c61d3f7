//! The steps that must be atomic, in the server's language; each lies beside this file. Sent whole once per server, afterwards by digest.

use ::redis::Script;

#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) append: Script,
    pub(super) release: Script,
    pub(super) finish: Script,
    pub(super) effected: Script,
    pub(super) reopen: Script,
    pub(super) whole: Script,
    pub(super) draw: Script,
    pub(super) workers: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(include_str!("claim.lua")),
            append: Script::new(include_str!("append.lua")),
            release: Script::new(include_str!("release.lua")),
            finish: Script::new(include_str!("finish.lua")),
            effected: Script::new(include_str!("effected.lua")),
            reopen: Script::new(include_str!("reopen.lua")),
            whole: Script::new(include_str!("whole.lua")),
            draw: Script::new(include_str!("draw.lua")),
            workers: Script::new(include_str!("workers.lua")),
        }
    }
}
