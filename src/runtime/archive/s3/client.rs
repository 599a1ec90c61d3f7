//! From a place and the environment to a client: bucket, endpoint, region, credentials, timeouts.
//!
//! One HTTP client, so one pool of connections, for all requests. The SDK's own retries and its watch over slow streams are off: whether
//! something is tried again is decided once, in `call`.

use std::fmt;
use std::time::Duration;

use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::credentials::ProfileFileCredentialsProvider;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::call::Store;
use super::upload::PART_BYTES;
use crate::archive::{ArchiveError, check_key};

/// What is signed for when nobody names a region: stores that are not AWS take any, and most are set up with this one.
const REGION_DEFAULT: &str = "us-east-1";
/// Below servers' usual limits, so that we, not they, end an idle connection.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// The slowest transfer we wait for; what is slower is tried again.
const BYTES_PER_S_MIN: u64 = 256 << 10;

/// What replaces parts of the environment. By default nothing does.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// URL of the store; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile, else AWS itself.
    pub endpoint: Option<String>,
    /// Region to sign for; else `AWS_REGION` and the rest of the usual chain.
    pub region: Option<String>,
    /// Access key; else the environment or the profile, and for AWS itself the rest of the usual chain.
    pub keys: Option<KeyPair>,
    /// How long to wait for the store.
    pub patience: Patience,
}

/// An access key. Its secret is never shown.
#[derive(Clone)]
pub struct KeyPair {
    /// The key's id, which may be shown.
    pub id: String,
    /// What is signed with.
    pub secret: String,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How long one try may take. A request is tried four times before it fails.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a byte from the store.
    pub read: Duration,
    /// Altogether, beside the time that the bytes of a large body take at 256 KiB/s.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(30), attempt: Duration::from_secs(60) }
    }
}

impl Patience {
    /// How long one try at moving so many bytes may take.
    pub(super) fn for_bytes(self, bytes: u64) -> Duration {
        self.attempt + Duration::from_secs(bytes / BYTES_PER_S_MIN)
    }
}

impl Store {
    /// A store for `place`; nothing is sent to it yet.
    pub(super) async fn connect(place: &str, options: &S3Options) -> Result<Self, ArchiveError> {
        let unusable = |reason: &str| ArchiveError::Unusable { archive: place.to_owned(), reason: reason.to_owned() };
        let (bucket, prefix) = split(place).map_err(unusable)?;
        let http = aws_smithy_http_client::Builder::new()
            .pool_idle_timeout(IDLE_MAX)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = options.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL_S3")).or_else(|| variable("AWS_ENDPOINT_URL"));

        let regions = RegionProviderChain::first_try(options.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
        if endpoint.as_deref().is_some_and(is_elsewhere) {
            // Another store has no use for what a machine of AWS can tell of itself, and must not be shown that machine's identity.
            let profile = ProfileFileCredentialsProvider::builder().configure(&ProviderConfig::default().with_http_client(http));
            let named = CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("Profile", profile.build());
            loader = loader.region(regions.or_else(Region::new(REGION_DEFAULT))).credentials_provider(named);
        } else {
            loader = loader.region(regions.or_default_provider().or_else(Region::new(REGION_DEFAULT)));
        }
        if let Some(KeyPair { id, secret }) = options.keys.clone() {
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "given"));
        }
        if let Some(endpoint) = &options.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let shared = loader.load().await;
        let endpoint = endpoint.or_else(|| shared.endpoint_url().map(str::to_owned));

        let client = |read, attempt| {
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(options.patience.connect)
                .read_timeout(read)
                .operation_attempt_timeout(attempt)
                .build();
            let config = Builder::from(&shared)
                .timeout_config(timeouts)
                .retry_config(RetryConfig::disabled())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
                .force_path_style(endpoint.as_deref().is_some_and(is_elsewhere));
            Client::from_conf(config.build())
        };
        // The SDK counts sending a body as waiting for its answer.
        let slow = options.patience.for_bytes(PART_BYTES);
        Ok(Self {
            client: client(options.patience.read, options.patience.attempt),
            bulk_client: client(slow, slow),
            place: place.trim_end_matches('/').to_owned(),
            endpoint: endpoint.unwrap_or_else(|| "AWS".to_owned()),
            bucket,
            prefix,
            patience: options.patience,
        })
    }
}

/// Whether an endpoint is of another store than AWS: those are asked for `host/bucket`, since few have a host name for every bucket.
fn is_elsewhere(endpoint: &str) -> bool {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = after_scheme.split('/').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default().to_ascii_lowercase();
    ![".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| host.ends_with(domain))
}

/// (bucket, what stands before every key: empty, or ending in a slash).
fn split(place: &str) -> Result<(String, String), &'static str> {
    let Some(("s3", path)) = place.split_once("://") else { return Err("expected s3://bucket or s3://bucket/prefix") };
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() || !bucket.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Err("no bucket has such a name; expected s3://bucket or s3://bucket/prefix");
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Ok((bucket.to_owned(), String::new()));
    }
    // Beside the longest key there must be room for it.
    if prefix.len() > 120 || check_key(prefix).is_err() {
        return Err("the prefix is longer than 120 bytes or has empty, hidden or odd segments");
    }
    Ok((bucket.to_owned(), format!("{prefix}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_perhaps_a_prefix() {
        let of = |place| split(place).expect("understood");
        assert_eq!(of("s3://b"), ("b".into(), String::new()));
        assert_eq!(of("s3://b/"), ("b".into(), String::new()));
        assert_eq!(of("s3://b.c-1/p/q/"), ("b.c-1".into(), "p/q/".into()));
        for wrong in
            ["s3:/b", "s3://", "s3:///p", "s3://b/../x", "s3://b//p", "s3://b c", "http://b", &format!("s3://b/{}", "p".repeat(200))]
        {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_aws_itself_has_buckets_as_hosts() {
        assert!(is_elsewhere("http://127.0.0.1:9000"));
        assert!(is_elsewhere("https://amazonaws.com.example.org/x"));
        assert!(!is_elsewhere("https://s3.eu-west-1.amazonaws.com"));
        assert!(!is_elsewhere("https://s3.cn-north-1.amazonaws.com.cn:443/"));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let keys = KeyPair { id: "who".into(), secret: "hush".into() };
        let shown = format!("{:?}", S3Options { keys: Some(keys), ..S3Options::default() });
        assert!(shown.contains("who") && !shown.contains("hush"), "{shown}");
    }
}
