//! A small TCP proxy before a server: it passes bytes on, and on request cuts its connections, cuts them in the middle of what is being
//! sent, or stalls them there.
//!
//! It knows no protocol. Stalled, a connection passes half of the next bytes that come, which ends inside a frame, and then nothing, like a
//! network that drops packets; it goes on where it was.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

/// Connections at a time; more of them wait.
const CONNECTIONS_MAX: usize = 512;
/// Bytes passed on at a time.
const PIECE_BYTES: usize = 16 << 10;

/// What is asked of all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Order {
    /// How many times everything was cut.
    cuts: u64,
    /// How many times everything was to be cut at the next bytes.
    cuts_mid_frame: u64,
    is_stalled: bool,
}

/// A proxy, for as long as its runtime runs.
pub(crate) struct Proxy {
    order: watch::Sender<Order>,
    port: u16,
}

impl Proxy {
    /// A proxy on a free port before the port `to` of this machine.
    pub(crate) fn start(runtime: &Handle, to: u16) -> std::io::Result<Self> {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let (order, orders) = watch::channel(Order::default());
        runtime.spawn(accept(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, to)), orders));
        Ok(Self { order, port })
    }

    /// `url` with the proxy's port in the place of the server's.
    pub(crate) fn before(&self, url: &str) -> String {
        let server = ::tests::services::port_of(url);
        url.replace(&format!("127.0.0.1:{server}"), &format!("127.0.0.1:{}", self.port))
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.order.send_modify(|order| order.cuts += 1);
    }

    /// Lets each connection pass half of the next bytes that come, and then ends it.
    pub(crate) fn cut_mid_frame(&self) {
        self.order.send_modify(|order| order.cuts_mid_frame += 1);
    }

    /// Lets each connection pass half of the next bytes that come and nothing more, or everything again.
    pub(crate) fn stall(&self, is_stalled: bool) {
        self.order.send_modify(|order| order.is_stalled = is_stalled);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, orders: watch::Receiver<Order>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Until its runtime ends.
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let Ok((client, _)) = listener.accept().await else { continue };
        let orders = orders.clone();
        tokio::spawn(async move {
            let _slot = slot;
            connect(client, to, orders).await;
        });
    }
}

/// Serves one connection to its end. A server that is not there closes it.
async fn connect(client: TcpStream, to: SocketAddr, mut orders: watch::Receiver<Order>) {
    let began = *orders.borrow_and_update();
    if orders.wait_for(|order| !order.is_stalled || order.cuts != began.cuts).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else { return };
    // Latency would be ours, not the server's.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::select! {
        () = pass(client_reads, server_writes, began, orders.clone()) => {}
        () = pass(server_reads, client_writes, began, orders) => {}
    }
}

/// Passes bytes one way until an end, an error or a cut; either way ends the whole connection.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, began: Order, mut orders: watch::Receiver<Order>) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            cut = orders.wait_for(|order| order.cuts != began.cuts) => { drop(cut); return }
            read = from.read(&mut piece) => read,
        };
        let Ok(read @ 1..) = read else { return };
        let half = read / 2;
        let is_stalled = orders.borrow().is_stalled;
        let passed = if is_stalled { half } else { 0 };
        if to.write_all(&piece[..passed]).await.is_err() {
            return;
        }
        let Ok(order) = orders.wait_for(|order| !order.is_stalled || order.cuts != began.cuts).await.map(|order| *order) else { return };
        if order.cuts != began.cuts {
            return;
        }
        let is_torn = order.cuts_mid_frame != began.cuts_mid_frame;
        let end = if is_torn { half } else { read };
        if to.write_all(&piece[passed..end]).await.is_err() || is_torn {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use super::*;

    /// A server that sends back what it gets, behind a proxy, and a client of it.
    fn echo() -> (tokio::runtime::Runtime, Proxy, std::net::TcpStream) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        runtime.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = socket.split();
                    tokio::io::copy(&mut reads, &mut writes).await
                });
            }
        });
        let proxy = Proxy::start(runtime.handle(), port).expect("a port");
        let client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).expect("it listens");
        (runtime, proxy, client)
    }

    fn says_back(client: &mut std::net::TcpStream, text: &[u8; 4]) -> std::io::Result<[u8; 4]> {
        client.write_all(text)?;
        let mut back = [0; 4];
        client.read_exact(&mut back).map(|()| back)
    }

    #[test]
    fn bytes_pass_until_the_connection_is_cut() {
        let (_runtime, proxy, mut client) = echo();
        assert_eq!(says_back(&mut client, b"abcd").expect("passed"), *b"abcd");
        proxy.cut();
        let mut rest = Vec::new();
        assert!(client.read_to_end(&mut rest).is_err() || rest.is_empty(), "it is over");
    }

    #[test]
    fn a_connection_cut_in_the_middle_delivers_half() {
        let (_runtime, proxy, mut client) = echo();
        assert_eq!(says_back(&mut client, b"abcd").expect("passed"), *b"abcd");
        proxy.cut_mid_frame();
        client.write_all(b"efgh").expect("sent");
        let mut rest = Vec::new();
        // The end may come as a reset.
        drop(client.read_to_end(&mut rest));
        assert!(rest.len() < 4, "{rest:?}");
        let mut next = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).expect("it listens");
        assert_eq!(says_back(&mut next, b"ijkl").expect("a later connection is whole"), *b"ijkl");
    }

    #[test]
    fn a_stalled_connection_stops_in_the_middle_and_goes_on_where_it_was() {
        let (_runtime, proxy, mut client) = echo();
        assert_eq!(says_back(&mut client, b"abcd").expect("passed"), *b"abcd");
        proxy.stall(true);
        client.write_all(b"efgh").expect("sent");
        let mut back = [0; 4];
        // Half of it reaches the server, and half of what that sends back.
        client.read_exact(&mut back[..1]).expect("the beginning comes");
        client.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
        assert!(client.read(&mut back[1..]).is_err(), "nothing more comes");
        client.set_read_timeout(None).expect("set");
        proxy.stall(false);
        client.read_exact(&mut back[1..]).expect("the rest comes now");
        assert_eq!(back, *b"efgh");
    }
}
