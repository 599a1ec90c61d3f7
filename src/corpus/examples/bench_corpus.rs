//! Measures corpus build and search on a real corpus, side by side with bare tantivy in the same run.
//!
//! `cargo run --release -p corpus --example bench_corpus -- DATA_DIR [ROUNDS]`, where DATA_DIR holds `corpus.jsonl.zst` and
//! `queries_ottqa.visible.jsonl.zst`. Bare tantivy reads and indexes the same file with the same schema, tokenizer, memory and final
//! number of segments, and does nothing else: no canonical URLs, no duplicates, no digests, no sync. The better of ROUNDS alternating
//! builds counts.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use corpus::{BuildOptions, Corpus, Ordinal, WRITER_BYTES_PER_THREAD, build, empty_index, verify};
use serde::Deserialize;
use tantivy::indexer::NoMergePolicy;
use tantivy::schema::TantivyDocument;
use tantivy::{Index, IndexWriter};

/// First argument of the process that only searches: then the data and the snapshot.
const SEARCH_ONLY: &str = "--search-only";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Questions of the benchmark: the first so many.
const QUESTIONS: usize = 1_500;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().ok_or("usage: bench_corpus DATA_DIR [ROUNDS]")?;
    if first == SEARCH_ONLY {
        let (data, target) = (arguments.next().ok_or("no data")?, arguments.next().ok_or("no snapshot")?);
        return measure_search(Path::new(&data), Path::new(&target));
    }
    let data = PathBuf::from(first);
    let rounds: usize = arguments.next().map_or(Ok(2), |rounds| rounds.parse())?;
    let threads = std::thread::available_parallelism()?.get();
    let home = tempfile::tempdir()?;
    let source = data.join("corpus.jsonl.zst");
    let target = home.path().join("corpus");

    let (mut ours, mut bare) = (Duration::MAX, Duration::MAX);
    let mut bare_bytes = 0;
    for round in 0..rounds.max(1) {
        let folder = home.path().join("bare");
        let (started, cpu_before) = (Instant::now(), cpu_seconds()?);
        let documents = build_bare(&source, &folder, threads)?;
        bare = bare.min(started.elapsed());
        let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
        println!("round {round}: bare tantivy   {elapsed:>6.2} s, {cpu:>6.2} s of processor  {documents} documents");
        bare_bytes = size_of(&folder)?;
        fs::remove_dir_all(&folder)?;

        if target.exists() {
            fs::remove_dir_all(&target)?;
        }
        let (started, cpu_before) = (Instant::now(), cpu_seconds()?);
        let options = BuildOptions { sources: vec![source.clone()], target: target.clone(), strict: true, threads };
        let counts = build(&options, &mut |_| {})?.manifest.counts;
        ours = ours.min(started.elapsed());
        let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
        println!("round {round}: corpus build   {elapsed:>6.2} s, {cpu:>6.2} s of processor  {counts:?}");
    }
    let manifest = Corpus::open(&target)?.manifest().clone();
    let lines = manifest.counts.lines as f64;
    println!(
        "build          ours {:.2} s ({:.0} documents/s), bare tantivy {:.2} s ({:.0} documents/s): {:.3}× (target ≤ 1.25×)",
        ours.as_secs_f64(),
        lines / ours.as_secs_f64(),
        bare.as_secs_f64(),
        lines / bare.as_secs_f64(),
        ours.as_secs_f64() / bare.as_secs_f64()
    );
    println!(
        "size           ours {:.1} MB, bare tantivy {:.1} MB, text {:.1} MB; {:?}",
        megabytes(size_of(&target)?),
        megabytes(bare_bytes),
        megabytes(manifest.text.bytes),
        manifest.index
    );
    let started = Instant::now();
    let is_sound = verify(&target)?.is_sound();
    println!("verify         {:.2} s, sound: {is_sound}", started.elapsed().as_secs_f64());
    // In a process of its own, whose memory no build has touched.
    let searched = Command::new(std::env::current_exe()?).arg(SEARCH_ONLY).args([&data, &target]).status()?;
    if searched.success() { Ok(()) } else { Err("the searching process failed".into()) }
}

#[derive(Deserialize)]
struct SourceLine {
    url: String,
    title: String,
    text: String,
    #[serde(default)]
    links: serde_json::Value,
}

/// What somebody would write who only wants the index.
fn build_bare(source: &Path, folder: &Path, threads: usize) -> Outcome<u64> {
    fs::create_dir(folder)?;
    let index = empty_index(folder)?;
    let schema = index.schema();
    let [url, content, rest] = ["url", "content", "rest"].map(|name| schema.get_field(name));
    let (url, content, rest) = (url?, content?, rest?);
    let (ordinal, kept) = (schema.get_field("ordinal")?, schema.get_field("kept")?);
    let mut writer: IndexWriter = index.writer_with_num_threads(threads, threads * WRITER_BYTES_PER_THREAD)?;
    let mut number = 0;
    let mut reader = BufReader::with_capacity(1 << 17, zstd::Decoder::new(File::open(source)?)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let parsed: SourceLine = serde_json::from_str(&line)?;
        let mut entry = TantivyDocument::default();
        entry.add_text(url, &parsed.url);
        entry.add_text(content, &parsed.title);
        entry.add_text(content, &parsed.title);
        entry.add_text(content, &parsed.text);
        entry.add_text(rest, parsed.links.to_string());
        entry.add_u64(ordinal, number);
        entry.add_u64(kept, number);
        writer.add_document(entry)?;
        number += 1;
        line.clear();
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    merge_bare(&index)?;
    Ok(number)
}

fn merge_bare(index: &Index) -> Outcome<()> {
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 16 << 20)?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    writer.merge(&index.searchable_segment_ids()?).wait()?;
    writer.garbage_collect_files().wait()?;
    writer.wait_merging_threads()?;
    Ok(())
}

#[derive(Deserialize)]
struct Question {
    question: String,
    gold_urls: Vec<String>,
}

fn measure_search(data: &Path, target: &Path) -> Outcome<()> {
    let private_before = private_bytes()?;
    let mut opened = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        drop(Corpus::open(target)?);
        opened = opened.min(started.elapsed());
    }
    println!("open           {:.2} ms (target ≤ 50)", opened.as_secs_f64() * 1e3);
    let corpus = Corpus::open(target)?;
    let reader = BufReader::new(zstd::Decoder::new(File::open(data.join("queries_ottqa.visible.jsonl.zst"))?)?);
    let questions = reader.lines().take(QUESTIONS).map(|line| Ok(serde_json::from_str(&line?)?)).collect::<Outcome<Vec<Question>>>()?;
    for round in ["cold", "warm"] {
        let (mut times, mut gain, mut found) = (Vec::with_capacity(questions.len()), 0.0, 0);
        for question in &questions {
            let started = Instant::now();
            let hits = corpus.search(&question.question, 10)?;
            times.push(started.elapsed());
            let ordinals: Vec<Ordinal> = hits.iter().map(|hit| hit.ordinal).collect();
            let (ndcg, any) = judge(&corpus, question, &ordinals)?;
            gain += ndcg;
            found += usize::from(any);
        }
        times.sort();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        let mean = times.iter().sum::<Duration>().as_secs_f64() * 1e3 / times.len() as f64;
        let count = questions.len() as f64;
        println!(
            "search ({round})  p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms, mean {mean:.3} ms (targets 1 and 6); nDCG@10 {:.4} (target ≥ 0.6155), hit@10 {:.4}",
            at(0.5),
            at(0.99),
            at(1.0),
            gain / count,
            found as f64 / count
        );
    }
    println!(
        "memory         {:.1} MB private before opening, {:.1} MB after all searches",
        megabytes(private_before),
        megabytes(private_bytes()?)
    );
    Ok(())
}

/// nDCG@10 with the question's gold pages, all of one grade, and whether one was found.
fn judge(corpus: &Corpus, question: &Question, hits: &[Ordinal]) -> Outcome<(f64, bool)> {
    let mut gold = Vec::new();
    for url in &question.gold_urls {
        gold.extend(corpus.lookup(url)?);
    }
    let discount = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
    let ideal: f64 = (0..question.gold_urls.len().min(10)).map(discount).sum();
    let gain: f64 = hits.iter().enumerate().filter(|(_, hit)| gold.contains(hit)).map(|(rank, _)| discount(rank)).sum();
    Ok((gain / ideal, gain > 0.0))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn size_of(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Processor time of this process so far, of all threads: unlike time it says the same on a busy machine.
fn cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // After the name in parentheses; user and system time are the 14th and 15th fields, in hundredths.
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// Memory of this process that it shares with no file and no other process. Clean pages of mapped files are the system's cache.
fn private_bytes() -> Outcome<u64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let private = rollup.lines().filter(|line| line.starts_with("Private_Dirty:") || line.starts_with("Private_Hugetlb:"));
    Ok(private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>() * 1024)
}
