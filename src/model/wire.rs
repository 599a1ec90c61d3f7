//! How objects and messages become bytes: MessagePack with named fields; objects additionally in one zstd frame with a checksum.
//!
//! Reading is where hostile bytes arrive. Every reader is bounded in output size and nesting, and anything wrong is an error that says what.

use std::io::Read;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest decompressed object we read: far above any trajectory, far below any worker's memory.
pub const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// The largest queue message.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of a MessagePack value. Tool arguments nest, but not like this.
const DEPTH_MAX: usize = 96;
/// zstd level of objects: near the fastest, and smaller than level 1 by a tenth.
const LEVEL: i32 = 3;
/// Largest zstd window we allocate for a frame: 8 MiB, what level 3 never exceeds.
const WINDOW_LOG_MAX: u32 = 23;

/// Bytes that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The value cannot be written.
    #[error("encode {what}: {source}")]
    Encode {
        /// What was being written.
        what: &'static str,
        /// Why not.
        source: rmp_serde::encode::Error,
    },
    /// The bytes are no such value.
    #[error("decode {what}: {source}")]
    Decode {
        /// What was expected.
        what: &'static str,
        /// Why not.
        source: rmp_serde::decode::Error,
    },
    /// The bytes are no whole zstd frame, or their checksum is wrong.
    #[error("decompress {what}: {source}")]
    Decompress {
        /// What was expected.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// More than we are willing to read.
    #[error("read {what}: larger than {limit} bytes")]
    TooLarge {
        /// What was expected.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Bytes follow the value.
    #[error("decode {what}: {bytes} bytes follow it")]
    Trailing {
        /// What was expected.
        what: &'static str,
        /// How many.
        bytes: u64,
    },
}

/// An object's bytes.
///
/// # Errors
/// When the value cannot be written as MessagePack.
pub fn encode_object<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, WireError> {
    compress(what, &encode_message(what, value)?)
}

/// `bytes` as one zstd frame with a checksum, the same bytes for the same input wherever it is written.
///
/// # Errors
/// When the compressor cannot be set up.
pub fn compress(what: &'static str, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        compressor.compress(bytes)
    };
    compress().map_err(|source| WireError::Decompress { what, source })
}

/// The value in an object's bytes.
///
/// # Errors
/// When the frame is torn, too large, or no such value.
pub fn decode_object<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    decode_message(what, &decompress(what, bytes, OBJECT_BYTES_MAX)?)
}

/// The content of whole zstd frames, refusing more than `limit` bytes of it.
///
/// # Errors
/// When a frame is torn or there is more than `limit`.
pub fn decompress(what: &'static str, bytes: &[u8], limit: u64) -> Result<Vec<u8>, WireError> {
    let broken = |source| WireError::Decompress { what, source };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    let mut content = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > limit {
        return Err(WireError::TooLarge { what, limit });
    }
    Ok(content)
}

/// A message's bytes: MessagePack, uncompressed.
///
/// # Errors
/// When the value cannot be written as MessagePack.
pub fn encode_message<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, WireError> {
    rmp_serde::to_vec_named(value).map_err(|source| WireError::Encode { what, source })
}

/// The value in a message's bytes.
///
/// # Errors
/// When it is nested too deeply, is no such value, or is followed by more.
pub fn decode_message<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    let mut rest = bytes;
    let value = {
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(DEPTH_MAX);
        T::deserialize(&mut deserializer).map_err(|source| WireError::Decode { what, source })?
    };
    match rest.len() as u64 {
        0 => Ok(value),
        bytes => Err(WireError::Trailing { what, bytes }),
    }
}
