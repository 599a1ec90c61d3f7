//! The connection that campaigns share: made when it is needed, replaced after any trouble, with each operation measured.
//!
//! All who ask at once wait for one attempt to connect. A command that met a dead connection is sent once more, because every script may be
//! repeated; all other patience is the caller's.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::super::LedgerError;
use super::trouble;

/// For one answer. Journals of megabytes pass here, and a busy server is no reason to ask twice.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Sends of one command: the second only after the first met a dead connection.
const SENDS_MAX: u32 = 2;

type Connecting = Shared<BoxFuture<'static, RedisResult<MultiplexedConnection>>>;

pub(super) struct Line {
    client: Client,
    /// `host:port`, for people.
    place: String,
    /// The connection, or the attempt at one, with its number.
    current: Mutex<(u64, Connecting)>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    Script(&'a ScriptInvocation<'a>),
    Pipe(&'a Pipeline),
    One(&'a Cmd),
}

impl Line {
    /// A line to `client`'s server; nothing is sent yet.
    pub(super) fn new(client: Client) -> Self {
        let place = client.get_connection_info().addr().to_string();
        let current = Mutex::new((0, connecting(client.clone())));
        Self { client, place, current }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Connects, and sees that we may give orders here.
    pub(super) async fn prove(&self) -> Result<(), LedgerError> {
        let pong = self.send::<String>(Sent::One(&::redis::cmd("PING"))).await;
        pong.map(drop).map_err(|error| trouble::at_first(&self.place, &error))
    }

    /// Warns of a server that, when it is full, drops what nobody used lately instead of refusing: journals would vanish under those who work.
    pub(super) async fn warn_of_eviction(&self) {
        // It may not tell everybody; then there is nothing to say.
        let Ok(told) = self.send::<String>(Sent::One(::redis::cmd("INFO").arg("memory"))).await else { return };
        let value = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let (Some(most), Some(policy)) = (value("maxmemory:"), value("maxmemory_policy:"))
            && most != "0"
            && policy != "noeviction"
        {
            tracing::warn!(place = self.place, policy, "this Redis forgets keys when it is full; set maxmemory-policy to noeviction");
        }
    }

    /// Sends and awaits the answer; `op` names it for people and metrics.
    pub(super) async fn ask<T: FromRedisValue>(&self, op: &'static str, sent: Sent<'_>) -> Result<T, LedgerError> {
        let start = Instant::now();
        let answered = self.send(sent).await;
        metrics::histogram!("sluice_redis_seconds", "op" => op).record(start.elapsed());
        answered.map_err(|error| {
            metrics::counter!("sluice_redis_errors_total", "op" => op).increment(1);
            trouble::later(&self.place, op, &error)
        })
    }

    async fn send<T: FromRedisValue>(&self, sent: Sent<'_>) -> RedisResult<T> {
        let mut sends = 0;
        loop {
            sends += 1;
            let (number, connecting) = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let error = match connecting.await {
                Ok(connection) => match send_over(connection, sent).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                // Connecting was just tried: asking at once again would only hurry.
                Err(error) => {
                    self.replace(number);
                    return Err(error);
                }
            };
            // An answer of the server that says no leaves the connection good, unless it is about the server's own role.
            if is_about_the_connection(&error) {
                self.replace(number);
            }
            if !error.is_connection_dropped() || sends == SENDS_MAX {
                return Err(error);
            }
        }
    }

    /// Has the next who asks connect anew, unless somebody else said so before.
    fn replace(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 == number {
            *current = (number + 1, connecting(self.client.clone()));
        }
    }
}

async fn send_over<T: FromRedisValue>(mut connection: MultiplexedConnection, sent: Sent<'_>) -> RedisResult<T> {
    match sent {
        Sent::Script(script) => script.invoke_async(&mut connection).await,
        Sent::Pipe(pipe) => pipe.query_async(&mut connection).await,
        Sent::One(command) => command.query_async(&mut connection).await,
    }
}

/// A server that stopped being the one we connected to is left too: its name may lead to the right one by now.
fn is_about_the_connection(error: &RedisError) -> bool {
    let is_plain_answer =
        matches!(trouble::code(error).as_deref(), Some("ERR" | "OOM" | "NOSCRIPT" | "WRONGTYPE" | "LOADING" | "BUSY" | "EXECABORT"));
    !is_plain_answer
}

fn connecting(client: Client) -> Connecting {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_MAX)).set_response_timeout(Some(ANSWER_MAX));
    async move { client.get_multiplexed_async_connection_with_config(&config).await }.boxed().shared()
}
