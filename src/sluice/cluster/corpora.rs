//! The corpora of one machine: fetched from the archive once, put in place whole, mapped, and shared by all workers there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use corpus::Corpus;
use model::Digest;
use runtime::Archive;
use tokio::sync::Mutex;

use crate::exit::VerbError;

/// Variable that names the machine's folder of corpora.
pub(crate) const CORPORA_VARIABLE: &str = "SLUICE_CORPORA";

/// A process's open corpora, and the folder that it shares with the machine's other processes.
pub(crate) struct Corpora {
    home: PathBuf,
    open: Mutex<HashMap<Digest, Corpus>>,
}

impl Corpora {
    /// Corpora in `home`; where that is absent, in the user's cache folder.
    pub(crate) fn new(home: Option<PathBuf>) -> Self {
        let home = home.unwrap_or_else(|| {
            let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
            cache.unwrap_or_else(std::env::temp_dir).join("sluice/corpora")
        });
        Self { home, open: Mutex::default() }
    }

    /// The corpus `id`, fetched if this machine lacks it.
    pub(crate) async fn get(&self, archive: &Arc<dyn Archive>, id: &Digest) -> Result<Corpus, VerbError> {
        // Held while fetching: whoever else of this process wants it waits for it.
        let mut open = self.open.lock().await;
        if let Some(corpus) = open.get(id) {
            return Ok(corpus.clone());
        }
        let folder = self.folder(archive, id).await?;
        let corpus = crate::verbs::corpus::open(folder).await?;
        open.insert(id.clone(), corpus.clone());
        Ok(corpus)
    }

    /// The folder of the corpus `id`, fetched if this machine lacks it.
    pub(crate) async fn folder(&self, archive: &Arc<dyn Archive>, id: &Digest) -> Result<PathBuf, VerbError> {
        Ok(dataset::corpora::pull(archive.as_ref(), id, &self.home, &|_, _| {}).await?)
    }
}
