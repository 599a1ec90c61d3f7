//! What the client's errors mean for whoever has to act: wait, or mend something first.
//!
//! Only a broker that answered can refuse; all else is distance, and distance passes.

use std::io;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Error, ErrorKind};

use super::address::Address;
use crate::queue::QueueError;

/// Why a connection did not come about.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody there, or not in time.
    Away(String),
    /// The broker answered, and will not have us.
    Refused(String),
}

impl Refusal {
    /// Of an attempt that failed with `error`.
    pub(super) fn of(address: &Address, error: &Error) -> Self {
        let (place, user, vhost) = (address.place(), address.user(), address.vhost());
        match soft_or_hard(error) {
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
                Self::Refused(format!("{place} does not let user {user} in; check name and password, and that the user may come from here"))
            }
            // The same code says that a host is down or full for the moment.
            Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)) if error.to_string().contains("not found") => {
                Self::Refused(format!("{place} has no virtual host {vhost}; create it or name another"))
            }
            Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)) if error.to_string().contains("refused") => {
                Self::Refused(format!("{place} does not let user {user} use the virtual host {vhost}; grant permissions on it"))
            }
            _ if address.is_encrypted() && is_distrust(error) => Self::Refused(format!(
                "{place} is not trusted: {error}; add its authority to the system's certificates or name them in SSL_CERT_FILE"
            )),
            _ => Self::Away(format!("{place}: {error}")),
        }
    }

    /// In words.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Away(reason) | Self::Refused(reason) => reason,
        }
    }
}

impl From<Refusal> for QueueError {
    fn from(refusal: Refusal) -> Self {
        let queue = "broker".into();
        match refusal {
            Refusal::Away(reason) => Self::Unreachable { queue, reason },
            Refusal::Refused(reason) => Self::Unusable { queue, reason },
        }
    }
}

/// What `error`, met while doing something to `queue`, means.
pub(super) fn trouble(queue: &str, error: &Error) -> QueueError {
    let queue = queue.to_string();
    match soft_or_hard(error) {
        Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) => QueueError::Unusable {
            queue,
            reason: format!("the broker has something else under one of our names: {error}; remove that or use another virtual host"),
        },
        Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => QueueError::Unusable {
            queue,
            reason: format!("the user lacks a permission: {error}; it needs configure, write and read on our names"),
        },
        _ => QueueError::Unreachable { queue, reason: error.to_string() },
    }
}

/// Whether the broker says that there is no such queue.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(soft_or_hard(error), Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)))
}

fn soft_or_hard(error: &Error) -> Option<&AMQPErrorKind> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.kind()),
        _ => None,
    }
}

fn is_distrust(error: &Error) -> bool {
    let ErrorKind::IOError(error) = error.kind() else { return false };
    error.kind() == io::ErrorKind::InvalidData || error.to_string().contains("certificate")
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn said(kind: AMQPErrorKind, text: &str) -> Error {
        ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into()
    }

    fn refusal(error: &Error) -> Refusal {
        Refusal::of(&Address::parse("amqps://worker:hunter2@broker:1/factory").expect("an address"), error)
    }

    #[test]
    fn only_what_must_be_mended_is_a_refusal() {
        let login = said(AMQPSoftError::ACCESSREFUSED.into(), "Login was refused");
        let vhost = said(AMQPHardError::NOTALLOWED.into(), "vhost factory not found");
        let permission = said(AMQPHardError::NOTALLOWED.into(), "access to vhost 'factory' refused for user 'worker'");
        let untrusted = Error::from(io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"));
        for (error, needle) in [(login, "user worker"), (vhost, "host factory"), (permission, "host factory"), (untrusted, "SSL_CERT_FILE")]
        {
            let Refusal::Refused(reason) = refusal(&error) else { panic!("{error} is a refusal") };
            assert!(reason.contains(needle) && reason.contains("broker:1") && !reason.contains("hunter2"), "{reason}");
        }
        let down = said(AMQPHardError::NOTALLOWED.into(), "vhost 'factory' is down");
        let closing = said(AMQPHardError::CONNECTIONFORCED.into(), "broker forced connection closure");
        let nobody = Error::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        for error in [down, closing, nobody] {
            assert!(matches!(refusal(&error), Refusal::Away(reason) if reason.contains("broker:1")), "{error} passes");
        }
    }

    #[test]
    fn a_queue_that_is_something_else_is_unusable_and_a_lost_connection_is_not() {
        let other = said(AMQPSoftError::PRECONDITIONFAILED.into(), "inequivalent arg 'x-queue-type' for queue 'jobs.c'");
        assert!(matches!(trouble("jobs.c", &other), QueueError::Unusable { .. }));
        let lost = Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(trouble("jobs.c", &lost), QueueError::Unreachable { .. }));
        assert!(is_absent(&said(AMQPSoftError::NOTFOUND.into(), "no queue")) && !is_absent(&lost));
    }
}
