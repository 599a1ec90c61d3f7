//! A disk that is full: whoever writes there says so, waits, and goes on when there is room.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::servers::Servers;
use super::town::{Town, eventually};
use super::worker::Worker;
use crate::house::House;

/// What the system says of a full disk.
const NO_ROOM: &str = "No space left on device";
/// Mounts a disk of `$1` KiB over the folder `$0`, fills `$2` bytes of it or as many as fit, says so and stays until its input ends.
const HOLD: &str = r#"mount -t tmpfs -o size="$1"k tmpfs "$0" && { head -c "$2" /dev/zero >"$0/filler" 2>/dev/null || true; } &&
    echo ready && exec cat"#;
/// Runs a command in the folder `$0`: whoever enters a namespace stands at its root. As it is the shell that becomes the command, signals and
/// the end are the command's own.
const RUN: &str = r#"cd "$0" && exec "$@""#;

/// A small disk over a folder. It is mounted in a namespace of its own, so only what is run [`SmallDisk::inside`] sees it and no rights are
/// needed outside; a process holds it, which ends with this one. `unshare` and `nsenter` are util-linux's, which every distribution has.
struct SmallDisk {
    folder: PathBuf,
    holder: Child,
}

impl SmallDisk {
    /// A disk of `size_kib` over `folder`, of which `filled_kib` are filled already, or all there is.
    fn mount(folder: &Path, size_kib: u64, filled_kib: u64) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", HOLD]).arg(folder);
        command.args([size_kib.to_string(), (filled_kib * 1024).to_string()]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare starts");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().expect("it is piped")).read_line(&mut said).expect("it is text");
        assert_eq!(said, "ready\n", "this system lets nobody mount a disk in a namespace of his own");
        Self { folder: folder.to_owned(), holder }
    }

    /// `command`, run where this disk is.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--preserve-credentials", "--user", "--mount", "--target", &self.holder.id().to_string(), "sh", "-c", RUN]);
        inside.arg(command.get_current_dir().expect("these commands have a folder"));
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Where a path below the folder is found from outside.
    fn outside(&self, path: &Path) -> PathBuf {
        let root = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        root.join(path.strip_prefix("/").expect("an absolute path"))
    }

    /// Removes what fills it.
    fn make_room(&self) {
        std::fs::remove_file(self.outside(&self.folder.join("filler"))).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Waiting closes its input first.
        if let Err(error) = self.holder.wait() {
            eprintln!("the disk over {} may still be held: {error}", self.folder.display());
        }
    }
}

#[test]
fn a_worker_without_room_for_the_corpus_says_so_and_works_when_there_is_room() {
    let town = Town::new(Servers::shared(), 3, Duration::ZERO, "");
    town.submit();
    let corpora = town.path("corpora");
    // Four times what the corpus takes, and nothing of it is left.
    let disk = SmallDisk::mount(&corpora, 1024, 2048);
    let place = corpora.to_str().expect("UTF-8");
    let mut synthesis = town.worker_by("synthesis", &["--corpora", place], |command| disk.inside(&command));
    let mut filter = town.worker("filter");
    eventually("the worker says that there is no room", || synthesis.said().contains(NO_ROOM));
    assert!(!synthesis.is_over(), "it lives: {}", synthesis.said());
    assert_eq!(town.teacher.teacher.counts().0, 0, "it has taken no job");
    disk.make_room();
    town.all_terminal(3, &mut [&mut synthesis, &mut filter]);
    let said = synthesis.said();
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("cannot be worked on here")).collect();
    assert!(!complaints.is_empty() && complaints.iter().all(|line| line.contains(NO_ROOM) && line.contains(place)), "{said}");
    assert_eq!(town.seal_and_prove(3).manifest["counts"]["failed"], 0);
}

#[test]
fn a_run_on_a_full_disk_waits_for_room_and_loses_nothing() {
    let house = House::new(58, "samples_per_seed = 2", "[teacher]\nkind = \"heuristic\"\n");
    let out = house.path("out");
    // One MiB is left: enough to begin with, and not for all that 116 jobs write.
    let disk = SmallDisk::mount(&out, 16 * 1024, 15 * 1024);
    let mut command = house.command(&["run", "campaign.toml"]);
    // As by default: warnings are shown.
    command.env_remove("SLUICE_LOG");
    let mut run = Worker::start(disk.inside(&command), &house.path("run.log"));
    eventually("the run says that there is no room", || {
        assert!(!run.is_over(), "it ended instead of waiting:\n{}", run.said());
        run.said().contains(NO_ROOM)
    });
    disk.make_room();
    assert_eq!(run.ended().code(), Some(0), "{}", run.said());
    // To where everybody sees it.
    let copied = Command::new("cp").arg("-a").arg(disk.outside(&out).join(".")).arg(&out).status().expect("cp starts");
    assert!(copied.success());
    house.prove_sealed(116);
    assert_eq!(house.manifest()["counts"]["failed"], 0, "a disk that was full fails no job");
}
