//! The checksums that come with an upload, in headers or behind the body, and whether the body agrees.
//!
//! Only what the client claims is computed. Nothing is stored that was not verified.

use std::collections::HashMap;

use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Result, TrailingHeaders, s3_error};

/// The headers of the five kinds, in the order of [`values`].
const NAMES: [&str; 5] =
    ["x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1", "x-amz-checksum-sha256"];

/// Verifies `body` against what was claimed, and gives the checksums that hold.
pub(crate) fn verify(mut claimed: Checksum, trailers: Option<&TrailingHeaders>, body: &[u8]) -> S3Result<Checksum> {
    if let Some(trailers) = trailers.and_then(TrailingHeaders::take) {
        for (name, value) in NAMES.iter().zip(values(&mut claimed)) {
            if let Some(said) = trailers.get(*name) {
                *value = Some(said.to_str().map_err(|error| s3_error!(error, InvalidArgument))?.to_owned());
            }
        }
    }
    let mut hasher = ChecksumHasher {
        crc32: claimed.checksum_crc32.as_ref().map(|_| Crc32::new()),
        crc32c: claimed.checksum_crc32c.as_ref().map(|_| Crc32c::new()),
        crc64nvme: claimed.checksum_crc64nvme.as_ref().map(|_| Crc64Nvme::new()),
        sha1: claimed.checksum_sha1.as_ref().map(|_| Sha1::new()),
        sha256: claimed.checksum_sha256.as_ref().map(|_| Sha256::new()),
    };
    hasher.update(body);
    let mut computed = hasher.finalize();
    for ((name, claimed), computed) in NAMES.iter().zip(values(&mut claimed)).zip(values(&mut computed)) {
        if claimed != computed {
            return Err(s3_error!(BadDigest, "{name} does not match the body"));
        }
    }
    Ok(claimed)
}

/// As they are kept with an object.
pub(crate) fn to_map(mut checksums: Checksum) -> HashMap<String, String> {
    let named = NAMES.iter().zip(values(&mut checksums));
    named.filter_map(|(name, value)| Some(((*name).to_owned(), value.take()?))).collect()
}

/// As they are answered.
pub(crate) fn from_map(kept: &HashMap<String, String>) -> Checksum {
    let mut checksums = Checksum::default();
    for (name, value) in NAMES.iter().zip(values(&mut checksums)) {
        *value = kept.get(*name).cloned();
    }
    checksums
}

fn values(checksums: &mut Checksum) -> [&mut Option<String>; 5] {
    [
        &mut checksums.checksum_crc32,
        &mut checksums.checksum_crc32c,
        &mut checksums.checksum_crc64nvme,
        &mut checksums.checksum_sha1,
        &mut checksums.checksum_sha256,
    ]
}
