//! Where one server is: its base URL, what it is called, and its share of the jobs.

use reqwest::Url;

use super::error::Trouble;

/// One server of a model, as settings name it.
pub(super) struct Endpoint {
    base: Url,
    name: String,
    weight: u32,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Endpoint {
    pub(super) fn new(written: &str, weight: u32) -> Result<Self, Trouble> {
        // A base without the slash would lose its last part when a path is joined to it.
        let base = Url::parse(&format!("{}/", written.trim_end_matches('/')));
        match base {
            Ok(base) if base.has_host() && matches!(base.scheme(), "http" | "https") => {
                let name = name_of(&base);
                Ok(Self { base, name, weight: weight.max(1) })
            }
            _ => Err(Trouble::permanent("read `endpoints`: each must be a URL like http://127.0.0.1:8000/v1".to_owned())),
        }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// The base URL without user, password or query, which may be secrets.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// At least 1.
    pub(super) fn weight(&self) -> u32 {
        self.weight
    }
}

fn name_of(base: &Url) -> String {
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", base.scheme(), base.host_str().unwrap_or_default(), base.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_without_its_secrets() {
        let endpoint = Endpoint::new("https://user:secret@host:8443/v1/?token=secret", 1).expect("a URL");
        assert_eq!(endpoint.name(), "https://host:8443/v1");
    }
}
