//! A model that judges: what it was paid for is not asked for again, whatever became of the ledger meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Completion, FinishReason, Usage};
use teacher::{Request, Teacher, TeacherError};
use tests::services::OwnRedis;
use tokio::sync::Semaphore;

use super::servers::Servers;
use super::town::{Town, eventually};
use crate::faults::Server;

const JOBS: u64 = 4;

/// Accepts everything, as soon as it is let; counts what it is asked by the seed, which each job has its own of.
struct Judge {
    asked: Mutex<HashMap<u64, u32>>,
    answers: Semaphore,
}

impl Judge {
    /// Requests, and distinct ones among them.
    fn counts(&self) -> (u32, usize) {
        let asked = self.asked.lock().expect("no panic held it");
        (asked.values().sum(), asked.len())
    }
}

#[async_trait]
impl Teacher for Judge {
    async fn complete(&self, request: &Request) -> Result<Completion, TeacherError> {
        *self.asked.lock().expect("no panic held it").entry(request.sampling.seed).or_default() += 1;
        self.answers.acquire().await.expect("it is never closed").forget();
        let usage = Usage { prompt_tokens: 50, completion_tokens: 10, calls: 1, ..Usage::default() };
        let text = "{\"correct\": true, \"score\": 1.0, \"reasoning\": \"as the reference has it\"}".to_owned();
        Ok(Completion { text, reasoning: None, calls: Vec::new(), finish_reason: FinishReason::Stop, usage, model: None })
    }
}

#[test]
fn a_judgement_whose_ledger_was_lost_while_it_was_made_is_not_asked_for_again() {
    let mut redis = OwnRedis::start();
    let judge = Server::of(Arc::new(Judge { asked: Mutex::default(), answers: Semaphore::new(0) }), Duration::ZERO);
    let table = format!("[judge]\nkind = \"http\"\nendpoints = [\"{}\"]\nmodel = \"judge\"", judge.address);
    let town = Town::new(Servers::shared().with_redis(&redis), JOBS as u32, Duration::ZERO, &table);
    town.submit();
    let (mut synthesis, mut filter) = (town.worker("synthesis"), town.worker("filter"));
    eventually("every job's judgement in the making", || judge.teacher.counts() == (JOBS as u32, JOBS as usize));
    redis.kill();
    judge.teacher.answers.add_permits(JOBS as usize);
    // What cannot be journaled is held for a while, and then put where the ledger is not needed.
    let journals = |grade: &str| format!("campaigns/{}/grades/{grade}/journals/0/", town.name);
    eventually("copies of all judgements", || {
        let grades = town.folders(&format!("campaigns/{}/grades/", town.name));
        grades.iter().map(|grade| town.folders(&journals(grade)).len()).sum::<usize>() == JOBS as usize
    });
    redis.restart();
    town.all_terminal(JOBS as usize, &mut [&mut synthesis, &mut filter]);
    assert_eq!(judge.teacher.counts(), (JOBS as u32, JOBS as usize), "each was asked once");
    let sealed = town.seal_and_prove(JOBS);
    assert_eq!(sealed.manifest["counts"]["failed"], 0);
    assert!(sealed.rows.iter().all(|row| row["verdict"]["judge"]["usage"]["calls"] == 1), "the copy's judgement is the row's");
    let grades = town.folders(&format!("campaigns/{}/grades/", town.name));
    assert!(grades.iter().all(|grade| town.folders(&journals(grade)).is_empty()), "sealing sweeps the copies");
}
