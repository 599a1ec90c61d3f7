//! The promises, proved from the archive alone: every planned job accounted for once, in one index and at most one row.
//!
//! It reads files and shares nothing with those who wrote them: ids, ranks, shards and digests are computed again here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::archive::{self, Counts, Index, RankStatus, RowFile};
use super::plan::Plan;

/// Broken promises that are told, at most.
const TOLD_MAX: usize = 40;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) planned: u64,
    pub(crate) counts: Counts,
    pub(crate) cancelled: u64,
    pub(crate) rows: u64,
    /// Jobs that have both a verdict and an end; the verdict wins.
    pub(crate) both: u64,
    /// What is wrong and where; empty when all promises hold.
    pub(crate) broken: Vec<String>,
    /// What is wrong beyond those told.
    pub(crate) untold: u64,
}

impl Report {
    pub(crate) fn break_promise(&mut self, what: String) {
        if self.broken.len() < TOLD_MAX {
            self.broken.push(what);
        } else {
            self.untold += 1;
        }
    }
}

/// What is read of a manifest.
#[derive(Deserialize)]
struct Manifest {
    uid: String,
    grade: String,
    corpus_id: String,
    planned: u64,
    counts: Counts,
    cancelled: u64,
    outstanding: u64,
    shards: Vec<ManifestShard>,
}

#[derive(Deserialize)]
struct ManifestShard {
    shard: u64,
    index: String,
    accepted: Option<RowFile>,
    rejected: Option<RowFile>,
    counts: Counts,
}

struct Checker<'a> {
    campaign: &'a Path,
    grade: PathBuf,
    plan: Plan,
    manifest: Manifest,
    report: &'a mut Report,
    /// Job → how often it stands in an index.
    indexed: BTreeMap<String, u32>,
    /// Job → how often it stands in a row.
    rows: BTreeMap<String, u32>,
}

/// Checks the sealed campaign in the folder `campaign`, which is to have no failed job.
pub(crate) fn check(campaign: &Path) -> Report {
    let mut report = Report::default();
    if let Err(why) = check_all(campaign, &mut report) {
        report.break_promise(why);
    }
    report
}

fn check_all(campaign: &Path, report: &mut Report) -> Result<(), String> {
    let plan = Plan::read(campaign)?;
    let manifest: Manifest =
        serde_json::from_slice(&archive::read(&campaign.join("dataset.json"))?).map_err(|error| format!("read dataset.json: {error}"))?;
    let grade = campaign.join("grades").join(archive::short(&manifest.grade));
    let mut checker = Checker { campaign, grade, plan, manifest, report, indexed: BTreeMap::new(), rows: BTreeMap::new() };
    checker.manifest_agrees_with_plan();
    for place in 0..checker.manifest.shards.len() {
        if let Err(why) = checker.shard(place) {
            checker.report.break_promise(why);
        }
    }
    checker.every_job_once();
    checker.no_other_index()
}

impl Checker<'_> {
    fn manifest_agrees_with_plan(&mut self) {
        let planned = self.plan.jobs.len() as u64;
        let Manifest { counts, cancelled, outstanding, .. } = self.manifest;
        (self.report.planned, self.report.counts, self.report.cancelled) = (planned, counts, cancelled);
        let claims = [
            (self.manifest.uid == self.plan.uid, "the manifest has another uid than campaign.json".to_owned()),
            (self.manifest.corpus_id == self.plan.corpus_id, "the manifest has another corpus than campaign.json".to_owned()),
            (self.manifest.planned == planned, format!("the manifest plans {} jobs, the campaign {planned}", self.manifest.planned)),
            (
                counts.total() + cancelled == planned && outstanding == 0,
                format!(
                    "planned {planned} is not accepted + rejected + failed + cancelled: {counts:?}, cancelled {cancelled}, outstanding {outstanding}"
                ),
            ),
            (counts.failed == 0, format!("{} jobs failed, and an outage that ends fails none: {}", counts.failed, self.failures())),
            (
                self.manifest.shards.len() as u64 == self.plan.shards,
                format!("the manifest has {} shards, the plan {}", self.manifest.shards.len(), self.plan.shards),
            ),
        ];
        for (_, what) in claims.into_iter().filter(|(holds, _)| !holds) {
            self.report.break_promise(what);
        }
    }

    /// Kinds and messages of some ended jobs.
    fn failures(&self) -> String {
        let mut told = Vec::new();
        for root in [self.campaign.join("ended"), self.grade.join("ended")] {
            for shard in archive::folders(&root).unwrap_or_default() {
                for name in archive::files(&root.join(&shard)).unwrap_or_default() {
                    let read =
                        archive::read(&root.join(&shard).join(&name)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
                    let ended = read.unwrap_or_default();
                    told.push(format!("{} {}: {}", ended["job_id"], ended["kind"], ended["message"]));
                }
            }
        }
        told.truncate(5);
        told.join("; ")
    }

    fn shard(&mut self, place: usize) -> Result<(), String> {
        let ManifestShard { shard, index: digest, .. } = &self.manifest.shards[place];
        let (shard, digest) = (*shard, digest.clone());
        let bytes = archive::read(&self.grade.join(format!("shards/part-{shard:05}.json")))?;
        if archive::digest(&bytes) != digest {
            self.report.break_promise(format!("shard {shard}: the index that stands is not the one that the manifest names"));
        }
        let kept = archive::read(&self.grade.join(format!("shards/indexes/part-{shard:05}-{}.json", archive::short(&digest))))?;
        if kept != bytes {
            self.report.break_promise(format!("shard {shard}: the kept copy of the index is another"));
        }
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| format!("shard {shard}: read its index: {error}"))?;
        let of_manifest = &self.manifest.shards[place];
        let is_same =
            (&index.accepted, &index.rejected, index.counts) == (&of_manifest.accepted, &of_manifest.rejected, of_manifest.counts);
        if !is_same || (&index.uid, &index.grade, index.shard) != (&self.plan.uid, &self.manifest.grade, shard) {
            self.report.break_promise(format!("shard {shard}: its index and the manifest disagree"));
        }
        self.ranks(&index);
        self.terminal_objects(&index)?;
        for (file, status) in [(&index.accepted, "accepted"), (&index.rejected, "rejected")] {
            if let Some(file) = file {
                self.row_file(&index, file, status)?;
            }
        }
        for rank in index.ranks.iter().filter(|rank| rank.status != "failed" && !self.rows.contains_key(&rank.job)) {
            self.report.break_promise(format!("job {} is {} in the index of shard {shard}, and no row has it", rank.job, rank.status));
        }
        Ok(())
    }

    fn ranks(&mut self, index: &Index) {
        let mut counts = Counts::default();
        let mut ranks = BTreeSet::new();
        for RankStatus { rank, job, status, .. } in &index.ranks {
            counts.add(status);
            *self.indexed.entry(job.clone()).or_default() += 1;
            if !ranks.insert(*rank) {
                self.report.break_promise(format!("rank {rank} stands twice in the index of shard {}", index.shard));
            }
            match self.plan.jobs.get(job) {
                Some(address) if (address.shard, address.rank) == (index.shard, *rank) => {}
                Some(address) => {
                    self.report.break_promise(format!("job {job} is planned as {address:?}, and stands as {rank} in shard {}", index.shard))
                }
                None => self.report.break_promise(format!("job {job} of the index of shard {} was never planned", index.shard)),
            }
        }
        if counts != index.counts {
            self.report.break_promise(format!("shard {}: its index counts {:?} and lists {counts:?}", index.shard, index.counts));
        }
    }

    /// Every rank has a verdict or an end, as its index says, and nobody else has one.
    fn terminal_objects(&mut self, index: &Index) -> Result<(), String> {
        let shard = index.shard.to_string();
        let verdicts = archive::jobs(&self.grade.join("verdicts").join(&shard), ".mp.zst")?;
        let mut ended = archive::jobs(&self.campaign.join("ended").join(&shard), ".json")?;
        ended.extend(archive::jobs(&self.grade.join("ended").join(&shard), ".json")?);
        for job in verdicts.union(&ended) {
            if self.plan.jobs.get(job).is_none_or(|address| address.shard != index.shard) {
                self.report.break_promise(format!("job {job} has an object in shard {shard}, and is no job of it"));
            }
        }
        for RankStatus { job, status, rank, .. } in &index.ranks {
            match (verdicts.contains(job), ended.contains(job), status == "failed") {
                (true, false, false) | (false, true, true) => {}
                (true, true, false) => self.report.both += 1,
                (true, _, true) => self.report.break_promise(format!("job {job}, rank {rank}, stands as failed though it has a verdict")),
                (false, true, false) => {
                    self.report.break_promise(format!("job {job}, rank {rank}, stands as {status} and has only an end"))
                }
                (false, false, _) => {
                    self.report.break_promise(format!("job {job}, rank {rank}, stands as {status} and has neither verdict nor end"))
                }
            }
        }
        Ok(())
    }

    fn row_file(&mut self, index: &Index, file: &RowFile, status: &str) -> Result<(), String> {
        let path = &file.path;
        let bytes = archive::read(&self.grade.join(path))?;
        let digest = archive::digest(&bytes);
        if digest != file.digest || bytes.len() as u64 != file.bytes || !path.contains(&archive::short(&digest)) {
            return Err(format!("{path}: {} bytes with the digest {digest}, and the index has {file:?}", bytes.len()));
        }
        let text = zstd::decode_all(bytes.as_slice()).map_err(|error| format!("decompress {path}: {error}"))?;
        let ranks: BTreeMap<&str, &RankStatus> = index.ranks.iter().map(|rank| (rank.job.as_str(), rank)).collect();
        let mut rows = 0;
        let mut before = None;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            rows += 1;
            let row: Value = serde_json::from_slice(line).map_err(|error| format!("read row {rows} of {path}: {error}"))?;
            let job = row["job_id"].as_str().unwrap_or_default().to_owned();
            *self.rows.entry(job.clone()).or_default() += 1;
            if before.is_some_and(|before| before >= row["rank"].as_u64()) {
                self.report.break_promise(format!("{path}: row {rows} is out of order"));
            }
            before = Some(row["rank"].as_u64());
            let Some(rank) = ranks.get(job.as_str()) else {
                self.report.break_promise(format!("{path}: the index does not have the job {job} of row {rows}"));
                continue;
            };
            if let Err(why) = self.row(index.shard, row, rank, status) {
                self.report.break_promise(format!("{path}: row {rows}, job {job}: {why}"));
            }
        }
        if rows != file.rows {
            self.report.break_promise(format!("{path}: {rows} rows, and the index has {}", file.rows));
        }
        self.report.rows += rows;
        Ok(())
    }

    /// The row is the one that its index means, and says what its verdict object says.
    fn row(&self, shard: u64, mut row: Value, rank: &RankStatus, status: &str) -> Result<(), String> {
        if row["rank"].as_u64() != Some(rank.rank) || rank.status != status {
            return Err(format!("rank {} in a file of {status} rows; the index has {rank:?}", row["rank"]));
        }
        let object = archive::unpack(&self.grade.join(format!("verdicts/{shard}/{}.mp.zst", rank.job)))?;
        let accepted = object["verdict"]["accepted"].as_bool();
        if accepted != Some(status == "accepted") || object["verdict"]["grade"].as_str() != Some(&self.manifest.grade) {
            return Err(format!("its verdict object says accepted = {accepted:?} under grade {}", object["verdict"]["grade"]));
        }
        let of_object = object["trajectory"].as_object().ok_or("its verdict object has no trajectory")?;
        for (field, value) in of_object.iter().chain([(&"verdict".to_owned(), &object["verdict"])]) {
            if row.get(field) != Some(value) {
                return Err(format!("its `{field}` is not what its verdict object has"));
            }
        }
        let fields = row.as_object_mut().ok_or("it is no object")?;
        let written = fields.shift_remove("content_digest").and_then(|digest| digest.as_str().map(str::to_owned));
        fields.shift_remove("provenance");
        let computed = archive::digest(&serde_json::to_vec(&row).map_err(|error| error.to_string())?);
        if written.as_deref() != Some(computed.as_str()) || rank.row.as_deref() != Some(computed.as_str()) {
            return Err(format!("its content has the digest {computed}, it says {written:?}, and the index {:?}", rank.row));
        }
        Ok(())
    }

    fn every_job_once(&mut self) {
        for (job, address) in &self.plan.jobs {
            match self.indexed.get(job) {
                Some(1) => {}
                Some(times) => self.report.break_promise(format!("job {job} stands {times} times in indexes")),
                None => self.report.break_promise(format!("job {job} ({address:?}) is lost: no index has it")),
            }
        }
        for (job, times) in self.rows.iter().filter(|(_, times)| **times > 1) {
            self.report.break_promise(format!("job {job} stands in {times} rows"));
        }
    }

    /// No index stands beside those of the manifest.
    fn no_other_index(&mut self) -> Result<(), String> {
        let known: BTreeSet<String> = self.manifest.shards.iter().map(|shard| format!("part-{:05}.json", shard.shard)).collect();
        for name in archive::files(&self.grade.join("shards"))? {
            if !known.contains(&name) {
                self.report.break_promise(format!("shards/{name} stands, and the manifest does not have it"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A sealed campaign of one process, and its grade's folder.
    fn sealed() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
        let text = format!(
            "[campaign]\nname = \"test\"\nseeds = \"{0}/seeds.jsonl\"\nlimit = 12\nsamples_per_seed = 2\narchive = \"out\"\nrows_per_shard = 8\n\
             [corpus]\npath = \"corpus\"\nsources = [\"{0}/documents.jsonl\"]\n[recipe]\nkind = \"browse\"\n[teacher]\nkind = \"heuristic\"\n",
            examples.display()
        );
        std::fs::write(folder.path().join("campaign.toml"), text).expect("written");
        let mut command = Command::new(::tests::services::program("sluice-under-test"));
        let ran =
            command.args(["run", "campaign.toml"]).current_dir(folder.path()).env_remove("SLUICE_ARCHIVE").output().expect("it starts");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let campaign = folder.path().join("out/campaigns/test");
        let grade = archive::folders(&campaign.join("grades")).expect("readable").pop().expect("a grade");
        let grade = campaign.join("grades").join(grade);
        (folder, campaign, grade)
    }

    fn first_file(folder: &Path) -> PathBuf {
        let mut names = archive::files(folder).expect("readable");
        names.sort();
        folder.join(names.first().expect("a file"))
    }

    /// That the checker is content with `campaign`, and after `spoil` says something with every one of `words` in it.
    fn finds(spoil: impl FnOnce(&Path, &Path), words: &[&str]) {
        let (_folder, campaign, grade) = sealed();
        let report = check(&campaign);
        assert_eq!((report.planned, report.rows, report.broken), (24, 24, Vec::new()), "all promises hold");
        spoil(&campaign, &grade);
        let broken = check(&campaign).broken;
        assert!(broken.iter().any(|told| words.iter().all(|word| told.contains(word))), "{words:?} in {broken:#?}");
    }

    #[test]
    fn a_verdict_that_is_gone_is_found() {
        let spoil = |_: &Path, grade: &Path| std::fs::remove_file(first_file(&grade.join("verdicts/1"))).expect("removed");
        finds(spoil, &["has neither verdict nor end"]);
    }

    #[test]
    fn a_rank_that_stands_twice_is_found_though_every_digest_agrees() {
        let spoil = |campaign: &Path, grade: &Path| {
            let path = grade.join("shards/part-00000.json");
            let mut index: Value = serde_json::from_slice(&archive::read(&path).expect("there")).expect("an index");
            let twice = index["ranks"][0].clone();
            index["ranks"].as_array_mut().expect("ranks").push(twice);
            let bytes = serde_json::to_vec(&index).expect("encoded");
            let digest = archive::digest(&bytes);
            std::fs::write(grade.join(format!("shards/indexes/part-00000-{}.json", archive::short(&digest))), &bytes).expect("written");
            std::fs::write(&path, &bytes).expect("written");
            let path = campaign.join("dataset.json");
            let mut manifest: Value = serde_json::from_slice(&archive::read(&path).expect("there")).expect("a manifest");
            manifest["shards"][0]["index"] = Value::from(digest);
            std::fs::write(&path, serde_json::to_vec(&manifest).expect("encoded")).expect("written");
        };
        finds(spoil, &["rank 0 stands twice"]);
    }

    #[test]
    fn a_flipped_byte_in_a_row_file_is_found() {
        let spoil = |_: &Path, grade: &Path| {
            let path = first_file(&grade.join("shards/accepted"));
            let mut bytes = archive::read(&path).expect("there");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).expect("written");
        };
        finds(spoil, &["and the index has RowFile"]);
    }

    #[test]
    fn a_failed_job_is_found() {
        let spoil = |campaign: &Path, _: &Path| {
            let path = campaign.join("dataset.json");
            let mut manifest: Value = serde_json::from_slice(&archive::read(&path).expect("there")).expect("a manifest");
            manifest["counts"]["failed"] = Value::from(1);
            std::fs::write(&path, serde_json::to_vec(&manifest).expect("encoded")).expect("written");
        };
        finds(spoil, &["1 jobs failed"]);
    }
}
