//! Reads sources: JSON lines, plain, gzip or zstd by file name, in batches of lines.
//!
//! A reader never holds more than one batch, and never a line above the bound: of such a line only the beginning is kept, for the report.
//! It digests the bytes it read, so that a source that changes between two readings is noticed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Digest;
use serde::{Deserialize, Serialize};

use crate::error::CorpusError;

/// A longer line is not read into memory, but rejected.
pub const LINE_BYTES_MAX: usize = 64 << 20;
/// What is kept of a line above the bound.
const LINE_BYTES_SHOWN: usize = 4096;
/// A batch is full above this many bytes.
const BATCH_BYTES: usize = 512 << 10;

/// What a source was when it was read. No name: the same bytes are the same source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its size, compressed as it is.
    pub bytes: u64,
    /// Its digest, compressed as it is.
    pub digest: Digest,
    /// Its lines, blank ones included.
    pub lines: u64,
}

/// Consecutive lines of one source.
pub(crate) struct Batch {
    pub(crate) path: Arc<PathBuf>,
    /// Number of the first line in its source, from 1.
    pub(crate) line_first: u64,
    /// Number of the first line among all lines of all sources, from 0.
    pub(crate) index_first: u64,
    bytes: Vec<u8>,
    lines: Vec<RawLine>,
}

struct RawLine {
    start: usize,
    end: usize,
    too_long: bool,
}

impl Batch {
    /// Number of lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The lines, or of those that are too long the beginning.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Result<&[u8], &[u8]>> {
        self.lines.iter().map(|line| {
            let bytes = self.bytes.get(line.start..line.end).unwrap_or(&[]);
            if line.too_long { Err(bytes) } else { Ok(bytes) }
        })
    }
}

/// A source being read.
pub(crate) struct Source {
    path: Arc<PathBuf>,
    reader: Box<dyn BufRead + Send>,
    raw: Arc<Raw>,
    lines_read: u64,
    bytes_max: usize,
}

/// What the decompressor has taken from the file.
#[derive(Default)]
struct Raw {
    bytes: AtomicU64,
    hasher: std::sync::Mutex<blake3::Hasher>,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(CorpusError::io("read", path))?;
        let raw = Arc::new(Raw::default());
        let digesting = BufReader::with_capacity(1 << 16, Digesting { file, raw: Arc::clone(&raw) });
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let reader: Box<dyn BufRead + Send> = match extension.as_deref() {
            Some("gz") => Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(digesting))),
            Some("zst" | "zstd") => {
                let decoder = zstd::Decoder::with_buffer(digesting).map_err(CorpusError::io("read", path))?;
                Box::new(BufReader::with_capacity(1 << 17, decoder))
            }
            _ => Box::new(digesting),
        };
        Ok(Self { path: Arc::new(path.to_owned()), reader, raw, lines_read: 0, bytes_max: LINE_BYTES_MAX })
    }

    /// Bytes of the file taken so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.raw.bytes.load(Ordering::Relaxed)
    }

    /// The next lines; none at the end.
    pub(crate) fn next_batch(&mut self, index_first: u64) -> Result<Option<Batch>, CorpusError> {
        let line_first = self.lines_read + 1;
        let mut batch = Batch {
            path: Arc::clone(&self.path),
            line_first,
            index_first,
            bytes: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 8),
            lines: Vec::new(),
        };
        while batch.bytes.len() < BATCH_BYTES {
            let Some(line) = read_line(&mut *self.reader, &mut batch.bytes, self.bytes_max).map_err(CorpusError::io("read", &self.path))?
            else {
                break;
            };
            batch.lines.push(line);
            self.lines_read += 1;
        }
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    /// What was read, when all is read.
    pub(crate) fn finish(mut self) -> Result<SourceFile, CorpusError> {
        // A decompressor may stop before what trails its last frame.
        io::copy(&mut self.reader, &mut io::sink()).map_err(CorpusError::io("read", &self.path))?;
        let hasher = self.raw.hasher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(SourceFile { bytes: self.bytes_read(), digest: Digest::from_hash(hasher.finalize()), lines: self.lines_read })
    }
}

/// Appends the next line to `bytes`, without its end. None at the end of the source.
fn read_line(mut reader: impl BufRead, bytes: &mut Vec<u8>, bytes_max: usize) -> io::Result<Option<RawLine>> {
    let start = bytes.len();
    if reader.by_ref().take(bytes_max as u64 + 1).read_until(b'\n', bytes)? == 0 {
        return Ok(None);
    }
    let is_ended = bytes.last() == Some(&b'\n');
    let too_long = !is_ended && bytes.len() - start > bytes_max;
    if is_ended {
        bytes.pop();
    }
    if too_long {
        reader.skip_until(b'\n')?;
        bytes.truncate(start + LINE_BYTES_SHOWN.min(bytes_max));
        bytes.shrink_to(start + LINE_BYTES_SHOWN);
    }
    Ok(Some(RawLine { start, end: bytes.len(), too_long }))
}

struct Digesting {
    file: File,
    raw: Arc<Raw>,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let mut hasher = self.raw.hasher.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hasher.update(buffer.get(..count).unwrap_or(&[]));
        self.raw.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A line, or the beginning of one that is too long.
    type Read = Result<Vec<u8>, Vec<u8>>;

    fn read_all(path: &Path, bytes_max: usize) -> (Vec<Read>, SourceFile) {
        let mut source = Source::open(path).expect("source opens");
        source.bytes_max = bytes_max;
        let mut lines = Vec::new();
        while let Some(batch) = source.next_batch(lines.len() as u64).expect("source reads") {
            assert_eq!(batch.index_first + 1, batch.line_first);
            lines.extend(batch.lines().map(|line| line.map(<[u8]>::to_vec).map_err(<[u8]>::to_vec)));
        }
        (lines, source.finish().expect("source ends"))
    }

    #[test]
    fn plain_gzip_and_zstd_give_the_same_lines() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let text: Vec<u8> = (0..50_000).flat_map(|n| format!("line {n}\n").into_bytes()).chain(*b"no newline").collect();
        let paths = ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"].map(|name| directory.path().join(name));
        std::fs::write(&paths[0], &text).expect("write");
        let mut gzip = flate2::write::GzEncoder::new(File::create(&paths[1]).expect("create"), flate2::Compression::fast());
        gzip.write_all(&text).and_then(|()| gzip.finish().map(drop)).expect("write gzip");
        std::fs::write(&paths[2], zstd::encode_all(text.as_slice(), 1).expect("compress")).expect("write");
        for path in &paths {
            let (lines, file) = read_all(path, LINE_BYTES_MAX);
            assert_eq!(lines.len(), 50_001);
            assert_eq!(lines[49_999], Ok(b"line 49999".to_vec()));
            assert_eq!(lines[50_000], Ok(b"no newline".to_vec()));
            assert_eq!(file.digest, Digest::of(&std::fs::read(path).expect("read")));
            assert_eq!((file.bytes, file.lines), (std::fs::metadata(path).expect("metadata").len(), 50_001));
        }
    }

    #[test]
    fn a_line_above_the_bound_is_told_apart_and_the_next_is_read() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, format!("short\n{}\n\nlast\n", "x".repeat(300_000))).expect("write");
        let (lines, _) = read_all(&path, 200_000);
        assert_eq!(lines[0], Ok(b"short".to_vec()));
        assert_eq!(lines[1], Err(vec![b'x'; LINE_BYTES_SHOWN]));
        assert_eq!(lines[2..], [Ok(Vec::new()), Ok(b"last".to_vec())]);
    }

    #[test]
    fn a_truncated_archive_is_an_error() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("a.zst");
        let whole = zstd::encode_all("a line\n".repeat(10_000).as_bytes(), 1).expect("compress");
        std::fs::write(&path, whole.get(..whole.len() / 2).expect("half")).expect("write");
        let mut source = Source::open(&path).expect("source opens");
        let outcome = loop {
            match source.next_batch(0) {
                Ok(Some(_)) => {}
                Ok(None) => break source.finish().map(drop),
                Err(error) => break Err(error),
            }
        };
        assert!(outcome.is_err());
    }
}
