//! Where a broker is and as whom we go there, read once from an `amqp://` or `amqps://` URL.
//!
//! A password leaves this file only inside the URI handed to the client: neither errors nor `Debug` show it, nor the URL it came in.

use std::fmt;

use lapin::types::ShortString;
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::queue::QueueError;

/// Seconds between signs of life that we propose; the broker may ask for fewer. It gives a silent peer up after two to three of them, and a
/// stopped worker's jobs are to run elsewhere within half a minute. Below five, a busy machine looks like a dead one.
const HEARTBEAT_S: u16 = 8;

/// One broker.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    /// Reads a URL. A path that is empty or `/` means the broker's default virtual host `/`.
    pub(super) fn parse(url: &str) -> Result<Self, QueueError> {
        let unusable = |reason: String| QueueError::Unusable { queue: "broker".into(), reason };
        // The parser's own message may repeat the text it was given.
        let parsed = url.parse::<AMQPUri>();
        let mut uri = parsed.map_err(|_| unusable("its address is not of the form amqp[s]://user:password@host[:port][/vhost]".into()))?;
        if let Some(host) = bracketed(url) {
            host.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if ShortString::try_new(uri.vhost.as_str()).is_err() {
            return Err(unusable(format!("the virtual host named for {} is longer than 255 bytes", place(&uri))));
        }
        uri.query.heartbeat = Some(HEARTBEAT_S);
        Ok(Self { uri })
    }

    /// What the client connects to.
    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    /// Host and port.
    pub(super) fn place(&self) -> String {
        place(&self.uri)
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}@{}/{}", self.uri.scheme, self.user(), self.place(), self.vhost())
    }
}

fn place(uri: &AMQPUri) -> String {
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

/// The host of a URL that gives it as an IPv6 address; the client's parser puts its default in the place of one.
fn bracketed(url: &str) -> Option<&str> {
    let (_, after) = url.split_once("://")?;
    let authority = after.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Address {
        Address::parse(url).expect("a good address")
    }

    #[test]
    fn an_address_is_read_whole_and_shows_no_password() {
        let address = read("amqps://worker:s%2Fcret@broker.example:5999/factory");
        assert_eq!((address.place().as_str(), address.user(), address.vhost()), ("broker.example:5999", "worker", "factory"));
        assert!(address.is_encrypted());
        assert_eq!(address.uri().authority.userinfo.password, "s/cret");
        assert_eq!(format!("{address:?}"), "amqps://worker@broker.example:5999/factory");
    }

    #[test]
    fn an_empty_path_means_the_default_virtual_host() {
        for url in ["amqp://h", "amqp://h/", "amqp://h/%2f"] {
            assert_eq!((read(url).vhost(), read(url).place().as_str()), ("/", "h:5672"), "{url}");
        }
    }

    #[test]
    fn an_address_of_numbers_is_kept() {
        assert_eq!(read("amqp://127.0.0.1:1/%2f").place(), "127.0.0.1:1");
        assert_eq!(read("amqp://u:p@[::1]:5673/x").place(), "::1:5673");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for url in ["http://guest:hunter2@h", "hunter2", "amqp:hunter2", "amqp://u:hunter2@h:port", ""] {
            let error = Address::parse(url).expect_err("no address").to_string();
            assert!(error.contains("amqp[s]://") && !error.contains("hunter2"), "{error}");
        }
    }
}
