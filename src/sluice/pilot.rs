//! A pilot: a few jobs of a campaign, run in this process in an archive of their own, and what is to be learnt from them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataset::frozen::FrozenSeeds;
use dataset::measures::{self, Measure, role_name};
use dataset::{SealOptions, frozen};
use model::layout::CampaignKeys;
use model::settings::CampaignSettings;
use model::{Campaign, Ended, Fact, Job, JobId, JobMessage, JournalEntry, Manifest, Settings, Step, Trajectory, Usage};
use runtime::ledger::embedded::EmbeddedLedger;
use runtime::{Archive, Ledger, Shutdown};
use serde::Serialize;

use crate::estimate::{JobBytes, PilotJob, less};
use crate::exit::VerbError;
use crate::local::{self, LocalEnd, Options, ledger_folder};
use crate::place::{Loaded, open_existing};

/// A run that did not stop by itself so long after it was asked to is given up: it waits for something that does not heed it.
const GIVEN_UP: Duration = Duration::from_secs(5);
/// Longest campaign name that leaves room for the pilot's.
const NAME_CHARS_MAX: usize = 34;
/// The role of what was no turn of any thread.
const EXTRACTOR: &str = "extractor";

/// How a pilot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PilotEnd {
    Finished,
    Interrupted,
    /// The campaign's budget was spent by its pilot.
    Spent,
    /// It took longer than the campaign's budget of time.
    Late,
}

/// A job of a pilot that failed for good.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailedJob {
    pub(crate) seed: String,
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// What came of a pilot.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Those that are done, failed ones included.
    pub(crate) jobs: Vec<PilotJob>,
    pub(crate) failed: Vec<FailedJob>,
    /// Those that are not.
    pub(crate) outstanding: u64,
    /// What all of them cost, by the ledger; unknown where the run had to be given up.
    pub(crate) spent: Option<Usage>,
    pub(crate) bytes: JobBytes,
}

/// The settings of a pilot of `settings`, over the seeds in `seeds`, in the archive in `folder`. What may be spent is the campaign's.
pub(crate) fn settings_of(settings: &Settings, folder: &Path, seeds: &Path) -> Settings {
    let mut pilot = settings.clone();
    let name: String = pilot.campaign.name.chars().take(NAME_CHARS_MAX).collect();
    pilot.campaign = CampaignSettings {
        name: format!("{name}-pilot"),
        seeds: seeds.to_string_lossy().into_owned(),
        samples_per_seed: 1,
        samples_first: None,
        archive: Some(folder.to_string_lossy().into_owned()),
        limit: None,
        fields: BTreeMap::new(),
        ..pilot.campaign
    };
    pilot
}

/// Runs the pilot until it is done or somebody asks to stop.
pub(crate) async fn run(settings: Settings) -> Result<PilotEnd, VerbError> {
    let shutdown = Shutdown::on_signals(GIVEN_UP)?;
    tokio::select! {
        end = local::run(settings, Options { seal: false, best_of_seed: false }) => Ok(match end? {
            LocalEnd::Sealed { .. } | LocalEnd::Finished => PilotEnd::Finished,
            LocalEnd::Interrupted { .. } => PilotEnd::Interrupted,
            LocalEnd::Spent { is_late: true, .. } => PilotEnd::Late,
            LocalEnd::Spent { is_late: false, .. } => PilotEnd::Spent,
        }),
        () = shutdown.expired() => Ok(PilotEnd::Interrupted),
    }
}

/// What the archive in `folder` has of the pilot `name`: nothing where it was stopped before it was planned.
pub(crate) async fn read(folder: &str, name: &str) -> Result<Seen, VerbError> {
    let archive = open_existing(folder).await?;
    if frozen::campaign(archive.as_ref(), name).await?.is_none() {
        return Ok(Seen::default());
    }
    let Loaded { campaign, grade, .. } = Loaded::of(&archive, name).await?;
    let partial = SealOptions { partial: true, best_of_seed: false };
    let manifest = dataset::seal(&archive, &campaign, grade.digest(), &partial).await?;
    let mut seen = Seen { outstanding: manifest.outstanding, spent: spent(folder, name).await, ..Seen::default() };
    measures::rows(archive.as_ref(), &campaign, &manifest, |row| seen.jobs.push(job_of(row))).await?;
    add_failed(&archive, &campaign, &manifest, &mut seen).await?;
    seen.bytes = bytes(&archive, &campaign, &manifest, seen.jobs.len()).await?;
    Ok(seen)
}

/// What the pilot's ledger knows to be spent. A run that was given up may still hold it; then nobody knows.
async fn spent(folder: &str, name: &str) -> Option<Usage> {
    let ledger = EmbeddedLedger::open(ledger_folder(folder, name)).await.ok()?;
    let standing = ledger.standing().await.ok();
    ledger.close().await;
    standing.map(|standing| standing.usage)
}

fn job_of(row: Measure) -> PilotJob {
    let Measure { accepted, usage, mut roles, judge, busy_ms, .. } = row;
    add_extracts(usage, &mut roles);
    PilotJob { teacher: usage, roles, judge, seconds: Some(busy_ms as f64 / 1000.0), accepted }
}

fn add_extracts(all: Usage, roles: &mut BTreeMap<&'static str, Usage>) {
    let rest = roles.values().fold(all, |left, role| less(left, *role));
    if rest.calls > 0 {
        roles.insert(EXTRACTOR, rest);
    }
}

/// Jobs that failed in synthesis have a journal of all they paid for; those that failed in grading also a trajectory.
async fn add_failed(archive: &Arc<dyn Archive>, campaign: &Campaign, manifest: &Manifest, seen: &mut Seen) -> Result<(), VerbError> {
    let keys = CampaignKeys::new(&campaign.name);
    let mut seeds = FrozenSeeds::new(archive.as_ref(), &campaign.name);
    for shard in &manifest.shards {
        let (in_synthesis, in_grading) = (keys.ended_folder(shard.shard), keys.grade_ended_folder(&manifest.grade, shard.shard));
        for (folder, is_graded) in [(in_synthesis, false), (in_grading, true)] {
            for object in archive.list(&folder).await? {
                let Some(bytes) = archive.get(&object.key).await? else { continue };
                let damaged = |error| VerbError::Unreachable(format!("read {}: {error}", object.key));
                let ended: Ended = serde_json::from_slice(&bytes).map_err(damaged)?;
                let paid = paid(&ended.journal);
                let key = keys.trajectory(shard.shard, &ended.job_id);
                let trajectory = if is_graded { archive.get(&key).await? } else { None };
                seen.jobs.push(match trajectory.map(|bytes| model::wire::decode_object::<Trajectory>("a trajectory", &bytes)) {
                    Some(trajectory) => PilotJob { judge: paid, ..of_trajectory(&trajectory.map_err(VerbError::unreachable)?) },
                    None => PilotJob { teacher: paid, ..PilotJob::default() },
                });
                let place = model::Place { shard: shard.shard, rank: ended.rank };
                let seed = seeds.get(campaign.plan.seed_at(place)).await?.id;
                seen.failed.push(FailedJob { seed, kind: ended.kind, message: ended.message });
            }
        }
    }
    Ok(())
}

fn paid(journal: &[JournalEntry]) -> Usage {
    let mut paid = Usage::default();
    for entry in journal {
        if let Fact::Completion(completion) = &entry.fact {
            paid += completion.usage;
        }
    }
    paid
}

fn of_trajectory(trajectory: &Trajectory) -> PilotJob {
    let mut roles: BTreeMap<&'static str, Usage> = BTreeMap::new();
    for thread in &trajectory.threads {
        let sum = roles.entry(role_name(thread.role)).or_default();
        thread.turns.iter().for_each(|turn| *sum += turn.usage);
    }
    add_extracts(trajectory.usage, &mut roles);
    let seconds = trajectory.provenance.busy_ms as f64 / 1000.0;
    PilotJob { teacher: trajectory.usage, roles, seconds: Some(seconds), ..PilotJob::default() }
}

/// Mean bytes of each of the `done` jobs, and of the messages of all.
async fn bytes(archive: &Arc<dyn Archive>, campaign: &Campaign, manifest: &Manifest, done: usize) -> Result<JobBytes, VerbError> {
    let keys = CampaignKeys::new(&campaign.name);
    let (mut rows, mut objects) = (0, 0);
    for shard in &manifest.shards {
        rows += shard.accepted.iter().chain(&shard.rejected).map(|file| file.bytes).sum::<u64>();
        for folder in [keys.trajectories(shard.shard), keys.verdicts(&manifest.grade, shard.shard)] {
            objects += archive.list(&folder).await?.iter().map(|object| object.bytes).sum::<u64>();
        }
    }
    let mut seeds = FrozenSeeds::new(archive.as_ref(), &campaign.name);
    let mut messages = 0;
    for number in 0..campaign.plan.seeds {
        let seed = seeds.get(number).await?;
        let job = Job { id: JobId::of(&campaign.uid, &seed.id, 0), place: campaign.plan.place(number, 0), sample: 0 };
        let message = JobMessage::new(campaign.uid.clone(), job, Step::default(), seed);
        let bytes = message.and_then(|message| model::wire::encode_message("a job message", &message)).map_err(VerbError::unreachable)?;
        messages += bytes.len() as u64;
    }
    let each = |bytes: u64, count: u64| bytes as f64 / count.max(1) as f64;
    Ok(JobBytes { row: each(rows, done as u64), objects: each(objects, done as u64), message: each(messages, campaign.plan.seeds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pilot_has_the_campaign_s_means_and_a_place_and_name_of_its_own() {
        let text = "[campaign]\nname = \"a-name-of-forty-characters-which-is-most\"\nseeds = \"s.csv\"\nsamples_per_seed = 8\nsamples_first = 2\n\
                    limit = 9\narchive = \"out\"\n[campaign.fields]\nid = \"nr\"\n[corpus]\npath = \"c\"\n[teacher]\nkind = \"heuristic\"\n\
                    [budget]\ncalls = 7\n";
        let file = model::written::CampaignFile::parse(text).expect("well-formed");
        let settings = file.resolve(Path::new("/base")).expect("valid");
        let pilot = settings_of(&settings, Path::new("/tmp/p"), Path::new("/tmp/p/s.jsonl"));
        assert_eq!(pilot.campaign.name, "a-name-of-forty-characters-which-i-pilot");
        assert_eq!((pilot.campaign.archive.as_deref(), pilot.campaign.seeds.as_str()), (Some("/tmp/p"), "/tmp/p/s.jsonl"));
        assert_eq!((pilot.campaign.samples_per_seed, pilot.campaign.samples_first, pilot.campaign.limit), (1, None, None));
        assert!(pilot.campaign.fields.is_empty());
        let others =
            |settings: Settings| (settings.corpus, settings.recipe, settings.teacher, settings.filter, settings.judge, settings.budget);
        assert_eq!(others(pilot), others(settings));
    }

    #[test]
    fn what_is_no_turn_of_a_thread_is_the_extractor_s() {
        let spent = |calls| Usage { calls, ..Usage::default() };
        let mut roles = [("researcher", spent(5)), ("planner", spent(1))].into();
        add_extracts(spent(9), &mut roles);
        assert_eq!(roles[EXTRACTOR], spent(3));
        let mut roles = [("researcher", spent(5))].into();
        add_extracts(spent(5), &mut roles);
        assert!(!roles.contains_key(EXTRACTOR));
    }
}
