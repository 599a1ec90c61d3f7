//! The whole factory in one process: the same ports, loop and handlers that a cluster uses, with the adapters that need no service.
//!
//! The order in which things are opened is the order in which they can be refused: configuration, credentials, the archive, the campaign's
//! lock, the corpus, the plan. From then on everything is resumable: kill it anywhere, and the same command continues.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coordinator::{Freeze, PlanError, PublishError, Published, Publisher};
use corpus::Corpus;
use dataset::SealOptions;
use filter::{FilterHandler, Grade};
use futures::future::BoxFuture;
use model::settings::CorpusSettings;
use model::{Campaign, ControlState, Manifest, Prompt, Settings, Uid, Usage};
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::queue::memory::MemoryQueue;
use runtime::worker::Counters;
use runtime::{Archive, Handler, Ledger, Queue, QueueError, QueueName, Shutdown, Slots, Worker, WorkerReport, WorkerSettings};
use synthesis::{SynthesisHandler, Voices};
use teacher::{Purse, Teacher};
use tokio::task::JoinSet;

use crate::cluster::corpora::{CORPORA_VARIABLE, Corpora};
use crate::exit::VerbError;
use crate::kept;
use crate::place::{archive_place, open_existing};
use crate::progress::{RunBar, RunNumbers};
use crate::verbs::corpus as corpus_verbs;
use crate::voices::{self, Files};

/// Time for completions in flight after the first Ctrl-C; with the loop's last words it stays within two seconds.
const DRAIN: Duration = Duration::from_millis(1200);
/// Time for completions in flight when the budget is spent: longer than any takes, because they are paid for. A signal cuts it short.
const SPENT_DRAIN: Duration = Duration::from_secs(86_400);
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
    /// Its budget is spent, or the time of this run; what was synthesised is graded.
    Spent { spent: Usage, is_late: bool, outstanding: u64 },
}

/// Everything that is open while a campaign runs.
struct Factory {
    campaign: Arc<Campaign>,
    grade: Arc<Grade>,
    archive: Arc<dyn Archive>,
    ledger: Arc<EmbeddedLedger>,
    queue: Arc<MemoryQueue>,
    shutdown: Shutdown,
    /// Stops synthesis alone, where nothing may be spent any more.
    synthesis: Shutdown,
    purse: Arc<Purse>,
}

/// How the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Every job is terminal.
    Finished,
    Interrupted,
    Spent,
}

/// Runs the campaign to its end, or until asked to stop.
pub(crate) async fn run(mut settings: Settings, options: Options) -> Result<LocalEnd, VerbError> {
    // Whatever of the teachers is wrong is said before anything is opened.
    voices::connect(&settings, Files::Here, None).await?;
    voices::connect_judge(&settings, None)?;
    let place = archive_place(settings.campaign.archive.as_deref())?;
    let archive = runtime::archive::connect(&place).await?;
    let ledger = Arc::new(EmbeddedLedger::open(ledger_folder(&place, &settings.campaign.name)).await?);
    let corpus = open_or_build(&settings.corpus, &archive).await?;
    let files = kept::keep(&mut settings, archive.as_ref()).await?;
    let campaign = Arc::new(plan(archive.as_ref(), &settings, &corpus, files).await?);
    let shared = Arc::clone(&ledger) as Arc<dyn Ledger>;
    let voices = voices::connect(&settings, Files::Kept(archive.as_ref()), Some(Arc::clone(&shared))).await?;
    let judge = voices::connect_judge(&settings, Some(shared))?;
    let crate::place::Loaded { control, grade, .. } = crate::place::Loaded::of(&archive, &settings.campaign.name).await?;
    if control.state != ControlState::Running {
        let message = format!("run campaign {}: its control.json says that it is {:?}", settings.campaign.name, control.state);
        return Err(VerbError::Usage(message));
    }
    coordinator::keep_prompts(archive.as_ref(), &settings.campaign.name, &grade.prompts()).await?;
    let shutdown = Shutdown::on_signals(DRAIN)?;
    // A ledger that was lost learns from the archive what was spent and what is done.
    let rebuilt = coordinator::rebuild(archive.as_ref(), ledger.as_ref(), &campaign, &campaign.settings, grade.digest()).await;
    rebuilt.map_err(VerbError::unreachable)?;
    let purse = Arc::new(Purse::new(campaign.settings.budget, Duration::ZERO));
    purse.note(ledger.standing().await?.usage);
    let queue = Arc::new(MemoryQueue::new(QUEUE_BOUND));
    let factory = Factory { campaign, grade, archive, ledger, queue, shutdown, synthesis: Shutdown::new(SPENT_DRAIN), purse };
    let stop = factory.work(corpus, voices, judge).await?;
    factory.archive.sync().await?;
    let end = match stop {
        Stop::Finished => factory.finish(options).await,
        Stop::Interrupted => Ok(LocalEnd::Interrupted { outstanding: factory.outstanding().await? }),
        Stop::Spent => match factory.outstanding().await? {
            // The last completions were just what the budget allowed.
            0 => factory.finish(options).await,
            outstanding => Ok(LocalEnd::Spent { spent: factory.purse.spent(), is_late: factory.purse.is_late(), outstanding }),
        },
    };
    factory.ledger.close().await;
    end
}

/// Beside the campaign; its name begins with a dot, which no archive key does.
pub(crate) fn ledger_folder(place: &str, name: &str) -> PathBuf {
    Path::new(place).join("campaigns").join(name).join(".ledger")
}

/// Names the corpus by its folder on this machine where the settings name it by its id in their archive: for who runs them in another one.
pub(crate) async fn bring_corpus(settings: &mut Settings) -> Result<(), VerbError> {
    let Some(id) = &settings.corpus.id else { return Ok(()) };
    let archive = open_existing(&archive_place(settings.campaign.archive.as_deref())?).await?;
    let folder = Corpora::new(std::env::var_os(CORPORA_VARIABLE).map(PathBuf::from)).folder(&archive, id).await?;
    settings.corpus = CorpusSettings { path: folder.to_string_lossy().into_owned(), sources: Vec::new(), id: None };
    Ok(())
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

/// `files` are those that settings name and that are part of the plan.
pub(crate) async fn plan(archive: &dyn Archive, settings: &Settings, corpus: &Corpus, files: Vec<Prompt>) -> Result<Campaign, VerbError> {
    let mut prompts = synthesis::prompts::prompts_of(settings);
    prompts.extend(files);
    let uid = Uid(runtime::random_id()?);
    let freeze = Freeze { settings, corpus_id: corpus.id(), prompts: &prompts, uid };
    coordinator::freeze(archive, freeze).await.map_err(|error| match error {
        PlanError::Dataset(error) => error.into(),
        error @ (PlanError::NoSeeds { .. } | PlanError::Changed { .. }) => VerbError::usage(error),
    })
}

impl Factory {
    /// Plans and works.
    async fn work(&self, corpus: Corpus, voices: Voices, judge: Option<Arc<dyn Teacher>>) -> Result<Stop, VerbError> {
        let concurrency = usize::try_from(self.campaign.settings.teacher.concurrency).unwrap_or(1);
        let filters = if judge.is_some() { concurrency } else { FILTERS };
        let synthesis = SynthesisHandler::new(
            Arc::clone(&self.campaign),
            self.grade.digest().clone(),
            corpus,
            voices,
            self.ledger(),
            Arc::clone(&self.archive),
            self.queue(),
        );
        let synthesis = Arc::new(synthesis.paid_from(Arc::clone(&self.purse)));
        let stopping = tokio::spawn({
            let (all, synthesis) = (self.shutdown.clone(), self.synthesis.clone());
            async move {
                all.requested().await;
                if !synthesis.is_requested() {
                    synthesis.request();
                }
                all.expired().await;
                synthesis.request();
            }
        });
        let is_judge_paid = judge.is_some();
        let (campaign, grade) = (Arc::clone(&self.campaign), Arc::clone(&self.grade));
        let filter = FilterHandler::new(campaign, grade, judge, self.ledger(), Arc::clone(&self.archive), self.queue());
        let filter = Arc::new(filter.paid_from(Arc::clone(&self.purse)));
        let name = &self.campaign.name;
        let mut workers = JoinSet::new();
        let synthesised = self.start(&mut workers, &synthesis, QueueName::Jobs(name.clone()), concurrency, &self.synthesis);
        self.start(&mut workers, &synthesis, QueueName::Quarantine(name.clone()), 1, &self.synthesis);
        let filtered = self.start(&mut workers, &filter, QueueName::Candidates(name.clone()), filters, &self.shutdown);
        self.start(&mut workers, &filter, QueueName::QuarantineCandidates(name.clone()), 1, &self.shutdown);
        let synced = tokio::spawn(runtime::archive::keep_synced(Arc::clone(&self.archive), {
            let shutdown = self.shutdown.clone();
            async move { shutdown.requested().await }
        }));

        let result = self.until_idle(&mut workers, &synthesised, &filtered, &filter, is_judge_paid).await;
        // A second request would end the drain that a signal began.
        if !self.shutdown.is_requested() {
            self.shutdown.request();
        }
        while let Some(ended) = workers.join_next().await {
            ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)?;
        }
        synced.await.map_err(anyhow::Error::from)?;
        stopping.abort();
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
        shutdown: &Shutdown,
    ) -> Arc<Counters> {
        let settings = WorkerSettings { from, slots: Slots::fixed(concurrency), worker: format!("local-{}", std::process::id()) };
        let worker = Worker::new(Arc::clone(handler), self.queue(), self.ledger(), settings, shutdown.clone());
        let counters = worker.counters();
        workers.spawn(worker.run());
        counters
    }

    /// Publishes what is outstanding and waits until nothing is left, or it has to stop.
    async fn until_idle(
        &self,
        workers: &mut JoinSet<Result<WorkerReport, QueueError>>,
        synthesised: &Counters,
        filtered: &Counters,
        filter: &FilterHandler,
        is_judge_paid: bool,
    ) -> Result<Stop, VerbError> {
        let before = coordinator::progress(self.archive.as_ref(), &self.campaign, self.grade.digest()).await?;
        let terminal_before = before.planned - before.outstanding;
        let bar = RunBar::new(before.planned, terminal_before);
        let (queue, ledger) = (self.queue(), self.ledger());
        let publisher = Publisher::new(self.archive.as_ref(), queue.as_ref(), ledger.as_ref(), &self.campaign, self.grade.digest());
        let mut publishing: BoxFuture<'_, Result<Published, PublishError>> = Box::pin(publisher.outstanding());
        let mut is_published = false;
        let mut published = Published::default();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_spent = false;
        let stop = loop {
            tokio::select! {
                () = self.shutdown.requested() => break Stop::Interrupted,
                Some(ended) = workers.join_next() => {
                    let report = ended.map_err(anyhow::Error::from)?.map_err(VerbError::unreachable)?;
                    if is_spent {
                        continue;
                    }
                    // It may have heard of the request to stop before this loop did.
                    if self.shutdown.is_requested() {
                        break Stop::Interrupted;
                    }
                    return Err(VerbError::Bug(anyhow::anyhow!("run the campaign: a worker ended before its work did: {report:?}")));
                }
                all = &mut publishing, if !is_published => {
                    published = all.map_err(VerbError::unreachable)?;
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
                    if !is_spent && self.purse.is_empty() {
                        is_spent = true;
                        self.synthesis.request();
                        if !is_published {
                            // Nobody takes new jobs any more; what an earlier run synthesised is graded all the same.
                            publishing = Box::pin(publisher.paid_for());
                        }
                    }
                    // What was synthesised is paid for, and graded before the end; where a model judges, only what it has begun.
                    if is_spent && is_published && jobs.running == 0 {
                        let has_ended = is_judge_paid && candidates.running == 0;
                        if has_ended || self.is_idle(&self.grading()).await? {
                            break Stop::Spent;
                        }
                    }
                    if is_published && !is_spent && self.is_idle(&self.all()).await? {
                        // The first samples are graded now: of the others those that are worth it.
                        let moved = published.jobs + published.candidates + published.seals;
                        if published.waiting_shards == 0 || moved == 0 {
                            break Stop::Finished;
                        }
                        publishing = Box::pin(publisher.outstanding());
                        is_published = false;
                    }
                }
            }
        };
        bar.finish();
        Ok(stop)
    }

    fn all(&self) -> Vec<QueueName> {
        let name = &self.campaign.name;
        let mut all = vec![QueueName::Jobs(name.clone()), QueueName::Quarantine(name.clone())];
        all.extend(self.grading());
        all
    }

    fn grading(&self) -> Vec<QueueName> {
        let name = &self.campaign.name;
        vec![QueueName::Candidates(name.clone()), QueueName::QuarantineCandidates(name.clone())]
    }

    /// Whether all of `queues` are empty. A message is acknowledged after what follows it was published, so queues are asked downstream, twice:
    /// a message cannot slip past both rounds.
    async fn is_idle(&self, queues: &[QueueName]) -> Result<bool, VerbError> {
        for _ in 0..2 {
            for queue in queues {
                let depth = self.queue.depth(queue).await.map_err(VerbError::unreachable)?;
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

    async fn outstanding(&self) -> Result<u64, VerbError> {
        Ok(coordinator::progress(self.archive.as_ref(), &self.campaign, self.grade.digest()).await?.outstanding)
    }
}
