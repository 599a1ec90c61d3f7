//! A RabbitMQ node of a test's own, to be stopped, killed and restarted with its data.
//!
//! It is what `scripts/services up rabbitmq` starts, in a folder of its own, so that the settings stand in one place.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::{eventually, script};

/// A broker, killed on drop with its name server.
pub struct OwnBroker {
    folder: tempfile::TempDir,
    url: String,
    management_url: String,
}

impl OwnBroker {
    /// Starts one on free ports and waits until it answers: some seconds.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut broker = Self { folder, url: String::new(), management_url: String::new() };
        broker.restart();
        let exports = broker.services(&["env"]);
        let value = |name: &str| {
            let line = exports.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.expect("scripts/services exports it").to_owned()
        };
        (broker.url, broker.management_url) = (value("SLUICE_AMQP_URL"), value("SLUICE_AMQP_MANAGEMENT_URL"));
        broker
    }

    /// `amqp://user:password@host:port/%2f`, the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http://user:password@host:port`, the same after a restart.
    pub fn management_url(&self) -> &str {
        &self.management_url
    }

    /// Stops it as an operator would, and waits until it is gone; its data stays.
    pub fn stop(&self) {
        self.end(Signal::TERM);
    }

    /// Kills it, as by `kill -9`, and waits until it is gone; its data stays.
    pub fn kill9(&self) {
        self.end(Signal::KILL);
    }

    /// Starts it again on the same ports with its data, and waits until it answers. One that runs is left as it is.
    pub fn restart(&self) {
        self.services(&["up", "rabbitmq"]);
    }

    /// What an Erlang expression gives inside the broker, such as `rabbit:version().`
    pub fn eval(&self, expression: &str) -> String {
        self.services(&["rabbitmqctl", "eval", expression])
    }

    /// The process id, for signals that stop and continue it.
    pub fn pid(&self) -> Pid {
        let written = std::fs::read_to_string(self.folder.path().join("rabbitmq.pid")).expect("the broker was started");
        let pid = written.split(' ').next().and_then(|pid| pid.parse().ok());
        pid.and_then(Pid::from_raw).expect("a process id")
    }

    fn end(&self, signal: Signal) {
        let pid = self.pid();
        kill_process(pid, signal).expect("the broker runs");
        eventually("the broker's end", || has_ended(pid));
    }

    fn services(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(script("services"));
        let ran = command.args(arguments).env("SLUICE_SERVICES", self.folder.path()).output().expect("bash");
        assert!(ran.status.success(), "scripts/services {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let mut command = Command::new(script("services"));
        let ran = command.arg("down").env("SLUICE_SERVICES", self.folder.path()).status();
        if !ran.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("the broker in {} may still run: {ran:?}", self.folder.path().display());
        }
    }
}

/// Whether a process is gone, or dead and only not buried yet: its parent is not us.
fn has_ended(pid: Pid) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return true };
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use crate::services::{OwnBroker, exchange, port_of};

    #[test]
    fn a_broker_of_ones_own_keeps_its_queues_through_a_stop_and_a_kill() {
        let broker = OwnBroker::start();
        let ports = (port_of(broker.url()), port_of(broker.management_url()));
        let declare = "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, <<\"test\">>).";
        broker.eval(declare);
        for end in [OwnBroker::stop, OwnBroker::kill9] {
            let pid = broker.pid();
            end(&broker);
            assert!(exchange(ports.0, b"").is_err(), "nobody listens");
            broker.restart();
            assert_ne!(broker.pid(), pid);
            assert!(exchange(ports.1, b"GET / HTTP/1.0\r\n\r\n").is_ok_and(|said| said.contains(" 200 ")));
            let queues = broker.eval("[amqqueue:get_name(Q) || Q <- rabbit_amqqueue:list()].");
            assert!(queues.contains("kept"), "{queues}");
        }
        drop(broker);
        assert!(exchange(ports.0, b"").is_err(), "nobody listens");
    }
}
