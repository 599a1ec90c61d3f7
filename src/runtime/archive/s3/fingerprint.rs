//! The digest that is put beside every object, and compared with what is read.
//!
//! The digest of the digests of an object's blocks of 8 MiB: it grows with the bytes, so a large file is never in memory, and is the same
//! whether the object went up whole or in parts. It is ordinary metadata, which every store keeps; the tag that stores give is a digest with
//! some of them only. An object that somebody else put has none, and is believed.

use model::Digest;

/// Name of the metadata.
pub(super) const FINGERPRINT: &str = "blake3-blocks";
/// Bytes of a block. Never changed: it decides the digest.
pub(super) const BLOCK_BYTES: usize = 8 << 20;

/// The digest of an object whose blocks have these.
pub(super) fn of_blocks(blocks: &[Digest]) -> Digest {
    Digest::of_parts(blocks.iter().map(|block| block.as_str().as_bytes()))
}

/// The digest of an object with these bytes.
pub(super) fn of(bytes: &[u8]) -> Digest {
    let blocks: Vec<Digest> = bytes.chunks(BLOCK_BYTES).map(Digest::of).collect();
    of_blocks(&blocks)
}
