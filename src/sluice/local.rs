//! The whole factory in one process: the same ports, loop and handlers that a cluster uses, with the adapters that need no service.
//!
//! The order in which things are opened is the order in which they can be refused: configuration, credentials, the archive, the campaign's
//! lock, the corpus, the plan. From then on everything is resumable: kill it anywhere, and the same command continues.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coordinator::{Freeze, PlanError, publish_outstanding};
use corpus::Corpus;
use dataset::SealOptions;
use filter::{FilterHandler, Grade};
use model::settings::{CorpusSettings, JudgeKind, RecipeSettings};
use model::{Campaign, ControlState, Manifest, Settings, Uid};
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::queue::memory::MemoryQueue;
use runtime::worker::Counters;
use runtime::{Archive, Handler, Ledger, Queue, QueueError, QueueName, Shutdown, Slots, Worker, WorkerReport, WorkerSettings};
use synthesis::SynthesisHandler;
use teacher::Teacher;
use tokio::task::JoinSet;

use crate::cluster::corpora::{CORPORA_VARIABLE, Corpora};
use crate::exit::VerbError;
use crate::place::archive_place;
use crate::progress::{RunBar, RunNumbers};
use crate::verbs::corpus as corpus_verbs;

/// Time for completions in flight after the first Ctrl-C; with the loop's last words it stays within two seconds.
const DRAIN: Duration = Duration::from_millis(1200);
/// Messages that wait in the queue: the planner stays this far ahead, whatever the size of the campaign.
const QUEUE_BOUND: usize = 1024;
/// Candidates graded at once when the judge is no model.
const FILTERS: usize = 8;
/// How often progress is shown, and the end looked for.
const TICK: Duration = Duration::from_millis(50);

/// What to do at the end.
pub(crate) struct Options {
    pub(crate) seal: bool,
    pub(crate) best_of_seed: bool,
}

/// How a run ended.
pub(crate) enum LocalEnd {
    /// Every job is terminal, and the data set is sealed.
    Sealed { manifest: Box<Manifest>, archive: String },
    /// Every job is terminal.
    Finished,
    /// Asked to stop.
    Interrupted { outstanding: u64 },
}

/// Everything that is open while a campaign runs.
struct Factory {
    campaign: Arc<Campaign>,
    grade: Arc<Grade>,
    archive: Arc<dyn Archive>,
    ledger: Arc<EmbeddedLedger>,
    queue: Arc<MemoryQueue>,
    shutdown: Shutdown,
}

/// Runs the campaign to its end, or until asked to stop.
pub(crate) async fn run(mut settings: Settings, options: Options) -> Result<LocalEnd, VerbError> {
    let teacher = teacher::connect(&settings.teacher).map_err(VerbError::usage)?;
    let judge = connect_judge(&settings)?;
    let place = archive_place(settings.campaign.archive.as_deref())?;
    let archive = runtime::archive::connect(&place).await?;
    let ledger = Arc::new(EmbeddedLedger::open(ledger_folder(&place, &settings.campaign.name)).await?);
    let corpus = open_or_build(&settings.corpus, &archive).await?;
    crate::place::keep_rubric(&mut settings, archive.as_ref()).await?;
    let campaign = Arc::new(plan(archive.as_ref(), &settings, &corpus).await?);
    let crate::place::Loaded { control, grade, .. } = crate::place::Loaded::of(&archive, &settings.campaign.name).await?;
    if control.state != ControlState::Running {
        let message = format!("run campaign {}: its control.json says that it is {:?}", settings.campaign.name, control.state);
        return Err(VerbError::Usage(message));
    }
    coordinator::keep_prompts(archive.as_ref(), &settings.campaign.name, &grade.prompts()).await?;
    let shutdown = Shutdown::on_signals(DRAIN)?;
    let factory = Factory { campaign, grade, archive, ledger, queue: Arc::new(MemoryQueue::new(QUEUE_BOUND)), shutdown };
    let is_finished = factory.work(corpus, teacher, judge).await?;
    factory.archive.sync().await?;
    let end = if is_finished { factory.finish(options).await } else { factory.interrupted().await };
    factory.ledger.close().await;
    end
}

fn connect_judge(settings: &Settings) -> Result<Option<Arc<dyn Teacher>>, VerbError> {
    match &settings.judge.kind {
        JudgeKind::Http { http, model, .. } => teacher::connect::connect_http(http, model).map(Some).map_err(VerbError::usage),
        JudgeKind::Lexical | JudgeKind::Off => Ok(None),
    }
}

/// Beside the campaign; its name begins with a dot, which no archive key does.
fn ledger_folder(place: &str, name: &str) -> PathBuf {
    Path::new(place).join("campaigns").join(name).join(".ledger")
}

/// The corpus that the settings name: from the archive by its id, or the snapshot at its path, built if there is none.
pub(crate) async fn open_or_build(settings: &CorpusSettings, archive: &Arc<dyn Archive>) -> Result<Corpus, VerbError> {
    if let Some(id) = &settings.id {
        return Corpora::new(std::env::var_os(CORPORA_VARIABLE).map(PathBuf::from)).get(archive, id).await;
    }
    let path = PathBuf::from(&settings.path);
    if !path.exists() {
        if settings.sources.is_empty() {
            let message = format!("open the corpus {}: there is none, and no corpus.sources to build it from", path.display());
            return Err(VerbError::Usage(message));
        }
        eprintln!("building the corpus {}", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let sources = settings.sources.iter().map(PathBuf::from).collect();
        let report = corpus_verbs::build(sources, path.clone(), false, None).await?;
        let counts = &report.manifest.counts;
        eprintln!("{} documents ({} lines unusable, {} duplicates)", counts.kept, counts.rejected, counts.same_url + counts.same_text);
    }
    corpus_verbs::open(path).await
}

pub(crate) async fn plan(archive: &dyn Archive, settings: &Settings, corpus: &Corpus) -> Result<Campaign, VerbError> {
    let RecipeSettings::Browse(browse) = &settings.recipe;
    let prompts = synthesis::prompts::browse_prompts(browse, settings.teacher.dialect);
    let uid = Uid(runtime::random_id()?);
    let freeze = Freeze { settings, corpus_id: corpus.id(), prompts: &prompts, uid };
    coordinator::freeze(archive, freeze).await.map_err(|error| match error {
        PlanError::Dataset(error) => error.into(),
        error @ (PlanError::NoSeeds { .. } | PlanError::Changed { .. }) => VerbError::usage(error),
    })
}

impl Factory {
    /// Plans and works; whether all jobs are terminal.
    async fn work(&self, corpus: Corpus, teacher: Arc<dyn Teacher>, judge: Option<Arc<dyn Teacher>>) -> Result<bool, VerbError> {
        let concurrency = usize::try_from(self.campaign.settings.teacher.concurrency).unwrap_or(1);
        let filters = if judge.is_some() { concurrency } else { FILTERS };
        let synthesis = Arc::new(SynthesisHandler::new(
            Arc::clone(&self.campaign),
            self.grade.digest().clone(),
            corpus,
            teacher,
            self.ledger(),
            Arc::clone(&self.archive),
            self.queue(),
        ));
        let filter = Arc::new(FilterHandler::new(
            Arc::clone(&self.campaign),
            Arc::clone(&self.grade),
            judge,
            self.ledger(),
            Arc::clone(&self.archive),
            self.queue(),
        ));
        let name = &self.campaign.name;
        let mut workers = JoinSet::new();
        let synthesised = self.start(&mut workers, &synthesis, QueueName::Jobs(name.clone()), concurrency);
        self.start(&mut workers, &synthesis, QueueName::Quarantine(name.clone()), 1);
        let filtered = self.start(&mut workers, &filter, QueueName::Candidates(name.clone()), filters);
        self.start(&mut workers, &filter, QueueName::QuarantineCandidates(name.clone()), 1);
        let synced = tokio::spawn(runtime::archive::keep_synced(Arc::clone(&self.archive), {
            let shutdown = self.shutdown.clone();
            async move { shutdown.requested().await }
        }));

        let result = self.until_idle(&mut workers, &synthesised, &filtered, &filter).await;
        // A second request would end the drain that a signal began.
        if !self.shutdown.is_requested() {
            self.shutdown.request();
        }
        while let Some(ended) = workers.join_next().await {
            ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)?;
        }
        synced.await.map_err(anyhow::Error::from)?;
        let wasted = synthesised.report().abandoned;
        if wasted > 0 {
            eprintln!("{wasted} completions in flight were cut off; they will be asked for again");
        }
        result
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::clone(&self.ledger) as Arc<dyn Ledger>
    }

    fn queue(&self) -> Arc<dyn Queue> {
        Arc::clone(&self.queue) as Arc<dyn Queue>
    }

    fn start<H: Handler>(
        &self,
        workers: &mut JoinSet<Result<WorkerReport, QueueError>>,
        handler: &Arc<H>,
        from: QueueName,
        concurrency: usize,
    ) -> Arc<Counters> {
        let settings = WorkerSettings { from, slots: Slots::fixed(concurrency), worker: format!("local-{}", std::process::id()) };
        let worker = Worker::new(Arc::clone(handler), self.queue(), self.ledger(), settings, self.shutdown.clone());
        let counters = worker.counters();
        workers.spawn(worker.run());
        counters
    }

    /// Publishes what is outstanding and waits until nothing is left; `false` when asked to stop before.
    async fn until_idle(
        &self,
        workers: &mut JoinSet<Result<WorkerReport, QueueError>>,
        synthesised: &Counters,
        filtered: &Counters,
        filter: &FilterHandler,
    ) -> Result<bool, VerbError> {
        let before = coordinator::progress(self.archive.as_ref(), &self.campaign, self.grade.digest()).await?;
        let terminal_before = before.planned - before.outstanding;
        let bar = RunBar::new(before.planned, terminal_before);
        let (queue, ledger) = (self.queue(), self.ledger());
        let publish = publish_outstanding(self.archive.as_ref(), queue.as_ref(), ledger.as_ref(), &self.campaign, self.grade.digest());
        tokio::pin!(publish);
        let mut is_published = false;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let is_finished = loop {
            tokio::select! {
                () = self.shutdown.requested() => break false,
                Some(ended) = workers.join_next() => {
                    let report = ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)?;
                    return Err(VerbError::Bug(anyhow::anyhow!("run the campaign: a worker ended before its work did: {report:?}")));
                }
                published = &mut publish, if !is_published => {
                    published.map_err(VerbError::unreachable)?;
                    is_published = true;
                }
                _ = tick.tick() => {
                    let (jobs, candidates) = (synthesised.report(), filtered.report());
                    let failed = jobs.failed + candidates.failed;
                    bar.show(RunNumbers {
                        done: terminal_before + filter.graded() + failed,
                        synthesised: jobs.done,
                        running: jobs.running + candidates.running,
                        retried: jobs.retried + candidates.retried,
                        failed,
                    });
                    if is_published && self.is_idle().await? {
                        break true;
                    }
                }
            }
        };
        bar.finish();
        Ok(is_finished)
    }

    /// Whether every queue is empty. A message is acknowledged after what follows it was published, so queues are asked downstream, twice: a
    /// message cannot slip past both rounds.
    async fn is_idle(&self) -> Result<bool, VerbError> {
        let name = &self.campaign.name;
        for _ in 0..2 {
            for queue in [
                QueueName::Jobs(name.clone()),
                QueueName::Quarantine(name.clone()),
                QueueName::Candidates(name.clone()),
                QueueName::QuarantineCandidates(name.clone()),
            ] {
                let depth = self.queue.depth(&queue).await.map_err(VerbError::unreachable)?;
                if depth.ready + depth.unacked + depth.delayed > 0 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn finish(&self, options: Options) -> Result<LocalEnd, VerbError> {
        let dead = self.queue.dead_letters(&self.campaign.name);
        for letter in dead.iter().take(10) {
            tracing::error!(campaign = %self.campaign.name, reason = %letter.reason, "a message could not be used");
        }
        if !options.seal {
            return Ok(LocalEnd::Finished);
        }
        let options = SealOptions { partial: false, best_of_seed: options.best_of_seed };
        let manifest = dataset::seal(&self.archive, &self.campaign, self.grade.digest(), &options).await?;
        Ok(LocalEnd::Sealed { manifest: Box::new(manifest), archive: self.archive.place() })
    }

    async fn interrupted(&self) -> Result<LocalEnd, VerbError> {
        let progress = coordinator::progress(self.archive.as_ref(), &self.campaign, self.grade.digest()).await?;
        Ok(LocalEnd::Interrupted { outstanding: progress.outstanding })
    }
}
