//! Servers that are not there or refuse us, and a corpus that is missing or damaged: one clear error each.

use std::time::{Duration, Instant};

use super::servers::Servers;
use super::town::{Town, eventually};
use super::worker::Worker;

/// A process that cannot work has to say so within this time.
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// What is wrong, and a word that the error must have.
type Wrong = (&'static str, &'static str, String, &'static str);

#[test]
fn servers_that_refuse_us_or_are_not_there_end_a_worker_with_one_error_and_exit_3() {
    let town = Town::new(Servers::shared(), 1, Duration::ZERO, "");
    town.submit();
    let servers = &town.servers;
    let nobody = "127.0.0.1:9";
    let without_password = |url: &str| {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (user, host) = rest.split_once('@').expect("a URL with a user");
        format!("{scheme}://{}:wrong@{host}", user.split(':').next().unwrap_or_default())
    };
    let cases: [Wrong; 7] = [
        ("a wrong password at the broker", "SLUICE_AMQP_URL", without_password(&servers.amqp), "does not let user sluice in"),
        ("a wrong password at Redis", "SLUICE_REDIS_URL", without_password(&servers.redis), "SLUICE_REDIS_URL"),
        ("a wrong key at S3", "AWS_SECRET_ACCESS_KEY", "wrong".to_owned(), "archive"),
        ("a bucket that is not there", "SLUICE_ARCHIVE", "s3://no-such-bucket/a".to_owned(), "no-such-bucket"),
        ("nobody at the broker's address", "SLUICE_AMQP_URL", format!("amqp://u:p@{nobody}/%2f"), nobody),
        ("nobody at Redis's address", "SLUICE_REDIS_URL", format!("redis://:p@{nobody}"), nobody),
        ("nobody at S3's address", "AWS_ENDPOINT_URL", format!("http://{nobody}"), "archive"),
    ];
    let began = Instant::now();
    let mut workers: Vec<(Wrong, Worker)> = cases
        .into_iter()
        .map(|case| {
            // Quiet, as by default: what is left is the error.
            let environment = [(case.1, case.2.as_str()), ("SLUICE_LOG", "error,lapin=off")];
            let worker = town.worker_with("filter", &[], &environment);
            (case, worker)
        })
        .collect();
    for ((what, _, _, word), worker) in &mut workers {
        let (status, said) = (worker.ended(), worker.said());
        assert_eq!(status.code(), Some(3), "{what}: {said}");
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("sluice: failed to ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(*word), "{what}: {said}");
        assert!(!said.contains("wrong"), "{what}: no secret is shown: {said}");
    }
    assert!(began.elapsed() < SAID_WITHIN, "it took {:?}", began.elapsed());
}

/// Keys of all objects of the campaign's corpus, the manifest last: it says that the rest is there.
fn corpus_objects(town: &Town) -> Vec<String> {
    let corpus = format!("corpora/{}/", town.plan().corpus_id);
    let mut keys = Vec::new();
    for build in town.folders(&corpus) {
        let build = format!("{corpus}{build}/");
        // A snapshot is two folders deep.
        let inner = town.folders(&build).into_iter().map(|inner| format!("{build}{inner}/"));
        keys.extend(inner.chain([build.clone()]).flat_map(|folder| town.keys(&folder)));
    }
    keys.sort_by_key(|key| key.ends_with("manifest.json"));
    keys
}

/// A worker of a machine that has no corpus yet meets the archive's, which is of no use, and says `word`; it lives and takes no job. When
/// `mends` has run, it works.
fn says_so_and_works_when_it_is_mended(town: &Town, word: &str, mends: impl FnOnce()) {
    let corpora = town.path("corpora");
    let flags = ["--corpora", corpora.to_str().expect("UTF-8")];
    let (mut synthesis, mut filter) = (town.worker_with("synthesis", &flags, &[]), town.worker("filter"));
    let complaint = "the campaign cannot be worked on here";
    eventually("the worker says that it cannot use the corpus", || synthesis.said().contains(complaint));
    assert!(!synthesis.is_over(), "it lives: {}", synthesis.said());
    assert_eq!(town.teacher.teacher.counts().0, 0, "it has taken no job");
    mends();
    town.all_terminal(3, &mut [&mut synthesis, &mut filter]);
    let said = synthesis.said();
    assert!(said.lines().filter(|line| line.contains(complaint)).all(|line| line.contains(word)), "{word} in each complaint: {said}");
    assert_eq!(town.seal_and_prove(3).manifest["counts"]["failed"], 0);
}

#[test]
fn a_corpus_that_is_missing_is_said_and_worked_with_when_it_is_there() {
    let town = Town::new(Servers::shared(), 3, Duration::ZERO, "");
    town.submit();
    let mut taken = Vec::new();
    for key in corpus_objects(&town) {
        taken.push((key.clone(), town.object(&key).expect("it was just listed")));
        town.delete(&key);
    }
    assert!(taken.len() > 1, "there was a corpus to take away");
    says_so_and_works_when_it_is_mended(&town, town.plan().corpus_id.as_str(), || {
        for (key, bytes) in taken {
            town.put(&key, bytes);
        }
    });
}

#[test]
fn a_corpus_with_one_changed_byte_is_said_and_worked_with_when_it_is_mended() {
    let town = Town::new(Servers::shared(), 3, Duration::ZERO, "");
    town.submit();
    let objects = corpus_objects(&town);
    let key = objects.iter().find(|key| key.ends_with(".store")).expect("a snapshot has its documents in such a file");
    let whole = town.object(key).expect("it was just listed");
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    town.put(key, changed);
    says_so_and_works_when_it_is_mended(&town, key, || town.put(key, whole));
}
