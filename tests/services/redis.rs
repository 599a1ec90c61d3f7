//! A Redis of a test's own, to be killed, restarted and flushed. It keeps nothing on disk: a restart comes back empty.

use std::process::{Child, Command, Stdio};

use super::{eventually, exchange, free_port};

/// A `redis-server` child, killed on drop.
pub struct OwnRedis {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

/// No secret: it keeps other tests of this machine from reaching the wrong server.
const PASSWORD: &str = "own";

impl OwnRedis {
    /// Starts one on a free port and waits until it answers.
    pub fn start() -> Self {
        let mut redis = Self { folder: tempfile::tempdir().expect("a folder"), port: free_port(), child: None };
        redis.restart();
        redis
    }

    /// `redis://:password@host:port`, the same after a restart.
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// The process id, for signals that stop and continue it.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it answers to a command of the inline protocol, with the answers to logging in and out around it; `None` when nobody answers.
    pub fn ask(&self, command: &str) -> Option<String> {
        exchange(self.port, format!("AUTH {PASSWORD}\r\n{command}\r\nQUIT\r\n").as_bytes()).ok()
    }

    /// Kills it, as by `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again on the same port, empty, killing it first if it runs.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
        command.args(["--requirepass", PASSWORD, "--port", &self.port.to_string(), "--dir"]).arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("redis-server starts; scripts/services installs it");
        let port = self.port;
        eventually("a Redis that answers", || {
            assert!(child.try_wait().expect("a child").is_none(), "redis-server ended at once; is the port {port} taken?");
            exchange(port, format!("AUTH {PASSWORD}\r\nPING\r\nQUIT\r\n").as_bytes()).is_ok_and(|said| said.contains("+PONG"))
        });
        self.child = Some(child);
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use crate::services::{OwnRedis, exchange};

    #[test]
    fn a_redis_of_ones_own_is_killed_and_comes_back_empty_where_it_was() {
        let mut redis = OwnRedis::start();
        let url = redis.url();
        assert!(redis.ask("SET k v").is_some_and(|said| said.matches("+OK").count() == 3));
        redis.kill();
        assert_eq!((redis.ask("GET k"), redis.pid()), (None, None));
        redis.restart();
        assert!(redis.ask("GET k").is_some_and(|said| said.contains("$-1")));
        assert_eq!(redis.url(), url);
        let port = redis.port;
        drop(redis);
        assert!(exchange(port, b"PING\r\n").is_err());
    }
}
