//! How a process of the cluster reaches what it shares with the others: from the environment, checked whole before anything is opened.
//!
//! Secrets stand in these URLs, so nothing here prints one: what is shown has neither user nor password.

use std::fmt;

/// Brokers, tried in turn: `amqp://` or `amqps://`, separated by commas.
pub const AMQP_VARIABLE: &str = "SLUICE_AMQP_URL";
/// The broker's management interface, for depths and limits; optional.
pub const AMQP_MANAGEMENT_VARIABLE: &str = "SLUICE_AMQP_MANAGEMENT_URL";
/// The ledger: `redis://` or `rediss://`.
pub const REDIS_VARIABLE: &str = "SLUICE_REDIS_URL";

/// What a process of the cluster connects to.
#[derive(Clone, PartialEq, Eq)]
pub struct Connections {
    /// URLs of brokers; never empty.
    pub amqp: Vec<String>,
    /// URL of the management interface.
    pub amqp_management: Option<String>,
    /// URL of the ledger.
    pub redis: String,
}

/// Variables that are missing or wrong, all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connect to the cluster:\n{}", problems.join("\n"))]
pub struct ConnectionsError {
    /// One line each.
    pub problems: Vec<String>,
}

impl Connections {
    /// What the environment says.
    ///
    /// # Errors
    /// Everything that is missing or wrong, at once.
    pub fn from_environment() -> Result<Self, ConnectionsError> {
        Self::read(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConnectionsError> {
        let mut problems = Vec::new();
        let mut urls = |name: &str, schemes: &[&str], example: &str, is_needed: bool| -> Vec<String> {
            let written = variable(name).unwrap_or_default();
            let urls: Vec<String> = written.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
            if urls.is_empty() && is_needed {
                problems.push(format!("  {name} is not set; give a URL such as {example}"));
            }
            for url in &urls {
                if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
                    problems.push(format!("  {name}: `{}` does not begin with {}", shown(url), schemes.join(" or ")));
                }
            }
            urls
        };
        let amqp = urls(AMQP_VARIABLE, &["amqp://", "amqps://"], "amqp://user:password@host:5672/vhost", true);
        let management = urls(AMQP_MANAGEMENT_VARIABLE, &["http://", "https://"], "http://user:password@host:15672", false);
        let redis = urls(REDIS_VARIABLE, &["redis://", "rediss://"], "redis://:password@host:6379", true);
        if problems.is_empty() {
            Ok(Self { amqp, amqp_management: management.into_iter().next(), redis: redis.into_iter().next().unwrap_or_default() })
        } else {
            Err(ConnectionsError { problems })
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amqp: Vec<String> = self.amqp.iter().map(|url| shown(url)).collect();
        f.debug_struct("Connections").field("amqp", &amqp).field("redis", &shown(&self.redis)).finish_non_exhaustive()
    }
}

/// A URL without user and password.
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_secret_with_it() {
        let error = Connections::read(|_| None).expect_err("nothing is set").to_string();
        assert!(error.contains(AMQP_VARIABLE) && error.contains(REDIS_VARIABLE) && !error.contains(AMQP_MANAGEMENT_VARIABLE), "{error}");
        let error = Connections::read(|_| Some("http://u:hush@host/".into())).expect_err("no such scheme").to_string();
        assert!(error.contains("http://host/") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn several_brokers_are_separated_by_commas() {
        let read = |name: &str| match name {
            AMQP_VARIABLE => Some("amqp://u:p@a:5672, amqps://u:p@b:5671/v".to_owned()),
            REDIS_VARIABLE => Some("redis://:p@c:6379".to_owned()),
            _ => None,
        };
        let connections = Connections::read(read).expect("all there");
        assert_eq!((connections.amqp.len(), connections.amqp_management.is_none()), (2, true));
        assert!(!format!("{connections:?}").contains(":p@"), "{connections:?}");
    }
}
