//! The S3 adapter, where the store fails, lies or is not what it should be. What every archive promises is in `contract/archive.rs`; here is
//! what only a network can do.

mod corpora;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt, stream};
use runtime::archive::s3::{KeyPair, Patience, S3Archive, S3Options};
use runtime::retry::{Policy, Tried, retry};
use runtime::{Archive, ArchiveError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::services::{OwnS3, S3Place};

/// How an archive at `place` is reached.
pub(crate) fn options(place: &S3Place) -> S3Options {
    S3Options {
        endpoint: Some(place.endpoint.clone()),
        region: Some(place.region.clone()),
        keys: Some(KeyPair { id: place.access_key.clone(), secret: place.secret_key.clone() }),
        patience: Patience::default(),
    }
}

/// Opens one archive again and again, in a prefix of the bucket that nobody else has.
pub(crate) fn in_fresh_prefix(place: &S3Place) -> impl Fn() -> BoxFuture<'static, Arc<dyn Archive>> + use<> {
    let (options, at) = (options(place), format!("s3://{}/t/{}", place.bucket, runtime::random_id().expect("a random id")));
    move || {
        let (options, at) = (options.clone(), at.clone());
        async move { Arc::new(S3Archive::open_with(&at, &options).await.expect("the bucket is there")) as Arc<dyn Archive> }.boxed()
    }
}

async fn own(server: &OwnS3) -> S3Archive {
    // A request that hangs is given up in a second instead of a minute.
    let patience = Patience { connect: Duration::from_secs(1), read: Duration::from_secs(1), attempt: Duration::from_secs(5) };
    let options = S3Options { patience, ..options(server.place()) };
    S3Archive::open_with(&format!("s3://{}/a", server.place().bucket), &options).await.expect("the bucket is there")
}

/// Bytes that differ from those of any other number.
fn object(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(31).wrapping_add(number.wrapping_mul(7919)) >> 3) as u8).collect()
}

/// As a worker does: waits and asks again while the store is unavailable, and for nothing else.
async fn insist<T, F: Future<Output = Result<T, ArchiveError>>>(ask: impl Fn() -> F) -> T {
    let policy = Policy { tries: Some(8), ..Policy::DEPENDENCY };
    let asked = retry(policy, std::future::pending(), || {
        let asked = ask();
        async {
            asked.await.map_err(|error| match error {
                ArchiveError::Unavailable { .. } => Tried::again(error),
                _ => Tried::Stop(error),
            })
        }
    });
    asked.await.expect("it comes right in the end")
}

/// 200 puts and gets while three of ten requests meet the fault, then what is there by a store that is well again.
async fn comes_right_under(mode: &str) {
    const OBJECTS: usize = 200;
    let server = OwnS3::start();
    let archive = own(&server).await;
    server.place().order(&serde_json::json!({"mode": mode, "share": 0.3, "seed": 7, "hang_seconds": 5}));
    let bytes = |number: usize| object(number, 100 + 97 * number);
    let key = |number: usize| format!("under/{number:03}");
    stream::iter(0..OBJECTS)
        .for_each_concurrent(32, |number| {
            let archive = &archive;
            async move {
                let key = key(number);
                insist(|| archive.put(&key, bytes(number))).await;
                let got = insist(|| archive.get(&key)).await;
                assert!(got == Some(bytes(number)), "object {number} came back changed");
            }
        })
        .await;
    let counts = server.place().counts();
    assert!(counts[mode].as_u64() > Some(50), "the fault was met: {counts}");
    server.place().heal();
    let listed = archive.list("under/").await.expect("well again");
    assert_eq!(listed.len(), OBJECTS);
    for (number, listed) in listed.iter().enumerate() {
        assert_eq!((listed.key.clone(), listed.bytes), (key(number), bytes(number).len() as u64));
        assert_eq!(archive.get(&listed.key).await.expect("well again"), Some(bytes(number)));
    }
}

#[tokio::test]
async fn puts_and_gets_come_right_when_requests_are_answered_500() {
    comes_right_under("error500").await;
}

#[tokio::test]
async fn puts_and_gets_come_right_when_the_store_asks_to_slow_down() {
    comes_right_under("slowdown").await;
}

#[tokio::test]
async fn puts_and_gets_come_right_when_connections_are_closed() {
    comes_right_under("refuse").await;
}

#[tokio::test]
async fn puts_and_gets_come_right_when_requests_hang() {
    comes_right_under("hang").await;
}

#[tokio::test]
async fn puts_and_gets_come_right_when_bodies_are_cut() {
    comes_right_under("truncate").await;
}

#[tokio::test]
async fn puts_and_gets_come_right_when_answers_are_lost() {
    comes_right_under("late").await;
}

#[tokio::test]
async fn a_store_that_is_down_is_unavailable_and_usable_when_it_is_back() {
    let mut server = OwnS3::start();
    let archive = own(&server).await;
    archive.put("k", b"1".to_vec()).await.expect("room");
    server.kill();
    let began = Instant::now();
    let got = archive.get("k").await;
    assert!(matches!(&got, Err(ArchiveError::Unavailable { reason, .. }) if reason.contains(&server.place().endpoint)), "{got:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    server.restart();
    assert_eq!(archive.get("k").await.expect("back").as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn what_a_person_has_to_mend_is_said_at_once_and_no_secret_with_it() {
    let server = OwnS3::start();
    let right = options(server.place());
    let wrong_key = S3Options { keys: Some(KeyPair { id: "own".into(), secret: "not-the-secret".into() }), ..right.clone() };
    let unknown_key = S3Options { keys: Some(KeyPair { id: "nobody".into(), secret: "hush".into() }), ..right.clone() };
    let nowhere = S3Options { endpoint: Some("http://127.0.0.1:9".into()), ..right.clone() };
    for (place, options, said) in [
        ("s3://own/p", wrong_key, ["AWS_SECRET_ACCESS_KEY", "bucket own"]),
        ("s3://own/p", unknown_key, ["AWS_SECRET_ACCESS_KEY", "bucket own"]),
        ("s3://other/p", right.clone(), ["NoSuchBucket", "bucket other"]),
        ("s3://own/p", nowhere, ["onnect", "127.0.0.1:9"]),
        ("s3://own/../p", right, ["prefix", "s3://own/../p"]),
    ] {
        let began = Instant::now();
        let error = S3Archive::open_with(place, &options).await.expect_err("it cannot be used").to_string();
        for part in said {
            assert!(error.contains(part), "{place}: {error}");
        }
        assert!(!error.contains("not-the-secret") && !error.contains("hush"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{place}: {error}");
    }
    let other_kind = runtime::archive::connect("ftp://somewhere").await.err().map(|error| error.to_string());
    assert!(other_kind.is_some_and(|error| error.contains("s3://bucket/prefix")));
}

#[test]
fn a_store_without_credentials_is_an_error_that_names_the_variables() {
    // Nobody listens at the address: whether there are credentials is known before anything is sent.
    let home = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice-under-test"));
    command.env_clear().env("HOME", home.path()).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    command.args(["corpus", "pull", &"0".repeat(64), "--archive", "s3://b/p", "--into"]).arg(home.path());
    let ended = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{said}");
}

#[tokio::test]
async fn a_large_file_goes_up_in_parts_and_leaves_no_unfinished_upload() {
    let server = OwnS3::start();
    let archive = own(&server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let whole = object(1, 40 << 20);
    fs::write(&from, &whole).expect("room");
    // Create, three parts, join: with the last order, of the first forty requests the fifth alone meets the fault, so that the upload is
    // joined and nobody is told.
    for (mode, share, seed) in [("none", 0.0, 0), ("error500", 0.3, 3), ("late", 0.1, 49)] {
        server.place().order(&serde_json::json!({"mode": mode, "share": share, "seed": seed}));
        match mode {
            "error500" => insist(|| archive.put_file("large", &from)).await,
            _ => archive.put_file("large", &from).await.expect("at the first try"),
        }
        let got = insist(|| async {
            // A try that failed may have left a part of the file.
            fs::remove_file(&to)
                .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .expect("ours");
            archive.get_file("large", &to).await
        });
        assert!(got.await && fs::read(&to).expect("written") == whole, "{mode}");
        server.place().heal();
        archive.delete("large").await.expect("ours");
    }
    assert_eq!((server.place().counts()["late"].as_u64(), unfinished_uploads(&server)), (Some(1), 0));

    // A file that shrinks while it is read fails, and what was uploaded of it is taken back. Most of its ten parts wait for the first.
    let changing = fs::File::options().write(true).open(&from).expect("ours");
    changing.set_len(160 << 20).expect("room");
    let (put, ()) = futures::join!(archive.put_file("large", &from), async {
        while unfinished_uploads(&server) == 0 {
            tokio::task::yield_now().await;
        }
        changing.set_len(1 << 20).expect("ours");
    });
    assert!(matches!(&put, Err(ArchiveError::File { path, .. }) if path.ends_with("from")), "{put:?}");
    assert_eq!((unfinished_uploads(&server), archive.exists("large").await.expect("readable")), (0, false));
}

/// The server keeps a folder for each beside its buckets.
fn unfinished_uploads(server: &OwnS3) -> usize {
    fs::read_dir(server.folder().join(".loopback/uploads")).expect("its uploads").count()
}

#[tokio::test]
async fn a_long_listing_is_read_page_by_page_and_stays_in_its_folder() {
    let server = OwnS3::start();
    let archive = own(&server).await;
    let keys: Vec<String> = (0..2500).map(|number| format!("v/3/{number:05}")).collect();
    let others = ["v/3/deeper/x", "v/30/x", "v/2/x", "v/3x"].map(str::to_owned);
    stream::iter(keys.iter().chain(&others))
        .for_each_concurrent(32, |key| async { archive.put(key, b"12".to_vec()).await.expect("room") })
        .await;
    let listed: Vec<String> = archive.list("v/3/").await.expect("readable").into_iter().map(|listed| listed.key).collect();
    assert_eq!(listed, keys);
    assert_eq!(archive.folders("v/").await.expect("readable"), ["2", "3", "30"]);
}

#[tokio::test]
async fn all_who_open_a_fresh_archive_at_once_agree_on_its_id() {
    let server = OwnS3::start();
    let opened = join_all((0..8).map(|_| own(&server))).await;
    assert!(opened.iter().all(|archive| archive.id() == opened[0].id()));
    assert_eq!(own(&server).await.id(), opened[0].id());
}

#[tokio::test]
async fn a_byte_that_flips_on_the_way_is_found_and_sent_again() {
    let server = OwnS3::start();
    let wire = Wire::to(&server.place().endpoint).await;
    let options = S3Options { endpoint: Some(wire.endpoint.clone()), ..options(server.place()) };
    let archive = S3Archive::open_with("s3://own/w", &options).await.expect("the bucket is there");
    for round in 0..3 {
        wire.spoil_next(1);
        archive.put("k", marked(round)).await.expect("sent again");
        wire.spoil_next(1);
        assert!(archive.get("k").await.expect("asked again") == Some(marked(round)));
        assert_eq!(wire.spoiled(), 2 * (round + 1), "each of them met a flipped byte");
    }
    let folder = tempfile::tempdir().expect("a folder");
    wire.spoil_next(1);
    let got = archive.get_file("k", &folder.path().join("k")).await;
    assert!(matches!(&got, Err(ArchiveError::Unavailable { reason, .. }) if reason.contains("digest")), "{got:?}");
}

/// What `Wire` looks for.
const MARK: &[u8] = b"-- flip the byte that follows --";

fn marked(number: usize) -> Vec<u8> {
    [object(number, 3000).as_slice(), MARK, &object(number, 3000)].concat()
}

/// A connection to a server that flips one bit behind each mark, in either direction, as often as it is told to.
struct Wire {
    endpoint: String,
    /// Marks still to be spoiled, and those that were.
    state: Arc<(AtomicUsize, AtomicUsize)>,
}

impl Wire {
    async fn to(endpoint: &str) -> Self {
        let target = endpoint.strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.expect("the server listens");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_in, far_out, shared.clone()));
                tokio::spawn(carry(far_in, near_out, shared.clone()));
            }
        });
        Self { endpoint, state }
    }

    fn spoil_next(&self, marks: usize) {
        self.state.0.store(marks, Ordering::SeqCst);
    }

    fn spoiled(&self) -> usize {
        self.state.1.load(Ordering::SeqCst)
    }
}

/// Carries bytes until a side closes. Objects here fit into what is read at once together with their head, or lie in the next read whole.
async fn carry(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, state: Arc<(AtomicUsize, AtomicUsize)>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &mut buffer[..read];
        let at = bytes.windows(MARK.len()).position(|window| window == MARK);
        if let Some(byte) = at.and_then(|at| bytes.get_mut(at + MARK.len()))
            && state.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            *byte ^= 4;
            state.1.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
