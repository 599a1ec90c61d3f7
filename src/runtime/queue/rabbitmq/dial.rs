//! One attempt at one connection, with an end: a peer that accepts and then says nothing costs a bounded time and leaves nothing behind.
//!
//! The client runs each connection on a thread of its own, which outlives an attempt that nobody waits for any more. So we keep a second
//! handle of its socket, and shutting that down ends the thread.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, TLSConfig};
use lapin::{Connection, ConnectionProperties, Error};
use tokio::time::timeout;

use super::address::Address;
use super::refusal::Refusal;

/// For name, connection, encryption and handshake together.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// A handle of the socket under a connection, to end it whatever state it is in.
#[derive(Debug, Default, Clone)]
pub(super) struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    fn keep(&self, stream: TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    /// Ends the connection now. What it was doing fails.
    pub(super) fn end(&self) {
        let Some(stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Err(error) = stream.shutdown(Shutdown::Both) {
            // It ended before.
            tracing::trace!(%error, "a socket was closed already");
        }
    }
}

/// Connects to `address` under the name `name`.
pub(super) async fn dial(address: &Address, name: &str) -> Result<(Connection, Socket), Refusal> {
    let socket = Socket::default();
    match timeout(DIAL_MAX, connect(address, name, socket.clone())).await {
        Ok(Ok(connection)) => Ok((connection, socket)),
        Ok(Err(error)) => Err(Refusal::of(address, &error)),
        Err(_) => {
            socket.end();
            Err(Refusal::Away(format!("{} did not answer in {} s", address.place(), DIAL_MAX.as_secs())))
        }
    }
}

async fn connect(address: &Address, name: &str, socket: Socket) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        address.uri(),
        runtime,
        async move |uri, runtime| {
            let connecting = AMQPUriTcpExt::connect_with_config_async(&uri, TLSConfig::default(), &runtime);
            let stream = timeout(DIAL_MAX, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let handle = match &stream {
                AsyncTcpStream::Plain(plain) => plain.get_ref().as_fd().try_clone_to_owned()?,
                AsyncTcpStream::Rustls(encrypted) => encrypted.get_ref().0.get_ref().as_fd().try_clone_to_owned()?,
                _ => return Err(Error::from(io::Error::from(io::ErrorKind::Unsupported))),
            };
            socket.keep(TcpStream::from(handle));
            Ok(stream)
        },
        properties,
    )
    .await
}
