//! A folder with a campaign in it, and the program under test run there as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The repository's example corpus and seeds.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("examples/quickstart")
}

/// A folder of its own, removed at the end.
pub(crate) struct House {
    folder: tempfile::TempDir,
}

impl House {
    /// A folder with `campaign.toml`: the quickstart's corpus and its first `seeds` seeds, with `more` tables behind `[campaign]`.
    pub(crate) fn new(seeds: u32, campaign: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let examples = examples();
        let text = format!(
            "[campaign]\nname = \"test\"\nseeds = \"{0}/seeds.jsonl\"\nlimit = {seeds}\narchive = \"out\"\nrows_per_shard = 8\n{campaign}\n\
             [corpus]\npath = \"corpus\"\nsources = [\"{0}/documents.jsonl\"]\n{more}",
            examples.display()
        );
        std::fs::write(folder.path().join("campaign.toml"), text).expect("written");
        Self { folder }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The campaign's folder in the archive.
    pub(crate) fn dataset(&self) -> PathBuf {
        self.path("out/campaigns/test")
    }

    /// A command of the program in this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-under-test"));
        command.args(args).current_dir(self.folder.path()).env_remove("SLUICE_ARCHIVE").env_remove("RUST_LOG");
        command
    }

    /// Runs the program to its end.
    pub(crate) fn sluice(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("the program starts"))
    }

    /// Starts `sluice run`, with its output thrown away.
    pub(crate) fn start_run(&self) -> Child {
        let mut command = self.command(&["run", "campaign.toml"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// The newest manifest.
    pub(crate) fn manifest(&self) -> Value {
        let text = std::fs::read(self.dataset().join("dataset.json")).expect("a sealed data set");
        serde_json::from_slice(&text).expect("a manifest")
    }

    /// The campaign's status as programs read it.
    pub(crate) fn status(&self) -> Value {
        let ran = self.sluice(&["status", "--json", self.dataset().to_str().expect("a path of ours")]);
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.text()))
    }

    /// Proves the promises that hold at the end of every campaign, from the archive alone.
    pub(crate) fn prove_sealed(&self, planned: u64) {
        let manifest = self.manifest();
        let counts = &manifest["counts"];
        let number = |value: &Value| value.as_u64().expect("a number");
        let ended = number(&counts["accepted"]) + number(&counts["rejected"]) + number(&counts["failed"]);
        assert_eq!(number(&manifest["planned"]), planned);
        let spared = counts["spared"].as_u64().unwrap_or(0);
        assert_eq!(ended + spared + number(&manifest["cancelled"]), planned, "planned = accepted + rejected + failed + spared + cancelled");
        assert_eq!(number(&manifest["outstanding"]), 0);
        let mut jobs: Vec<String> = self.rows().iter().map(|row| row["job_id"].as_str().expect("an id").to_owned()).collect();
        let rows = jobs.len();
        jobs.sort();
        jobs.dedup();
        assert_eq!(jobs.len(), rows, "no job stands in two rows");
        let verified = self.sluice(&["verify", "out/campaigns/test", "--json"]);
        assert_eq!(verified.code, Some(0), "{}", verified.text());
        let report: Value = serde_json::from_str(&verified.out).expect("a report");
        assert_eq!((number(&report["differences"]), number(&report["rows"])), (0, rows as u64));
    }

    /// All rows of the data set, accepted and rejected, through the program's own export.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let exported = self.sluice(&["export", "out/campaigns/test", "--format", "native", "--rows", "all"]);
        assert_eq!(exported.code, Some(0), "{}", exported.text());
        exported.out.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }
}

/// What the program said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Both streams, for messages of failed assertions.
    pub(crate) fn text(&self) -> String {
        format!("exit {:?}\n{}\n{}", self.code, self.out, self.err)
    }
}
