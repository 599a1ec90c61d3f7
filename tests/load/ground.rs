//! What the parts stand on: private servers, the program that is measured, a corpus in the archive, and campaigns of any size over it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::program::{Ended, Program};

/// The servers, as `scripts/services` names them.
pub(crate) const SERVERS: [&str; 3] = ["rabbitmq", "redis", "s3"];
/// Root of the randomness of every campaign here.
pub(crate) const SEED: u64 = 7;
/// How long a verb may take that does not wait for jobs.
pub(crate) const VERB: Duration = Duration::from_secs(300);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// The ground of a run. Dropping it stops the servers and removes everything.
pub(crate) struct Ground {
    sluice: PathBuf,
    folder: PathBuf,
    is_kept: bool,
    environment: Vec<(String, String)>,
    sources: Sources,
    /// For the teacher and the queue of the benchmark itself.
    pub(crate) runtime: Runtime,
}

/// Documents and questions.
struct Sources {
    documents: PathBuf,
    questions: PathBuf,
    /// How many questions there are.
    seeds: u64,
    /// Whether gold documents are paragraphs.
    has_passages: bool,
}

/// A campaign file, and what it plans.
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) file: PathBuf,
    /// Its jobs: at least as many as were asked for, since every seed has the same number of samples.
    pub(crate) jobs: u64,
}

impl Ground {
    /// Starts the servers, builds the corpus and pushes it.
    pub(crate) fn prepare(sluice: &Path, data: Option<&Path>, is_kept: bool) -> Result<Self> {
        let sluice = sluice.canonicalize().with_context(|| format!("find the program {}", sluice.display()))?;
        let folder = tempfile::tempdir()?.keep();
        let runtime = Runtime::new()?;
        let sources = Sources::find(data)?;
        let mut ground = Self { sluice, folder, is_kept, environment: Vec::new(), sources, runtime };
        fs::create_dir(ground.folder.join("logs"))?;
        ground.services(&["up"])?;
        let exports = ground.services(&["env"])?;
        let pairs = exports.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        ground.environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let corpus = ground.corpus();
        let corpus = corpus.to_str().context("name the corpus")?;
        let documents = ground.sources.documents.to_str().context("name the documents")?;
        ground.run("corpus-build", &["corpus", "build", "--source", documents, "--out", corpus], VERB)?;
        ground.run("corpus-push", &["corpus", "push", corpus], VERB)?;
        Ok(ground)
    }

    /// The snapshot of the corpus.
    pub(crate) fn corpus(&self) -> PathBuf {
        self.folder.join("corpus")
    }

    /// Writes a campaign of `jobs` jobs or a few more: samples of as many seeds as there are. With `endpoint` it asks that teacher, else the
    /// heuristic one in the worker. With `place` it has an archive of its own.
    pub(crate) fn campaign(&self, name: &str, jobs: u64, endpoint: Option<&str>, place: Option<&Path>) -> Result<Planned> {
        let samples = jobs.div_ceil(self.sources.seeds);
        let seeds = jobs.div_ceil(samples);
        let teacher = match endpoint {
            Some(endpoint) => {
                format!("kind = \"http\"\nendpoints = [\"{endpoint}\"]\nmodel = \"heuristic\"\ndialect = \"openai\"\nconcurrency = 1000")
            }
            None => "kind = \"heuristic\"\nconcurrency = 1000".to_owned(),
        };
        let archive = place.map(|place| format!("archive = \"{}\"\n", place.display())).unwrap_or_default();
        let fields = if self.sources.has_passages { "[campaign.fields]\ngold_urls = \"gold_passages\"\n" } else { "" };
        let text = format!(
            "[campaign]\nname = \"{name}\"\nseeds = \"{}\"\nlimit = {seeds}\nsamples_per_seed = {samples}\nseed = {SEED}\n{archive}{fields}\
             [corpus]\npath = \"{}\"\nsources = [\"{}\"]\n[recipe]\nkind = \"browse\"\nas_of = \"2026-01-01\"\n[teacher]\n{teacher}\n",
            self.sources.questions.display(),
            self.corpus().display(),
            self.sources.documents.display(),
        );
        let file = self.folder.join(format!("{name}.toml"));
        fs::write(&file, text)?;
        Ok(Planned { name: name.to_owned(), file, jobs: seeds * samples })
    }

    /// The program with these arguments, in the ground's environment.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Result<Program> {
        let mut command = Command::new(&self.sluice);
        command.args(arguments).envs(self.environment.iter().cloned()).env("SLUICE_CORPORA", self.folder.join("corpora"));
        command.env_remove("RUST_LOG").current_dir(&self.folder);
        Program::start(name, &mut command, &self.folder.join("logs"))
    }

    /// The same, to its good end.
    pub(crate) fn run(&self, name: &str, arguments: &[&str], patience: Duration) -> Result<Ended> {
        self.start(name, arguments)?.end(patience)?.well()
    }

    /// Submits a campaign.
    pub(crate) fn submit(&self, planned: &Planned) -> Result<Ended> {
        let file = planned.file.to_str().context("name the campaign file")?;
        self.run(&format!("submit-{}", planned.name), &["submit", file, "--json"], VERB)
    }

    /// Starts a worker of `stage` for one campaign; its id is `name`.
    pub(crate) fn worker(&self, name: &str, stage: &str, campaign: &Planned, concurrency: usize) -> Result<Program> {
        let concurrency = concurrency.to_string();
        self.start(name, &["worker", stage, "--concurrency", &concurrency, "--campaign", &campaign.name, "--id", name])
    }

    /// Waits until the worker with this id says that it serves the campaign.
    pub(crate) fn wait_for_worker(&self, id: &str, campaign: &Planned) -> Result<()> {
        self.wait(&format!("worker {id} at {}", campaign.name), Duration::from_secs(60), || {
            let status = self.run("status", &["status", &campaign.name, "--json"], VERB)?.json()?;
            let workers = status["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let serves = |worker: &&Value| worker["campaigns"].as_array().is_some_and(|campaigns| !campaigns.is_empty());
            Ok(workers.iter().filter(serves).any(|worker| worker["id"] == id))
        })
    }

    /// Asks until it is so.
    pub(crate) fn wait(&self, what: &str, patience: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !is_so()? {
            if began.elapsed() > patience {
                bail!("wait for {what}: it did not happen within {patience:?}; logs are in {}", self.folder.join("logs").display());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The archive as the S3 server keeps it: an object is a file.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join("services/s3/objects/sluice/archive")
    }

    /// A folder or file of the ground.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The process id of a server.
    pub(crate) fn server(&self, name: &str) -> Result<u32> {
        let written = fs::read_to_string(self.folder.join(format!("services/{name}.pid")))?;
        written.split(' ').next().and_then(|pid| pid.parse().ok()).with_context(|| format!("read the process id of {name}"))
    }

    /// Requests that the S3 server has had.
    pub(crate) fn s3_requests(&self) -> Result<u64> {
        let control = self.variable("SLUICE_S3_CONTROL_URL")?.trim_start_matches("http://").to_owned();
        let answer = exchange(&control, &format!("GET /counts HTTP/1.1\r\nhost: {control}\r\nconnection: close\r\n\r\n"))?;
        let (_, body) = answer.split_once("\r\n\r\n").context("read the counts of S3: they have no body")?;
        serde_json::from_str::<Value>(body)?["requests"].as_u64().context("read the counts of S3: there is no `requests`")
    }

    /// Commands that Redis has had.
    pub(crate) fn redis_commands(&self) -> Result<u64> {
        let url = self.variable("SLUICE_REDIS_URL")?;
        let (password, address) = url.trim_start_matches("redis://:").split_once('@').context("read the address of Redis")?;
        let answer = exchange(address, &format!("AUTH {password}\r\nINFO stats\r\nQUIT\r\n"))?;
        let line = answer.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|count| count.trim().parse().ok()).with_context(|| format!("read what Redis says of itself: {answer}"))
    }

    /// What the environment of the programs says.
    pub(crate) fn variable(&self, name: &str) -> Result<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).with_context(|| format!("find {name} in what scripts/services exports"))
    }

    /// Kills broker and ledger, forgets all they had, and starts them again where they were.
    pub(crate) fn wreck(&self) -> Result<()> {
        for server in ["rabbitmq", "redis"] {
            let pid = self.server(server)?;
            let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("read a process id")?;
            rustix::process::kill_process(raw, rustix::process::Signal::KILL)?;
            self.wait(&format!("the end of {server}"), Duration::from_secs(30), || {
                Ok(crate::gauge::stat(pid).is_none_or(|stat| stat.is_dead))
            })?;
        }
        fs::remove_dir_all(self.folder.join("services/rabbitmq/mnesia"))?;
        self.services(&["up", "redis", "rabbitmq"]).map(|_| ())
    }

    fn services(&self, arguments: &[&str]) -> Result<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut command = Command::new(script);
        let ran = command.args(arguments).env("SLUICE_SERVICES", self.folder.join("services")).output()?;
        if !ran.status.success() {
            bail!("run scripts/services {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        }
        Ok(String::from_utf8(ran.stdout)?)
    }
}

/// Says `text` to a server that then closes the connection, and gives what it answers.
fn exchange(address: &str, text: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_kept {
            // Objects stay readable where they are; the servers' own way to end would remove them.
            let objects = self.folder.join("services/s3/objects");
            if let Err(error) = fs::rename(objects, self.folder.join("objects")) {
                eprintln!("load: the objects were not kept: {error}");
            }
        }
        if let Err(error) = self.services(&["down"]) {
            eprintln!("load: the servers in {} may still run: {error:#}", self.folder.display());
        }
        if self.is_kept {
            eprintln!("load: kept {}", self.folder.display());
        } else if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("load: {} was not removed: {error}", self.folder.display());
        }
    }
}

impl Sources {
    /// The documents and questions of `data`; without it, the repository's example.
    fn find(data: Option<&Path>) -> Result<Self> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
        let folder = data.unwrap_or(&example);
        let folder = folder.canonicalize().with_context(|| format!("find the folder {}", folder.display()))?;
        let first = |names: &[&str]| {
            let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            found.with_context(|| format!("find any of {names:?} in {}", folder.display()))
        };
        let documents = first(&["corpus_paragraphs.jsonl.zst", "corpus.jsonl.zst", "documents.jsonl"])?;
        let questions = first(&["queries.visible.jsonl.zst", "queries.jsonl.zst", "seeds.jsonl"])?;
        let file = fs::File::open(&questions)?;
        let reader: Box<dyn BufRead> = match questions.extension().is_some_and(|extension| extension == "zst") {
            true => Box::new(BufReader::new(zstd::Decoder::new(file)?)),
            false => Box::new(BufReader::new(file)),
        };
        let (mut seeds, mut has_passages) = (0, false);
        for line in reader.lines() {
            let line = line?;
            seeds += u64::from(!line.trim().is_empty());
            has_passages |= line.contains("\"gold_passages\"");
        }
        let has_passages = has_passages && documents.ends_with("corpus_paragraphs.jsonl.zst");
        Ok(Self { documents, questions, seeds, has_passages })
    }
}
