//! An S3-compatible server on loopback, for tests: a folder behind the protocol of s3s, with signatures checked and faults on request.
//!
//! Three layers: `front` may spoil a request, s3s speaks the protocol, `store` keeps objects as files. A second port orders the faults and
//! counts them. It prints `listening on http://127.0.0.1:PORT` when it is ready. Nothing here survives a power loss, and nothing needs to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use hyper_util::rt::TokioIo;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

#[path = "s3_server/api.rs"]
mod api;
#[path = "s3_server/checksums.rs"]
mod checksums;
#[path = "s3_server/control.rs"]
mod control;
#[path = "s3_server/faults.rs"]
mod faults;
#[path = "s3_server/front.rs"]
mod front;
#[path = "s3_server/listing.rs"]
mod listing;
#[path = "s3_server/store.rs"]
mod store;
#[path = "s3_server/uploads.rs"]
mod uploads;

/// Connections at a time, per port; more of them wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

/// An S3-compatible server on loopback, for tests.
#[derive(Parser)]
struct Arguments {
    /// The folder that holds the buckets; created when missing.
    #[arg(long)]
    folder: PathBuf,
    /// A bucket that is to exist.
    #[arg(long)]
    bucket: String,
    /// The port of S3; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port that orders faults; 0 takes a free one, and without it there is none.
    #[arg(long)]
    control: Option<u16>,
    /// The access key that requests are signed with.
    #[arg(long, env = "AWS_ACCESS_KEY_ID")]
    access_key: String,
    /// Its secret.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    secret_key: String,
    /// Ends when standard input does, so that a server does not outlive who started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

/// The one pair of keys. An unknown one is refused with the code that S3 itself uses.
struct Keys {
    access: String,
    secret: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> s3s::S3Result<SecretKey> {
        if access_key != self.access {
            return Err(s3s::s3_error!(InvalidAccessKeyId));
        }
        Ok(self.secret.clone())
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loopback-s3: failed to serve: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    let store = Arc::new(store::Store::open(&arguments.folder)?);
    store.create_bucket(&arguments.bucket)?;
    let mut builder = S3ServiceBuilder::new(api::Api::new(store));
    builder.set_auth(Keys { access: arguments.access_key, secret: arguments.secret_key.into() });
    let s3 = builder.build();
    let faults = Arc::new(faults::Faults::default());

    let listener = bind(arguments.port).await?;
    if let Some(port) = arguments.control {
        let listener = bind(port).await?;
        println!("control on http://{}", listener.local_addr()?);
        let faults = faults.clone();
        tokio::spawn(accept(listener, move |request| control::answer(request, faults.clone())));
    }
    println!("listening on http://{}", listener.local_addr()?);
    let serving = accept(listener, move |request| front::answer(request, s3.clone(), faults.clone()));
    if !arguments.until_stdin_ends {
        serving.await;
        return Ok(());
    }
    tokio::select! {
        () = serving => Ok(()),
        ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())) => ended?.map(|_| ()),
    }
}

async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Serves connections for ever, each in a task of its own. A connection that fails is the client's to notice: faults end many of them.
async fn accept<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(hyper::Request<hyper::body::Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<hyper::Response<s3s::Body>, s3s::HttpError>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = slots.clone().acquire_owned().await;
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                eprintln!("loopback-s3: failed to accept a connection: {error}");
                continue;
            }
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let service = hyper::service::service_fn(answer);
            if let Err(error) = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
                && std::env::var_os("LOOPBACK_S3_VERBOSE").is_some()
            {
                eprintln!("loopback-s3: a connection ended: {error}");
            }
        });
    }
}
