//! What goes wrong with Redis, in our words: whether waiting helps, and what a person can do.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::super::LedgerError;

/// Codes of a server that refuses us, whoever asks how often.
const REFUSALS: [&str; 3] = ["NOAUTH", "WRONGPASS", "NOPERM"];

/// What an error at the first connection means: wrong credentials will not mend themselves.
pub(super) fn at_first(place: &str, error: &RedisError) -> LedgerError {
    let is_refusal = error.kind() == ErrorKind::AuthenticationFailed || code(error).is_some_and(|code| REFUSALS.contains(&code.as_str()));
    if is_refusal {
        let said = error.detail().unwrap_or_else(|| error.category());
        return LedgerError::Unusable { reason: format!("{place} refuses us ({said}); correct user and password in SLUICE_REDIS_URL") };
    }
    if error.kind() == ErrorKind::InvalidClientConfig {
        return unusable_address(error);
    }
    later(place, "connect", error)
}

/// The address cannot be meant.
pub(super) fn unusable_address(error: &RedisError) -> LedgerError {
    LedgerError::Unusable { reason: format!("no address of a Redis ({error}); write redis://:password@host:port or rediss://… (TLS)") }
}

/// What an error means once we were connected: it is waited for, whatever it is. Nothing that runs is failed by a server that restarts
/// with another password.
pub(super) fn later(place: &str, op: &str, error: &RedisError) -> LedgerError {
    LedgerError::Unreachable { reason: format!("{place} at {op}: {error}; {}", advice(error)) }
}

fn advice(error: &RedisError) -> &'static str {
    match (error.kind(), code(error).as_deref()) {
        _ if error.is_connection_refusal() => "nobody listens there: start Redis or correct SLUICE_REDIS_URL",
        _ if error.to_string().contains("certificate") => "name the authority that signed its certificate in SSL_CERT_FILE",
        _ if error.is_timeout() => "it does not answer in time: look at its load, and at the network between",
        (ErrorKind::Io, _) => "the connection was lost: look whether Redis runs, and at the network between",
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "it reads its data and is ready soon",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => "it is a replica: name the primary in SLUICE_REDIS_URL",
        (ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown), _) => "it waits for other nodes of its cluster",
        (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
            "it is one node of a cluster: name a proxy or a single server in SLUICE_REDIS_URL"
        }
        (_, Some("OOM")) => "it is full: raise its maxmemory, or forget campaigns that are over",
        (_, Some(code)) if REFUSALS.contains(&code) => "its credentials changed: correct SLUICE_REDIS_URL and start this process again",
        (_, Some("MISCONF")) => "it cannot save to its disk: make room there",
        _ => "look at its log",
    }
}

/// The server's word for what is wrong; of a pipeline, that of its first command that failed.
pub(super) fn code(error: &RedisError) -> Option<String> {
    let said = error.code().map(str::to_owned);
    said.or_else(|| error.clone().into_server_errors()?.first().map(|(_, error)| error.code().to_owned()))
}
