//! What a town's archive holds, asked over a connection of the test's own; and how far that shows the campaign to be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use dataset::frozen;
use model::Campaign;
use runtime::Archive;
use runtime::archive::s3::{KeyPair, Patience, S3Archive, S3Options};

use super::town::{LOOK, PATIENCE, Town};
use super::worker::Worker;

impl Town {
    /// Waits until all planned jobs have their end in the archive.
    pub(crate) fn all_terminal(&self, planned: usize, workers: &mut [&mut Worker]) {
        self.terminal(planned, planned, workers);
    }

    /// Waits until `wanted` of all `planned` jobs have their end in the archive. The workers must live meanwhile.
    pub(crate) fn terminal(&self, wanted: usize, planned: usize, workers: &mut [&mut Worker]) {
        let began = Instant::now();
        loop {
            let ended = self.ended_jobs().len();
            if ended >= wanted {
                return;
            }
            for worker in workers.iter_mut() {
                assert!(!worker.is_over(), "{}: a worker ended:\n{}", self.name, worker.said());
            }
            let said = || workers.iter().map(|worker| worker.said()).collect::<Vec<_>>().join("\n---\n");
            assert!(began.elapsed() < PATIENCE, "{}: {ended} of {planned} jobs have ended\n{}\n{:#}", self.name, said(), self.status());
            std::thread::sleep(LOOK);
        }
    }

    /// Ids of the jobs with an end in the archive: a verdict or a failure.
    fn ended_jobs(&self) -> BTreeSet<String> {
        let root = format!("campaigns/{}/", self.name);
        let shards = *self.shards.get_or_init(|| self.plan().plan.shards());
        let mut folders: Vec<String> = (0..shards).map(|shard| format!("{root}ended/{shard}/")).collect();
        for grade in self.folders(&format!("{root}grades/")) {
            for kind in ["verdicts", "ended"] {
                folders.extend((0..shards).map(|shard| format!("{root}grades/{grade}/{kind}/{shard}/")));
            }
        }
        let keys = folders.iter().flat_map(|folder| self.keys(folder));
        keys.map(|key| key.rsplit('/').next().and_then(|name| name.split('.').next()).expect("a job's object").to_owned()).collect()
    }

    /// Names of the folders in a folder of the archive.
    pub(crate) fn folders(&self, folder: &str) -> Vec<String> {
        self.wait(self.store().folders(folder)).expect("the archive lists")
    }

    /// Keys of the objects in a folder of the archive.
    pub(crate) fn keys(&self, folder: &str) -> Vec<String> {
        self.wait(self.store().list(folder)).expect("the archive lists").into_iter().map(|listed| listed.key).collect()
    }

    /// An object of the archive.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.wait(self.store().get(key)).expect("the archive answers")
    }

    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) {
        self.wait(self.store().put(key, bytes)).expect("the archive takes it");
    }

    pub(crate) fn delete(&self, key: &str) {
        self.wait(self.store().delete(key)).expect("the archive drops it");
    }

    /// The archive, over a connection of the test's own.
    pub(crate) fn store(&self) -> &Arc<S3Archive> {
        self.store.get_or_init(|| {
            let place = &self.servers.s3;
            let options = S3Options {
                endpoint: Some(place.endpoint.clone()),
                region: Some(place.region.clone()),
                keys: Some(KeyPair { id: place.access_key.clone(), secret: place.secret_key.clone() }),
                patience: Patience::default(),
            };
            Arc::new(self.wait(S3Archive::open_with(&self.archive, &options)).expect("the bucket is there"))
        })
    }

    /// The frozen plan.
    pub(crate) fn plan(&self) -> Campaign {
        self.wait(frozen::campaign(self.store().as_ref(), &self.name)).expect("the archive answers").expect("it is planned")
    }
}
