//! An S3 server of a test's own, to be killed, restarted over its folder, and made to fail.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{exchange, free_port, port_of, program};

/// Where an S3 server is, and how it is used.
#[derive(Debug, Clone)]
pub struct S3Place {
    /// `http://host:port`; buckets are named in the path.
    pub endpoint: String,
    /// The key that requests are signed with.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// What a signature names; the server takes any.
    pub region: String,
    /// A bucket that is there.
    pub bucket: String,
    /// `http://host:port`, where faults are ordered.
    pub control_url: String,
}

impl S3Place {
    /// Lets a share (0 to 1) of the requests fail from now on: `refuse`, `error500`, `slowdown`, `truncate`, `hang` or `late`.
    pub fn fault(&self, mode: &str, share: f64) {
        self.order(&json!({ "mode": mode, "share": share, "seed": 1 }));
    }

    /// As [`S3Place::fault`], with all that an order may say: `mode`, `share`, `seed`, `hang_seconds`.
    pub fn order(&self, order: &Value) {
        self.control("POST", "/faults", &order.to_string());
    }

    /// Ends all faults. What hangs goes on hanging for its time.
    pub fn heal(&self) {
        self.order(&json!({ "mode": "none" }));
    }

    /// How many `requests` there were since the server began, and how many of them met which fault.
    pub fn counts(&self) -> Value {
        self.control("GET", "/counts", "")
    }

    fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: control\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        let answer = exchange(port_of(&self.control_url), request.as_bytes()).expect("the control port answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {body}");
        serde_json::from_str(body).expect("JSON")
    }
}

/// A `loopback-s3` child, killed on drop. Should the test process be killed itself, the server ends with its standard input.
pub struct OwnS3 {
    folder: tempfile::TempDir,
    place: S3Place,
    child: Option<Child>,
}

impl OwnS3 {
    /// Starts one on free ports, with an empty bucket.
    pub fn start() -> Self {
        let url = || format!("http://127.0.0.1:{}", free_port());
        let place = S3Place {
            endpoint: url(),
            access_key: "own".to_owned(),
            secret_key: "own-secret".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "own".to_owned(),
            control_url: url(),
        };
        let mut server = Self { folder: tempfile::tempdir().expect("a folder"), place, child: None };
        server.restart();
        server
    }

    /// Where it is, the same after a restart.
    pub fn place(&self) -> &S3Place {
        &self.place
    }

    /// The folder that holds the buckets, each a folder of its own with objects as files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id, for signals that stop and continue it.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Kills it, as by `kill -9`, and waits until it is gone; its objects stay.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again with its objects and without faults, killing it first if it runs.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(program("loopback-s3"));
        command.env("AWS_ACCESS_KEY_ID", &self.place.access_key).env("AWS_SECRET_ACCESS_KEY", &self.place.secret_key);
        command.arg("--folder").arg(self.folder.path()).args(["--until-stdin-ends", "--bucket", &self.place.bucket]);
        command.args(["--port", &port_of(&self.place.endpoint).to_string()]);
        command.args(["--control", &port_of(&self.place.control_url).to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("loopback-s3 starts");
        let mut said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let is_ready = said.any(|line| line.is_ok_and(|line| line.starts_with("listening on ")));
        assert!(is_ready, "loopback-s3 ended before it listened");
        self.child = Some(child);
    }
}

impl Drop for OwnS3 {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::services::{OwnS3, exchange, port_of};

    /// What an unsigned request gets: a refusal proves that S3 answered.
    fn ask(server: &OwnS3) -> Option<String> {
        let request = b"GET /own/k HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n\r\n";
        exchange(port_of(&server.place.endpoint), request).ok().filter(|said| !said.is_empty())
    }

    #[test]
    fn an_s3_of_ones_own_fails_as_ordered_and_heals() {
        let server = OwnS3::start();
        let is_refused = |said: Option<String>| said.is_some_and(|said| said.contains("AccessDenied"));
        assert!(is_refused(ask(&server)));
        server.place().fault("slowdown", 1.0);
        assert!(ask(&server).is_some_and(|said| said.starts_with("HTTP/1.1 503") && said.contains("<Code>SlowDown</Code>")));
        server.place().fault("error500", 1.0);
        assert!(ask(&server).is_some_and(|said| said.starts_with("HTTP/1.1 500")));
        for silent in ["refuse", "late"] {
            server.place().fault(silent, 1.0);
            assert_eq!(ask(&server), None, "{silent}");
        }
        server.place().order(&json!({ "mode": "hang", "hang_seconds": 0 }));
        assert_eq!(ask(&server), None);
        server.place().fault("truncate", 1.0);
        let cut = ask(&server).expect("half an answer");
        let (head, body) = cut.split_once("\r\n\r\n").expect("its head is whole");
        let length: usize =
            head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).expect("a length").parse().expect("digits");
        assert_eq!(body.len(), length / 2);
        server.place().heal();
        assert!(is_refused(ask(&server)));
        let counts = server.place().counts();
        for mode in ["slowdown", "error500", "refuse", "late", "hang", "truncate"] {
            assert_eq!(counts[mode], 1, "{mode}");
        }
        assert_eq!(counts["requests"], 8);
    }

    #[test]
    fn an_s3_of_ones_own_is_killed_and_comes_back_where_it_was() {
        let mut server = OwnS3::start();
        server.place().fault("refuse", 1.0);
        server.kill();
        assert_eq!((ask(&server), server.pid()), (None, None));
        server.restart();
        assert!(ask(&server).is_some(), "the faults went with it");
    }
}
