//! What became of a campaign, counted from the archive's files and from nothing that the programs say.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// A campaign's folder in an archive that is a folder.
pub(crate) struct Outcome {
    folder: PathBuf,
}

/// What a sealed campaign consists of.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    /// Planned jobs that neither a row nor a failure accounts for.
    pub(crate) lost: u64,
    /// Rows whose job stands in another row too.
    pub(crate) duplicate: u64,
    /// Failed jobs.
    pub(crate) failed: u64,
    /// Rows.
    pub(crate) rows: u64,
}

#[derive(Deserialize)]
struct RowId {
    job_id: String,
}

impl Outcome {
    /// The campaign `name` of the archive in `archive`.
    pub(crate) fn of(archive: &Path, name: &str) -> Self {
        Self { folder: archive.join("campaigns").join(name) }
    }

    /// Shards whose index is written.
    pub(crate) fn indexes(&self) -> u64 {
        self.grade().map_or(0, |grade| count(&grade.join("shards"), "json"))
    }

    /// Objects with a verdict.
    pub(crate) fn verdicts(&self) -> u64 {
        let shards = self.grade().map(|grade| folders(&grade.join("verdicts"))).unwrap_or_default();
        shards.iter().map(|shard| count(shard, "zst")).sum()
    }

    /// When the newest trajectory came: putting one in place changes its shard's folder.
    pub(crate) fn newest_trajectory(&self) -> Option<SystemTime> {
        let shards = folders(&self.folder.join("trajectories"));
        shards.iter().filter_map(|shard| fs::metadata(shard).ok()?.modified().ok()).max()
    }

    /// Shards of the plan.
    pub(crate) fn shards(&self) -> Result<u64> {
        let plan = &self.json("campaign.json")?["plan"];
        let number = |name: &str| plan[name].as_u64().with_context(|| format!("read `{name}` of the plan {plan}"));
        Ok(number("samples")? * number("seeds")?.div_ceil(number("rows_per_shard")?))
    }

    /// Reads the manifest and every row file that it names.
    pub(crate) fn sealed(&self, planned: u64) -> Result<Sealed> {
        let manifest = self.json("dataset.json")?;
        let failed = manifest["counts"]["failed"].as_u64().context("read the manifest's counts")?;
        let (mut rows, mut jobs) = (0, HashSet::new());
        let grade = self.grade().context("find the grade's folder")?;
        for shard in manifest["shards"].as_array().context("read the manifest's shards")? {
            for path in ["accepted", "rejected"].iter().filter_map(|which| shard[*which]["path"].as_str()) {
                let path = grade.join(path);
                let file = fs::File::open(&path).with_context(|| format!("open the row file {}", path.display()))?;
                for line in BufReader::new(zstd::Decoder::new(file)?).lines() {
                    let row: RowId = serde_json::from_str(&line?)?;
                    rows += 1;
                    jobs.insert(row.job_id);
                }
            }
        }
        let accounted = jobs.len() as u64 + failed;
        Ok(Sealed { lost: planned.saturating_sub(accounted), duplicate: rows - jobs.len() as u64, failed, rows })
    }

    fn json(&self, name: &str) -> Result<Value> {
        let path = self.folder.join(name);
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// The only grade there is.
    fn grade(&self) -> Option<PathBuf> {
        folders(&self.folder.join("grades")).pop()
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found.map(|found| found.path()).filter(|path| path.is_dir()).collect()
}

fn count(folder: &Path, extension: &str) -> u64 {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found.filter(|found| found.path().extension().is_some_and(|known| known == extension)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_a_row_is_lost_and_one_in_two_rows_is_duplicate() {
        let archive = tempfile::tempdir().expect("a folder");
        let shards = archive.path().join("campaigns/c/grades/g/shards");
        fs::create_dir_all(shards.join("accepted")).expect("folders");
        let rows = "{\"job_id\": \"a\", \"rank\": 0}\n{\"job_id\": \"b\"}\n{\"job_id\": \"a\"}\n";
        let file = fs::File::create(shards.join("accepted/part-0.jsonl.zst")).expect("a file");
        zstd::stream::copy_encode(rows.as_bytes(), file, 1).expect("written");
        fs::write(shards.join("part-0.json"), "{}").expect("written");
        let manifest = "{\"counts\": {\"failed\": 1}, \"shards\": [{\"accepted\": {\"path\": \"shards/accepted/part-0.jsonl.zst\"}}]}";
        fs::write(archive.path().join("campaigns/c/dataset.json"), manifest).expect("written");
        let outcome = Outcome::of(archive.path(), "c");
        let sealed = outcome.sealed(5).expect("a manifest and its rows");
        assert_eq!((sealed.lost, sealed.duplicate, sealed.failed, sealed.rows), (2, 1, 1, 3));
        assert_eq!((outcome.indexes(), outcome.verdicts()), (1, 0));
    }
}
