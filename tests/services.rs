//! The real servers that tests talk to: those of the environment, which all share, and private ones for tests that kill and flush.
//!
//! A server that is missing is a failure, with the advice what to do, and never a skipped test. Whoever shares keeps to queues, keys and
//! prefixes of their own. Starting and killing block the thread; an async test does it where it may.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

mod broker;
mod redis;
mod s3;

pub use broker::OwnBroker;
pub use redis::OwnRedis;
pub use s3::{OwnS3, S3Place};

/// How long a server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The shared broker, `amqp://user:password@host:port/%2f`.
pub fn amqp_url() -> String {
    variable("SLUICE_AMQP_URL")
}

/// The shared broker's management API, `http://user:password@host:port`.
pub fn management_url() -> String {
    variable("SLUICE_AMQP_MANAGEMENT_URL")
}

/// The shared Redis, `redis://:password@host:port`.
pub fn redis_url() -> String {
    variable("SLUICE_REDIS_URL")
}

/// The shared S3 server. Its faults meet everybody: order them only at an [`OwnS3`].
pub fn s3() -> S3Place {
    let archive = variable("SLUICE_ARCHIVE");
    let bucket = archive.strip_prefix("s3://").and_then(|rest| rest.split('/').next());
    S3Place {
        endpoint: variable("AWS_ENDPOINT_URL"),
        access_key: variable("AWS_ACCESS_KEY_ID"),
        secret_key: variable("AWS_SECRET_ACCESS_KEY"),
        region: variable("AWS_REGION"),
        bucket: bucket.expect("SLUICE_ARCHIVE is s3://bucket/prefix").to_owned(),
        control_url: variable("SLUICE_S3_CONTROL_URL"),
    }
}

fn variable(name: &str) -> String {
    let Ok(value) = std::env::var(name) else {
        panic!("{name} is not set, so there are no servers to test against: scripts/services up; eval \"$(scripts/services env)\"")
    };
    value
}

/// A program of this package: it lies where this one does, or above it when this one is a test.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    let folder = own.parent().expect("it lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("the profile's folder") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: cargo build -p tests --bins", path.display());
    path
}

/// A script of the repository.
fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name)
}

/// A port that nobody listens on, below those that the system gives to outgoing connections, so that a server finds it again after a restart.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..1000 {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(offset).expect("below 12,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// Asks until it is so; there is nothing to wait on in another process but its answers.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends bytes to a port of this machine and reads what comes until the other side closes or is silent for five seconds.
fn exchange(port: u16, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => return Err(error),
        _ => {} // it said something, and then closed, reset or fell silent
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The port of a URL on loopback.
pub fn port_of(url: &str) -> u16 {
    let after_host = url.rsplit_once("127.0.0.1:").map(|(_, rest)| rest).expect("a URL on loopback");
    after_host.split('/').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_servers_answer() {
        let greeting = exchange(port_of(&amqp_url()), b"not AMQP").expect("the broker listens");
        assert!(greeting.starts_with("AMQP"), "a broker names its protocol to who speaks another: {greeting}");
        let refused = exchange(port_of(&management_url()), b"GET /api/overview HTTP/1.0\r\n\r\n").expect("the management API listens");
        assert!(refused.contains(" 401 "), "{refused}");
        let refused = exchange(port_of(&redis_url()), b"PING\r\nQUIT\r\n").expect("Redis listens");
        assert!(refused.starts_with("-NOAUTH"), "{refused}");
        let place = s3();
        assert!(!place.region.is_empty());
        let refused =
            exchange(port_of(&place.endpoint), b"GET /sluice HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n\r\n").expect("S3 listens");
        assert!(refused.contains("AccessDenied"), "{refused}");
        assert!(place.counts()["requests"].as_u64() > Some(0));
    }
}
