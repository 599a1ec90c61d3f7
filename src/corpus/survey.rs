//! The first reading of the sources: which lines hold documents, and what decides between them.
//!
//! Unusable lines go to `rejected.jsonl`; of documents only digests and lengths are kept, in the census.

use std::path::Path;

use crate::aside::{JsonLines, REJECTED_FILE, Rejected};
use crate::build::{BuildOptions, Progress};
use crate::census::Census;
use crate::error::CorpusError;
use crate::lanes::for_each_batch;
use crate::line::{Line, Marks};
use crate::manifest::Counts;
use crate::source::{Batch, LINE_BYTES_MAX, SourceFile};

/// Unusable lines shown in the report; the others are in the file.
const REJECTED_SHOWN: usize = 20;
/// Line numbers and ordinals have 32 bits.
const LINES_MAX: u64 = u32::MAX as u64;

/// What the first reading found.
pub(crate) struct Survey {
    pub(crate) census: Census,
    /// Of lines; duplicates are not known yet.
    pub(crate) counts: Counts,
    /// The first unusable lines.
    pub(crate) rejected: Vec<Rejected>,
    pub(crate) sources: Vec<SourceFile>,
}

/// What the census needs of a line.
enum Seen {
    Blank,
    Document { marks: Marks, text_bytes: usize, url_bytes: usize },
    Bad(Rejected),
}

/// Reads the sources once.
pub(crate) fn survey(
    options: &BuildOptions,
    directory: &Path,
    at: &mut Progress,
    progress: &mut dyn FnMut(Progress),
) -> Result<Survey, CorpusError> {
    let mut aside = JsonLines::create(&directory.join(REJECTED_FILE))?;
    let (mut census, mut counts, mut rejected) = (Census::default(), Counts::default(), Vec::new());
    let work = |batch: &Batch| Ok(batch.lines().enumerate().map(|(offset, line)| see(batch, offset, line)).collect::<Vec<_>>());
    let sources = for_each_batch(&options.sources, options.threads.max(1), &work, |_, lines, bytes_read| {
        counts.lines += lines.len() as u64;
        if counts.lines > LINES_MAX {
            return Err(CorpusError::Build(format!("more than {LINES_MAX} lines; split the sources")));
        }
        for line in lines {
            match line {
                Seen::Document { marks, text_bytes, url_bytes } => {
                    census.count(marks, text_bytes, url_bytes);
                    continue;
                }
                Seen::Blank => counts.blank += 1,
                Seen::Bad(bad) if options.strict => {
                    return Err(CorpusError::BadLine { path: bad.file.into(), line: bad.line, reason: bad.reason });
                }
                Seen::Bad(bad) => {
                    aside.push(&bad)?;
                    counts.rejected += 1;
                    if rejected.len() < REJECTED_SHOWN {
                        rejected.push(bad);
                    }
                }
            }
            census.skip();
        }
        *at = Progress { bytes_read, lines: counts.lines, rejected: counts.rejected, ..*at };
        progress(*at);
        Ok(())
    })?;
    aside.finish()?;
    Ok(Survey { census, counts, rejected, sources })
}

fn see(batch: &Batch, offset: usize, line: Result<&[u8], &[u8]>) -> Seen {
    let bad = |reason: String, raw: &[u8]| Seen::Bad(Rejected::new(batch, offset, reason, raw));
    match line {
        Err(beginning) => bad(format!("line is longer than {LINE_BYTES_MAX} bytes"), beginning),
        Ok(bytes) if bytes.trim_ascii().is_empty() => Seen::Blank,
        Ok(bytes) => match Line::parse(bytes) {
            Ok(line) => Seen::Document { marks: line.marks(), text_bytes: line.text.len(), url_bytes: line.url.len() },
            Err(reason) => bad(reason, bytes),
        },
    }
}
