//! The ledger of one campaign in Redis: each method one script or one pipeline over the keys of that campaign.
//!
//! Every script may be repeated: an answer that was lost and a command that runs late change nothing. What is kept expires a week after the
//! last use, and a campaign that was lost is met as one nobody knows: see [`Claim::Unsure`].

use std::sync::Arc;
use std::time::Duration;

use ::redis::{FromRedisValue, Pipeline, Script, ScriptInvocation};
use async_trait::async_trait;
use model::{ControlState, JournalEntry, Step, Usage, wire};

use super::super::{Ask, Claim, DRAW_WAIT_MAX, Lease, Ledger, LedgerError, LedgerStanding, Replanned, WorkKey, cost_of};
use super::holds::{Asking, Holds};
use super::keys::{self, Keys, parse_step, step_text};
use super::line::{Line, Sent};
use super::pulse::{ALIVE_MS, Pulse};
use super::scripts::Scripts;

/// How long what nobody uses is kept.
const KEPT_S: u64 = 7 * 24 * 3600;
/// Deaths without progress after which a key is served in quarantine only.
const SUSPICIONS_MAX: u32 = 3;
/// Names in one command, at most: keeps every command within a few milliseconds.
const CHUNK: usize = 1000;
/// Of the number before a journal entry's bytes.
const NUMBER_BYTES: usize = 4;

/// The ledger of one campaign, seen by one holder.
#[derive(Debug)]
pub(super) struct RedisLedger {
    pub(super) line: Arc<Line>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) scripts: Arc<Scripts>,
    pub(super) holder: String,
    pub(super) keys: Keys,
    pub(super) holds: Holds,
}

impl RedisLedger {
    pub(super) fn presence(&self) -> String {
        self.keys.alive(&self.holder)
    }

    /// A call of `script` for one piece of work.
    fn call<'a>(&self, script: &'a Script, key: &WorkKey) -> ScriptInvocation<'a> {
        let keys = &self.keys;
        let mut call = script.prepare_invoke();
        call.key(&keys.meta).key(&keys.done).key(keys.work(key)).key(keys.journal(key)).key(&keys.held).key(&keys.waiting);
        call.key(self.presence()).key(&keys.wasted).arg(key.to_string());
        call
    }

    /// Asks one of the scripts that answer `ok` or `fenced`.
    async fn fenced(&self, op: &'static str, lease: &Lease, call: &ScriptInvocation<'_>) -> Result<String, LedgerError> {
        let fenced = || LedgerError::Fenced { key: lease.key.to_string() };
        // No claim has the epoch 0: such a lease only names the work.
        if lease.epoch == 0 {
            return Err(fenced());
        }
        let answer: String = self.line.ask(op, Sent::Script(call)).await?;
        match answer.strip_prefix("ok") {
            Some(more) => Ok(more.trim_start().to_owned()),
            None => {
                self.holds.let_go(&lease.key, lease.epoch);
                Err(fenced())
            }
        }
    }

    async fn give_back(&self, lease: &Lease, was_cut_off: bool) -> Result<(), LedgerError> {
        let mut call = self.call(&self.scripts.release, &lease.key);
        call.arg(step_text(lease.step)).arg(lease.epoch).arg(KEPT_S).arg(u8::from(was_cut_off));
        self.fenced("release", lease, &call).await?;
        self.holds.let_go(&lease.key, lease.epoch);
        Ok(())
    }

    async fn pipe<T: FromRedisValue>(&self, op: &'static str, pipe: &Pipeline) -> Result<T, LedgerError> {
        self.line.ask(op, Sent::Pipe(pipe)).await
    }

    /// Says in `pipe` that the campaign is in use; the meta hash comes first, because it must never outlive what it vouches for.
    fn touch(&self, pipe: &mut Pipeline) {
        for key in [&self.keys.meta, &self.keys.done, &self.keys.held, &self.keys.waiting] {
            pipe.cmd("EXPIRE").arg(key).arg(KEPT_S).ignore();
        }
    }

    /// Asks once; `lost` names a claim of ours that nobody works on.
    async fn ask_claim(&self, key: &WorkKey, ask: Ask, asking: &Asking<'_>, lost: Option<&str>) -> Result<Vec<String>, LedgerError> {
        let mut call = self.call(&self.scripts.claim, key);
        call.arg(&self.holder).arg(step_text(ask.step)).arg(asking.ticket());
        call.arg(u8::from(ask.is_quarantine)).arg(u8::from(ask.has_looked));
        call.arg(&self.keys.alive_prefix).arg(ALIVE_MS).arg(KEPT_S).arg(SUSPICIONS_MAX);
        if let Some(ticket) = lost {
            call.arg(ticket);
        }
        self.line.ask("claim", Sent::Script(&call)).await
    }

    /// What the script's `answer` means; `Mine` for what the ledger says is ours.
    fn read_claim(&self, key: &WorkKey, step: Step, answer: &[String], asking: &Asking<'_>) -> Result<Claim, LedgerError> {
        let words: Vec<&str> = answer.iter().map(String::as_str).collect();
        let lease = |epoch: &str| {
            let epoch = epoch.parse::<u64>().map_err(|error| damaged(key, "epoch", &error))?;
            asking.taken(key, epoch);
            Ok(Lease { key: key.clone(), epoch, step })
        };
        Ok(match words.as_slice() {
            ["done"] => Claim::Done,
            ["unsure"] => Claim::Unsure,
            ["cancelled"] => Claim::Cancelled,
            ["stale"] => Claim::Stale,
            ["paused"] => Claim::Paused,
            ["held"] => Claim::Held,
            ["suspect"] => Claim::Suspect,
            ["mine", ..] => Claim::Mine,
            ["taken", epoch] => Claim::Taken(lease(epoch)?),
            ["poison", epoch] => Claim::Poison(lease(epoch)?),
            _ => return Err(damaged(key, "answer to a claim", &format!("{words:?}"))),
        })
    }
}

#[async_trait]
impl Ledger for RedisLedger {
    async fn claim(&self, key: &WorkKey, ask: Ask) -> Result<Claim, LedgerError> {
        self.pulse.serve(&self.presence());
        let asking = self.holds.ask();
        let mut answer = self.ask_claim(key, ask, &asking, None).await?;
        if let [word, epoch, ticket] = answer.as_slice()
            && word == "mine"
        {
            let epoch = epoch.parse().map_err(|error| damaged(key, "epoch", &error))?;
            // A claim that was written again after a loss has no ticket.
            if self.holds.is_lost(key, epoch, ticket.parse().ok()) {
                tracing::info!(%key, "a claim whose answer was lost is taken up again");
                let ticket = ticket.clone();
                answer = self.ask_claim(key, ask, &asking, Some(&ticket)).await?;
            }
        }
        self.read_claim(key, ask.step, &answer, &asking)
    }

    async fn append(&self, lease: &Lease, entries: Vec<JournalEntry>) -> Result<Usage, LedgerError> {
        let mut call = self.call(&self.scripts.append, &lease.key);
        call.arg(&self.holder).arg(step_text(lease.step)).arg(lease.epoch).arg(ALIVE_MS).arg(KEPT_S);
        for entry in &entries {
            let bytes = wire::encode_message("journal entry", entry).map_err(|error| damaged(&lease.key, "journal entry", &error))?;
            let cost = cost_of(std::slice::from_ref(entry));
            let place = entry.key;
            call.arg(format!("{}.{}.{}", place.thread, place.turn, place.call)).arg(bytes);
            call.arg(cost.prompt_tokens).arg(cost.completion_tokens).arg(cost.calls).arg(cost.cost_micros);
        }
        let answer = self.fenced("append", lease, &call).await?;
        let spent: Option<Vec<u64>> = answer.split(' ').map(|number| number.parse().ok()).collect();
        match spent.as_deref() {
            Some(&[prompt_tokens, completion_tokens, calls, cost_micros]) => {
                Ok(Usage { prompt_tokens, completion_tokens, calls, cost_micros })
            }
            _ => Err(damaged(&lease.key, "what was spent", &answer)),
        }
    }

    async fn journal(&self, key: &WorkKey) -> Result<Vec<JournalEntry>, LedgerError> {
        let mut pipe = ::redis::pipe();
        pipe.cmd("HVALS").arg(self.keys.journal(key));
        let (values,): (Vec<Vec<u8>>,) = self.pipe("journal", &pipe).await?;
        let mut entries = Vec::with_capacity(values.len());
        for value in &values {
            let Some((number, bytes)) = value.split_first_chunk::<NUMBER_BYTES>() else {
                return Err(damaged(key, "journal", &"an entry is too short"));
            };
            let entry: JournalEntry = wire::decode_message("journal entry", bytes).map_err(|error| damaged(key, "journal", &error))?;
            entries.push((u32::from_be_bytes(*number), entry));
        }
        entries.sort_by_key(|(number, _)| *number);
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.give_back(lease, false).await
    }

    async fn abandon(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.give_back(lease, true).await
    }

    async fn finish(&self, lease: &Lease) -> Result<(), LedgerError> {
        // A shard may have to be sealed again: a person retries one of its jobs, or its hint came too early.
        let is_remembered = !matches!(lease.key, WorkKey::Seal(..));
        let mut call = self.call(&self.scripts.finish, &lease.key);
        call.arg(lease.epoch).arg(u8::from(is_remembered)).arg(KEPT_S);
        self.fenced("finish", lease, &call).await?;
        self.holds.let_go(&lease.key, lease.epoch);
        Ok(())
    }

    async fn note_terminal(&self, grade: &str, shard: u64, ranks: &[u64]) -> Result<u64, LedgerError> {
        let key = self.keys.terminal(grade, shard);
        let mut pipe = ::redis::pipe();
        for ranks in ranks.chunks(CHUNK) {
            pipe.cmd("SADD").arg(&key).arg(ranks).ignore();
        }
        pipe.cmd("EXPIRE").arg(&key).arg(KEPT_S).ignore().cmd("SCARD").arg(&key);
        let (known,): (u64,) = self.pipe("note_terminal", &pipe).await?;
        Ok(known)
    }

    async fn set_control(&self, state: ControlState) -> Result<(), LedgerError> {
        let mut pipe = ::redis::pipe();
        pipe.atomic().cmd("HSET").arg(&self.keys.meta).arg("control").arg(control_text(state)).ignore();
        self.touch(&mut pipe);
        self.pipe("set_control", &pipe).await
    }

    /// Changes nothing while the control state is unknown: the campaign was lost again while it was rebuilt, and [`Ledger::standing`] says so.
    async fn set_whole(&self, usage: Usage) -> Result<(), LedgerError> {
        let mut call = self.scripts.whole.prepare_invoke();
        call.key(&self.keys.meta).key(&self.keys.done).key(&self.keys.held).key(&self.keys.waiting);
        call.arg(KEPT_S).arg(usage.prompt_tokens).arg(usage.completion_tokens).arg(usage.calls).arg(usage.cost_micros);
        let answer: String = self.line.ask("set_whole", Sent::Script(&call)).await?;
        if answer != "ok" {
            tracing::warn!(keys = self.keys.meta, "the ledger lost the campaign before it was whole; it has to be told again");
        }
        Ok(())
    }

    async fn mark_done(&self, keys: &[WorkKey]) -> Result<(), LedgerError> {
        for keys in keys.chunks(CHUNK) {
            let names: Vec<String> = keys.iter().map(WorkKey::to_string).collect();
            let mut pipe = ::redis::pipe();
            pipe.cmd("SADD").arg(&self.keys.done).arg(&names).ignore();
            pipe.cmd("SREM").arg(&self.keys.held).arg(&names).ignore();
            pipe.cmd("SREM").arg(&self.keys.waiting).arg(&names).ignore();
            // Whoever holds one of them learns at its next append that there is nothing left to do.
            let left: Vec<String> = keys.iter().flat_map(|key| [self.keys.work(key), self.keys.journal(key)]).collect();
            pipe.cmd("UNLINK").arg(&left).ignore();
            self.touch(&mut pipe);
            self.pipe::<()>("mark_done", &pipe).await?;
        }
        Ok(())
    }

    async fn note_effect(&self, key: &WorkKey, step: Step) -> Result<(), LedgerError> {
        let mut call = self.scripts.effected.prepare_invoke();
        call.key(self.keys.work(key)).key(&self.keys.held).key(&self.keys.waiting);
        call.arg(key.to_string()).arg(step_text(step));
        self.line.ask::<String>("note_effect", Sent::Script(&call)).await.map(drop)
    }

    async fn replan(&self, keys: &[WorkKey]) -> Result<Vec<Replanned>, LedgerError> {
        let mut replanned = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let mut pipe = ::redis::pipe();
            for key in keys {
                pipe.cmd("SREM").arg(&self.keys.done).arg(key.to_string());
                pipe.cmd("HGET").arg(self.keys.work(key)).arg("step");
            }
            // An answer to each command: how many were removed, and a step, in turn.
            let answers: Vec<Option<String>> = self.pipe("replan", &pipe).await?;
            for (key, answer) in keys.iter().zip(answers.chunks(2)) {
                let step = match &answer[1] {
                    Some(text) => parse_step(text).ok_or_else(|| damaged(key, "step", text))?,
                    None => Step::default(),
                };
                replanned.push(Replanned { step, was_done: answer[0].as_deref() == Some("1") });
            }
        }
        Ok(replanned)
    }

    async fn reopen(&self, key: &WorkKey) -> Result<(), LedgerError> {
        let mut call = self.call(&self.scripts.reopen, key);
        call.arg(&self.keys.alive_prefix).arg(KEPT_S);
        self.line.ask::<String>("reopen", Sent::Script(&call)).await.map(drop)
    }

    async fn draw(&self, limit: &str, amount: u64, per_minute: u64) -> Result<Duration, LedgerError> {
        let mut call = self.scripts.draw.prepare_invoke();
        call.key(keys::limit(limit)).arg(amount).arg(per_minute).arg(DRAW_WAIT_MAX.as_micros().to_string());
        self.line.ask::<u64>("draw", Sent::Script(&call)).await.map(Duration::from_micros)
    }

    async fn standing(&self) -> Result<LedgerStanding, LedgerError> {
        let mut pipe = ::redis::pipe();
        let costs = ["prompt_tokens", "completion_tokens", "calls", "cost_micros"];
        let wasted = costs.map(|field| format!("wasted_{field}"));
        pipe.atomic().cmd("HMGET").arg(&self.keys.meta).arg(&["control", "whole"]);
        pipe.cmd("HMGET").arg(&self.keys.meta).arg(&costs);
        pipe.cmd("HMGET").arg(&self.keys.meta).arg(&wasted);
        pipe.cmd("SCARD").arg(&self.keys.held).cmd("SCARD").arg(&self.keys.waiting);
        type Costs = [Option<u64>; 4];
        type Answers = ((Option<String>, Option<String>), Costs, Costs, u64, u64);
        let ((control, whole), costs, wasted, running, yielded): Answers = self.pipe("standing", &pipe).await?;
        let usage = |costs: Costs| {
            let [prompt_tokens, completion_tokens, calls, cost_micros] = costs.map(Option::unwrap_or_default);
            Usage { prompt_tokens, completion_tokens, calls, cost_micros }
        };
        Ok(LedgerStanding {
            control: control.map(|text| self.parse_control(&text)).transpose()?,
            is_whole: whole.is_some(),
            running,
            yielded,
            usage: usage(costs),
            wasted: usage(wasted),
        })
    }

    async fn forget(&self) -> Result<(), LedgerError> {
        self.pulse.leave(&self.presence()).await;
        let mut cursor = 0_u64;
        // Ends with the keys of the server: a scan passes each once, and comes to 0 however many are written meanwhile.
        loop {
            let mut pipe = ::redis::pipe();
            pipe.cmd("SCAN").arg(cursor).arg("MATCH").arg(self.keys.all()).arg("COUNT").arg(CHUNK);
            let ((next, found),): ((u64, Vec<String>),) = self.pipe("forget", &pipe).await?;
            if !found.is_empty() {
                let mut pipe = ::redis::pipe();
                pipe.cmd("UNLINK").arg(&found).ignore();
                self.pipe::<()>("forget", &pipe).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl RedisLedger {
    fn parse_control(&self, text: &str) -> Result<ControlState, LedgerError> {
        let states = [ControlState::Running, ControlState::Paused, ControlState::Cancelled];
        states.into_iter().find(|state| control_text(*state) == text).ok_or_else(|| LedgerError::Damaged {
            what: format!("the control state in {}", self.keys.meta),
            reason: format!("there is no state {text}"),
        })
    }
}

fn control_text(state: ControlState) -> &'static str {
    match state {
        ControlState::Running => "running",
        ControlState::Paused => "paused",
        ControlState::Cancelled => "cancelled",
    }
}

fn damaged(key: &WorkKey, what: &str, reason: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Damaged { what: format!("the {what} of {key}"), reason: reason.to_string() }
}
