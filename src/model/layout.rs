//! Where things are in the archive: the public layout, in one place. Keys are relative to the archive's root and use `/`.

use crate::{Digest, JobId};

/// Identifies the archive.
pub const ARCHIVE: &str = "archive.json";

/// Folder of all pushed builds of a corpus: one folder each, named by the build's digest.
pub fn corpus(corpus_id: &Digest) -> String {
    format!("corpora/{corpus_id}/")
}

/// Folder of one pushed build of a corpus, with the files of the snapshot as they are named there.
pub fn corpus_build(corpus_id: &Digest, build: &Digest) -> String {
    format!("{}{build}/", corpus(corpus_id))
}

/// Keys of one campaign.
#[derive(Debug, Clone)]
pub struct CampaignKeys {
    root: String,
}

impl CampaignKeys {
    /// Keys of the campaign `name`.
    pub fn new(name: &str) -> Self {
        Self { root: format!("campaigns/{name}") }
    }

    /// The campaign's folder.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The frozen plan.
    pub fn campaign(&self) -> String {
        format!("{}/campaign.json", self.root)
    }

    /// State and operational revisions.
    pub fn control(&self) -> String {
        format!("{}/control.json", self.root)
    }

    /// Part `n` of the frozen seeds.
    pub fn seeds(&self, part: u64) -> String {
        format!("{}/seeds/part-{part:05}.jsonl.zst", self.root)
    }

    /// Which seeds have sample `sample`.
    pub fn sample(&self, sample: u32) -> String {
        format!("{}/plan/sample-{sample}.json", self.root)
    }

    /// Which jobs of shard `shard` are spared, once that is decided.
    pub fn spared(&self, shard: u64) -> String {
        format!("{}/plan/spared-{shard}.json", self.root)
    }

    /// A prompt's text.
    pub fn prompt(&self, digest: &Digest) -> String {
        format!("{}/prompts/{digest}.txt", self.root)
    }

    /// Folder of the copies of journals, a folder a shard in it.
    pub fn journals(&self) -> String {
        format!("{}/journals/", self.root)
    }

    /// Folder of a shard's copies of journals, a folder a job in it.
    pub fn shard_journals(&self, shard: u64) -> String {
        format!("{}{shard}/", self.journals())
    }

    /// Folder of the segments of a job's journal.
    pub fn journal_folder(&self, shard: u64, job: &JobId) -> String {
        format!("{}{job}/", self.shard_journals(shard))
    }

    /// Folder of a shard's trajectories.
    pub fn trajectories(&self, shard: u64) -> String {
        format!("{}/trajectories/{shard}/", self.root)
    }

    /// A job's trajectory.
    pub fn trajectory(&self, shard: u64, job: &JobId) -> String {
        format!("{}{job}.mp.zst", self.trajectories(shard))
    }

    /// Folder of a shard's failed jobs.
    pub fn ended_folder(&self, shard: u64) -> String {
        format!("{}/ended/{shard}/", self.root)
    }

    /// A job that failed for good.
    pub fn ended(&self, shard: u64, job: &JobId) -> String {
        format!("{}{job}.json", self.ended_folder(shard))
    }

    /// The newest sealed manifest.
    pub fn dataset(&self) -> String {
        format!("{}/dataset.json", self.root)
    }

    /// Seal number `n`.
    pub fn dataset_number(&self, n: u32) -> String {
        format!("{}/datasets/{n}.json", self.root)
    }

    /// Folder of all seals.
    pub fn datasets(&self) -> String {
        format!("{}/datasets/", self.root)
    }

    /// A grade's folder.
    pub fn grade(&self, grade: &Digest) -> String {
        format!("{}/grades/{}/", self.root, grade.short())
    }

    /// Folder of a shard's verdicts.
    pub fn verdicts(&self, grade: &Digest, shard: u64) -> String {
        format!("{}verdicts/{shard}/", self.grade(grade))
    }

    /// A job's verdict and trajectory.
    pub fn verdict(&self, grade: &Digest, shard: u64, job: &JobId) -> String {
        format!("{}{job}.mp.zst", self.verdicts(grade, shard))
    }

    /// Folder of a shard's jobs that failed for good in grading: under this grade only, since another may fare better with the trajectory.
    pub fn grade_ended_folder(&self, grade: &Digest, shard: u64) -> String {
        format!("{}ended/{shard}/", self.grade(grade))
    }

    /// A job that failed for good in grading.
    pub fn grade_ended(&self, grade: &Digest, shard: u64, job: &JobId) -> String {
        format!("{}{job}.json", self.grade_ended_folder(grade, shard))
    }

    /// Folder of the copies of the journals of a grade's judge, a folder a shard in it.
    pub fn judge_journals(&self, grade: &Digest) -> String {
        format!("{}journals/", self.grade(grade))
    }

    /// Folder of a shard's copies of the journals of a grade's judge, a folder a job in it.
    pub fn shard_judge_journals(&self, grade: &Digest, shard: u64) -> String {
        format!("{}{shard}/", self.judge_journals(grade))
    }

    /// Folder of the segments of the journal of a job's judge.
    pub fn judge_journal_folder(&self, grade: &Digest, shard: u64, job: &JobId) -> String {
        format!("{}{job}/", self.shard_judge_journals(grade, shard))
    }

    /// Folder of a grade's shard indexes.
    pub fn indexes(&self, grade: &Digest) -> String {
        format!("{}shards/", self.grade(grade))
    }

    /// A shard's index: the one that stands.
    pub fn index(&self, grade: &Digest, shard: u64) -> String {
        format!("{}part-{shard:05}.json", self.indexes(grade))
    }

    /// The copy of a shard's index under its digest: what manifests name, whichever index stands later.
    pub fn kept_index(&self, grade: &Digest, shard: u64, digest: &Digest) -> String {
        format!("{}indexes/part-{shard:05}-{}.json", self.indexes(grade), digest.short())
    }

    /// Name of a row file below the grade's folder.
    pub fn row_file(accepted: bool, shard: u64, digest: &Digest) -> String {
        let verdict = if accepted { "accepted" } else { "rejected" };
        format!("shards/{verdict}/part-{shard:05}-{}.jsonl.zst", digest.short())
    }
}

/// The segment of a journal in `folder` (which ends in `/`) that a holder of `epoch` began when `from` entries had been copied before.
pub fn journal_segment(folder: &str, epoch: u64, from: u64) -> String {
    format!("{folder}{epoch}-{from}.mp.zst")
}

/// Epoch and first entry of the journal segment that has this key, if it is one.
pub fn segment_of_key(key: &str) -> Option<(u64, u64)> {
    let (epoch, from) = key.rsplit('/').next()?.strip_suffix(".mp.zst")?.split_once('-')?;
    Some((epoch.parse().ok()?, from.parse().ok()?))
}

/// The job whose object has this key, by the file's name.
pub fn job_of_key(key: &str) -> Option<JobId> {
    let name = key.rsplit('/').next()?;
    JobId::parse(name.split('.').next()?)
}
