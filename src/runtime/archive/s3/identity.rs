//! Who the archive is: the random id in its `archive.json`, written by whoever opens it first.
//!
//! Of several who open a fresh archive at once, all must come away with the same id. A store that honours `If-None-Match` lets one of them
//! write; one that ignores it lets the last one win. So whoever wrote waits a moment before it reads, and what it then reads counts.

use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use model::layout;
use serde::{Deserialize, Serialize};

use super::call::{Request, Store};
use super::fault::{Fault, Kind};
use super::fingerprint::{self, FINGERPRINT};
use crate::archive::{ArchiveError, directory::random_id};

/// Longer than the writes of others who found nothing when we did are under way. A longer one gives two ids, which is found when a worker
/// compares the archive's id with its campaign's.
const SETTLE: Duration = Duration::from_millis(500);

/// What `archive.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    schema_version: u32,
    id: String,
}

/// The archive's id, drawn here if it has none.
pub(super) async fn identity(store: &Store) -> Result<String, ArchiveError> {
    if let Some(id) = read(store).await? {
        return Ok(id);
    }
    let failed = |error: std::io::Error| store.error(request("write"), Fault::passing("unsent", error.to_string()));
    let fresh = Identity { schema_version: 1, id: random_id().map_err(failed)? };
    let bytes = serde_json::to_vec_pretty(&fresh).map_err(|error| failed(error.into()))?;
    store.must(request("write"), || write(store, &bytes)).await?;
    tokio::time::sleep(SETTLE).await;
    let standing = read(store).await?;
    standing.ok_or_else(|| store.error(request("read"), Fault::passing("404", "it was written and is not there")))
}

async fn read(store: &Store) -> Result<Option<String>, ArchiveError> {
    let Some(bytes) = store.download(layout::ARCHIVE).await? else { return Ok(None) };
    let identity: Identity = serde_json::from_slice(&bytes).map_err(|error| {
        let fault = Fault::lasting("answer", format!("it is damaged: {error}"), "restore archive.json from a copy, or name another place");
        store.error(request("read"), fault)
    })?;
    Ok(Some(identity.id))
}

/// Puts the identity unless there is one.
async fn write(store: &Store, bytes: &[u8]) -> Result<(), Fault> {
    let put = || {
        let put = store.client.put_object().bucket(&store.bucket).key(store.full(layout::ARCHIVE));
        put.metadata(FINGERPRINT, fingerprint::of(bytes).as_str()).body(ByteStream::from(bytes.to_vec()))
    };
    let fault = match put().if_none_match("*").send().await.map_err(Fault::of) {
        Ok(_) => return Ok(()),
        Err(fault) => fault,
    };
    match fault.kind {
        // Somebody was first: theirs counts.
        Kind::Changed => Ok(()),
        // The store knows no conditions.
        Kind::Lasting { .. } if fault.code == "501" => put().send().await.map(|_| ()).map_err(Fault::of),
        _ => Err(fault),
    }
}

fn request(action: &'static str) -> Request<'static> {
    Request { op: "identity", action, key: layout::ARCHIVE }
}
