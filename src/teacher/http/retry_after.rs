//! How long a server asks us to wait, out of the headers of its answer.
//!
//! A date is read against the server's own `Date`, never against our clock, which may be wrong or stand still in a test.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longer waits are taken for mistakes.
const SECONDS_MAX: f64 = 86_400.0;

/// The wait, if one is given that can be read.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return duration(milliseconds / 1000.0);
    }
    let after = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = after.parse::<f64>() {
        return duration(seconds);
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let (until, now) = (date(after)?, date(text(DATE.as_str())?)?);
    // A moment that has passed is no wait.
    duration(until.duration_since(now).unwrap_or_default().as_secs_f64())
}

fn duration(seconds: f64) -> Option<Duration> {
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pairs: &[(&'static str, &'static str)]) -> Option<f64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().expect("a header"));
        }
        read(&headers).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read() {
        assert_eq!(wait(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(0.5));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "1")]), Some(0.25));
        let date = ("date", "Sat, 29 Feb 2020 23:59:50 GMT");
        assert_eq!(wait(&[("retry-after", "Sun, 01 Mar 2020 00:00:20 GMT"), date]), Some(30.0));
        assert_eq!(wait(&[("retry-after", "Sat, 29 Feb 2020 23:00:00 GMT"), date]), Some(0.0));
    }

    #[test]
    fn what_cannot_be_read_is_no_wait() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "-3")]), None);
        assert_eq!(wait(&[("retry-after", "NaN")]), None);
        assert_eq!(wait(&[("retry-after", "Sun, 01 Mar 2020 00:00:20 GMT")]), None);
    }
}
