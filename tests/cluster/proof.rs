//! Proves a campaign's end from its archive alone: objects are read as JSON and compressed lines, by none of the code that wrote them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::town::Town;

/// A sealed campaign.
pub(crate) struct Sealed {
    /// The newest manifest.
    pub(crate) manifest: Value,
    /// What became of each job: `accepted`, `rejected` or `failed`.
    pub(crate) jobs: BTreeMap<String, String>,
    /// All rows of the shards, accepted and rejected.
    pub(crate) rows: Vec<Value>,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

impl Town {
    /// Seals, and proves what holds for every campaign: planned = accepted + rejected + failed + cancelled, every rank in one index and every
    /// job in one row at most, and `sluice verify` finds all as it was sealed.
    pub(crate) fn seal_and_prove(&self, planned: u64) -> Sealed {
        let said = self.json(&["seal", &self.name, "--json"]);
        let root = format!("campaigns/{}/", self.name);
        let manifest = self.read(&format!("{root}dataset.json"));
        assert_eq!(said, manifest, "what seal prints is what it wrote");
        let kept = self.read(&format!("{root}datasets/{}.json", manifest["number"]));
        assert_eq!(kept, manifest, "the numbered manifest is the newest");
        let counts = &manifest["counts"];
        let ended = ["accepted", "rejected", "failed"].map(|status| number(&counts[status]));
        // A campaign of one sample per seed has no such count.
        let spared = counts["spared"].as_u64().unwrap_or(0);
        assert_eq!((number(&manifest["planned"]), number(&manifest["outstanding"])), (planned, 0), "{manifest}");
        assert_eq!(
            ended.iter().sum::<u64>() + spared + number(&manifest["cancelled"]),
            planned,
            "planned = accepted + rejected + failed + spared + cancelled"
        );

        let (mut jobs, mut ranks, mut rows) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        let grades = self.folders(&format!("{root}grades/"));
        let [grade] = grades.as_slice() else { panic!("one grade: {grades:?}") };
        let shards = format!("{root}grades/{grade}/shards/");
        for key in self.keys(&shards) {
            let index = self.read(&key);
            for rank in index["ranks"].as_array().expect("ranks") {
                let (job, status) = (text(&rank["job"]), text(&rank["status"]));
                assert!(ranks.insert(number(&rank["rank"])), "{key}: rank {} is in two indexes", rank["rank"]);
                assert!(jobs.insert(job.clone(), status).is_none(), "{key}: job {job} is indexed twice");
            }
            for status in ["accepted", "rejected"] {
                let lines = self.rows_of(&format!("{root}grades/{grade}/"), &index[status]);
                for row in &lines {
                    assert_eq!(jobs.get(&text(&row["job_id"])).map(String::as_str), Some(status), "{key}: a row says what its index says");
                }
                rows.extend(lines);
            }
        }
        let row_jobs: BTreeSet<String> = rows.iter().map(|row| text(&row["job_id"])).collect();
        assert_eq!(row_jobs.len(), rows.len(), "no job is in two rows");
        let with_row: BTreeSet<String> =
            jobs.iter().filter(|(_, status)| ["accepted", "rejected"].contains(&status.as_str())).map(|(job, _)| job.clone()).collect();
        assert_eq!(row_jobs, with_row, "whoever is graded has a row");
        let by_status = |wanted: &str| jobs.values().filter(|status| *status == wanted).count() as u64;
        assert_eq!(["accepted", "rejected", "failed"].map(by_status), ended, "the manifest counts what the indexes have");
        assert_eq!(by_status("spared"), spared, "and whom they spare");

        let verified = self.json(&["verify", &self.name, "--json"]);
        assert_eq!((number(&verified["differences"]), number(&verified["rows"])), (0, rows.len() as u64), "{verified}");
        Sealed { manifest, jobs, rows }
    }

    /// Every index that stands names files that are there and have its rows: at any instant, whoever died.
    pub(crate) fn prove_indexes(&self) {
        let root = format!("campaigns/{}/grades/", self.name);
        for grade in self.folders(&root) {
            for key in self.keys(&format!("{root}{grade}/shards/")) {
                let index = self.read(&key);
                for status in ["accepted", "rejected"] {
                    drop(self.rows_of(&format!("{root}{grade}/"), &index[status]));
                }
            }
        }
    }

    /// An object that is JSON.
    pub(crate) fn read(&self, key: &str) -> Value {
        let bytes = self.object(key).unwrap_or_else(|| panic!("there is no {key}"));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// The rows of a file that an index names; none when it names none.
    fn rows_of(&self, grade: &str, file: &Value) -> Vec<Value> {
        let Some(path) = file["path"].as_str() else { return Vec::new() };
        let bytes = self.object(&format!("{grade}{path}")).unwrap_or_else(|| panic!("an index names {path}, which is not there"));
        let lines = zstd::decode_all(bytes.as_slice()).expect("a whole frame");
        let rows: Vec<Value> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("a row"))
            .collect();
        assert_eq!(rows.len() as u64, number(&file["rows"]), "{path} has as many rows as its index says");
        rows
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
