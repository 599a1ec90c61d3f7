//! A door in front of a teacher: closed it refuses connections, and one job's questions it can refuse or keep waiting.
//!
//! One request a connection, passed on whole. It knows no more of HTTP than where a request ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What happens to a request with the marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The teacher answers it.
    Pass,
    /// 400, as for a request that no server would take.
    Refuse,
    /// It waits for [`Door::answer_held`].
    Hold,
}

/// Longest that a request is held: longer than any test.
const HOLD_MAX: Duration = Duration::from_secs(240);
const REFUSAL: &str = "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";

struct State {
    /// What the door looks for in requests, and what it does where it finds it.
    rule: Mutex<(String, Act)>,
    held: Mutex<Vec<Sender<Act>>>,
    teacher: String,
    is_closing: AtomicBool,
}

/// A door, closed on drop.
pub(crate) struct Door {
    state: Arc<State>,
    address: SocketAddr,
    listening: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens a door to the teacher at `http://host:port/v1`; requests that contain `marker` meet `act`.
    pub(crate) fn open(teacher: &str, marker: &str, act: Act) -> Self {
        let teacher = teacher.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        let rule = Mutex::new((marker.to_owned(), act));
        let state = Arc::new(State { rule, held: Mutex::default(), teacher, is_closing: AtomicBool::new(false) });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut door = Self { state, address: listener.local_addr().expect("an address"), listening: None };
        door.listen(listener);
        door
    }

    /// Its own `http://host:port/v1`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// From here on requests with the marker meet `act`.
    pub(crate) fn rule(&self, act: Act) {
        self.state.rule.lock().expect("no panic held it").1 = act;
    }

    /// How many requests are held.
    pub(crate) fn held(&self) -> usize {
        self.state.held.lock().expect("no panic held it").len()
    }

    /// Lets go of all that is held.
    pub(crate) fn answer_held(&self, act: Act) {
        for held in self.state.held.lock().expect("no panic held it").drain(..) {
            if held.send(act).is_err() {
                eprintln!("a request was held for too long");
            }
        }
    }

    /// Nobody listens any more; what is under way is answered.
    pub(crate) fn close(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        self.state.is_closing.store(true, Ordering::SeqCst);
        // Wakes the listener; should it not connect, nobody listens already.
        drop(TcpStream::connect(self.address));
        listening.join().expect("the door does not panic");
    }

    /// Listens again where it did.
    pub(crate) fn reopen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("its own port");
        self.listen(listener);
    }

    fn listen(&mut self, listener: TcpListener) {
        self.state.is_closing.store(false, Ordering::SeqCst);
        let state = Arc::clone(&self.state);
        self.listening = Some(std::thread::spawn(move || {
            for client in listener.incoming() {
                if state.is_closing.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), state) = (client, Arc::clone(&state)) else { return };
                std::thread::spawn(move || {
                    // A worker that died in the middle is what these tests are about.
                    drop(state.serve(client));
                });
            }
        }));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.answer_held(Act::Refuse);
        self.close();
    }
}

impl State {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, body) = read_request(&client)?;
        let act = {
            let rule = self.rule.lock().expect("no panic held it");
            let is_marked = String::from_utf8_lossy(&body).contains(&rule.0);
            if is_marked { rule.1 } else { Act::Pass }
        };
        let act = if act == Act::Hold { self.hold() } else { act };
        if act != Act::Pass {
            return write!(
                client,
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{REFUSAL}",
                REFUSAL.len()
            );
        }
        let mut teacher = TcpStream::connect(&self.teacher)?;
        teacher.write_all(head.as_bytes())?;
        teacher.write_all(b"connection: close\r\n\r\n")?;
        teacher.write_all(&body)?;
        io::copy(&mut teacher, &mut client).map(drop)
    }

    fn hold(&self) -> Act {
        let (tell, told) = mpsc::channel();
        self.held.lock().expect("no panic held it").push(tell);
        told.recv_timeout(HOLD_MAX).unwrap_or(Act::Refuse)
    }
}

/// Head without its last empty line, and body.
fn read_request(client: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        // The head ends with an empty line, or the connection ends first.
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}
