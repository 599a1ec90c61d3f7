//! A RabbitMQ node of a test's own, to be stopped, killed and restarted with its data or without.
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

    /// Starts it again on the same ports with nothing of what it had, killing it first if it runs, and waits until it answers.
    pub fn restart_empty(&self) {
        let (pid, began) = self.process();
        if born(pid) == Some(began) {
            self.kill9();
        }
        std::fs::remove_dir_all(self.folder.path().join("rabbitmq/mnesia")).expect("what a broker keeps is in this folder");
        self.restart();
    }

    /// What an Erlang expression gives inside the broker, such as `rabbit:version().`
    pub fn eval(&self, expression: &str) -> String {
        self.services(&["rabbitmqctl", "eval", expression])
    }

    /// The process id, for signals that stop and continue it.
    pub fn pid(&self) -> Pid {
        self.process().0
    }

    /// Its process id, and the moment that process began: ids are used again.
    fn process(&self) -> (Pid, String) {
        let written = std::fs::read_to_string(self.folder.path().join("rabbitmq.pid")).expect("the broker was started");
        let (pid, began) = written.trim().split_once(' ').expect("scripts/services writes both");
        (pid.parse().ok().and_then(Pid::from_raw).expect("a process id"), began.to_owned())
    }

    fn end(&self, signal: Signal) {
        let pid = self.pid();
        kill_process(pid, signal).expect("the broker runs");
        eventually("the broker's end", || born(pid).is_none());
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

/// When a process began. None for one that is gone, or dead and only not buried yet: its parent is not us.
fn born(pid: Pid) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    // The third field of all, and the twenty-second.
    if fields.next()? == "Z" { None } else { fields.nth(18).map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::services::{OwnBroker, exchange, port_of, script};

    #[test]
    fn a_broker_of_ones_own_keeps_its_queues_through_a_stop_and_a_kill_and_loses_them_where_that_is_wanted() {
        let broker = OwnBroker::start();
        let ports = (port_of(broker.url()), port_of(broker.management_url()));
        let queues = |broker: &OwnBroker| broker.eval("[amqqueue:get_name(Q) || Q <- rabbit_amqqueue:list()].");
        let declare = "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, <<\"test\">>).";
        broker.eval(declare);
        for end in [OwnBroker::stop, OwnBroker::kill9] {
            let pid = broker.pid();
            end(&broker);
            assert!(exchange(ports.0, b"").is_err(), "nobody listens");
            broker.restart();
            assert_ne!(broker.pid(), pid);
            assert!(exchange(ports.1, b"GET / HTTP/1.0\r\n\r\n").is_ok_and(|said| said.contains(" 200 ")));
            assert!(queues(&broker).contains("kept"), "{}", queues(&broker));
        }
        let pid = broker.pid();
        broker.restart_empty();
        assert_ne!(broker.pid(), pid);
        broker.kill9();
        broker.restart_empty();
        assert_eq!((port_of(broker.url()), queues(&broker).trim()), (ports.0, "[]"));
        assert!(exchange(ports.1, b"GET / HTTP/1.0\r\n\r\n").is_ok_and(|said| said.contains(" 200 ")));
        drop(broker);
        assert!(exchange(ports.0, b"").is_err(), "nobody listens");
    }

    #[test]
    fn a_folder_with_somebodys_files_is_neither_used_for_servers_nor_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), "mine").expect("written");
        for arguments in [&["up", "redis"][..], &["down"]] {
            let ran = Command::new(script("services")).args(arguments).env("SLUICE_SERVICES", folder.path()).output().expect("bash");
            assert_eq!(ran.status.code(), Some(3), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        let held = std::fs::read_dir(folder.path()).expect("it is still there").map(|entry| entry.expect("an entry").file_name());
        assert_eq!(held.collect::<Vec<_>>(), ["password"]);
    }
}
