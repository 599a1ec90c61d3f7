//! How the played server behaves, and what of it contradicts itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use model::settings::Dialect;

use super::faults::Fault;

/// Longest time that may be set: far beyond any rehearsal, far below what a clock can hold.
const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// How the server behaves. Shares of faults are shares of tries, from 0 to 1, and come one at a time: those of the server add up to at most 1,
/// and so do those of the model. What each fault does is told at [`Fault`].
#[derive(Debug, Clone, PartialEq)]
pub struct SimSettings {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The model's name.
    pub model: String,
    /// Whether it answers for models of other names too. A real server does not.
    pub any_model: bool,
    /// How the played teacher writes its calls. `None`: natively where tools are offered, else as it writes itself.
    pub dialect: Option<Dialect>,
    /// Mean time to the first token, in a slot.
    pub latency_mean: Duration,
    /// How single latencies are spread around the mean.
    pub latency_shape: LatencyShape,
    /// For the uniform shape: how far latencies spread, as a share of the mean: 0 none, 1 from nothing to twice the mean.
    pub latency_jitter: f64,
    /// Speed of a completion after its first token; `None`: it is there at once.
    pub tokens_per_second: Option<f64>,
    /// Requests answered at once.
    pub slots: u32,
    /// Requests that wait for a slot at most; more are told to come back.
    pub queue: u32,
    /// Whether a full queue answers 429 and not 503.
    pub full_429: bool,
    /// Requests admitted per minute; as many may come at once after a minute of rest.
    pub requests_per_minute: Option<u32>,
    /// Tokens admitted per minute: those of the prompt and `max_tokens`, of which what was not written is given back.
    pub tokens_per_minute: Option<u64>,
    /// Share of 429. From the fourth numbered try on the server has faults only for a share of 1.
    pub rate_429: f64,
    /// Share of 500.
    pub rate_500: f64,
    /// Share of 502.
    pub rate_502: f64,
    /// Share of 503.
    pub rate_503: f64,
    /// Share of requests that are never answered.
    pub rate_hang: f64,
    /// Share of connections cut before the answer.
    pub rate_cut: f64,
    /// Share of answers torn in the middle.
    pub rate_torn: f64,
    /// Share of answers that come piece by piece over `trickle`.
    pub rate_trickle: f64,
    /// Share of answers that are no JSON.
    pub rate_garbled: f64,
    /// Share of answers without any content. This and those below are the model's: the same request always gets the same.
    pub rate_empty: f64,
    /// Share of refusals.
    pub rate_refusal: f64,
    /// Share of the calling answers whose last call the token limit cuts.
    pub rate_cut_call: f64,
    /// Share of the calling answers whose last call is malformed.
    pub rate_broken_call: f64,
    /// Share of the calling answers whose last call names a tool that there is not.
    pub rate_unknown_tool: f64,
    /// Share of the calling answers that tell of a call instead of making it.
    pub rate_narrated: f64,
    /// How long an answer that trickles takes more than another.
    pub trickle: Duration,
    /// `Retry-After` of a 429 or 503 that is a fault or a full queue, in seconds. That of a rate limit is what it has to be.
    pub retry_after_s: u64,
    /// How far the beginnings of down windows lie apart, the first so far after the start; `None`: there are none.
    pub down_every: Option<Duration>,
    /// How long a down window lasts, in which every connection is closed unanswered.
    pub down_for: Duration,
    /// Longest prompt and completion together, in tokens; longer ones are refused as OpenAI refuses them.
    pub context_tokens: Option<u32>,
    /// Root of all randomness.
    pub seed: u64,
}

/// How latencies are spread around their mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatencyShape {
    /// All the same.
    Fixed,
    /// Evenly, as far as the jitter says.
    Uniform,
    /// Exponentially: one in a hundred takes 4.6 times the mean.
    Exponential,
    /// Log-normally, as completions of real servers are: one in a hundred takes 2.8 times the mean.
    Lognormal,
}

impl FromStr for LatencyShape {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fixed" => Ok(Self::Fixed),
            "uniform" => Ok(Self::Uniform),
            "exponential" => Ok(Self::Exponential),
            "lognormal" => Ok(Self::Lognormal),
            _ => Err("a latency is fixed, uniform, exponential or lognormal".to_owned()),
        }
    }
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            model: "heuristic".to_owned(),
            any_model: true,
            dialect: None,
            latency_mean: Duration::ZERO,
            latency_shape: LatencyShape::Uniform,
            latency_jitter: 0.0,
            tokens_per_second: None,
            slots: 4096,
            queue: 4096,
            full_429: false,
            requests_per_minute: None,
            tokens_per_minute: None,
            rate_429: 0.0,
            rate_500: 0.0,
            rate_502: 0.0,
            rate_503: 0.0,
            rate_hang: 0.0,
            rate_cut: 0.0,
            rate_torn: 0.0,
            rate_trickle: 0.0,
            rate_garbled: 0.0,
            rate_empty: 0.0,
            rate_refusal: 0.0,
            rate_cut_call: 0.0,
            rate_broken_call: 0.0,
            rate_unknown_tool: 0.0,
            rate_narrated: 0.0,
            trickle: Duration::from_secs(10),
            retry_after_s: 1,
            down_every: None,
            down_for: Duration::ZERO,
            context_tokens: None,
            seed: 0,
        }
    }
}

impl SimSettings {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first thing that does not, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.latency_jitter) {
            return Err(format!("the latency's jitter {} must be from 0 to 1", self.latency_jitter));
        }
        if self.tokens_per_second.is_some_and(|speed| !(0.001..=1e9).contains(&speed)) {
            return Err("tokens per second must be from 0.001 to a thousand million".to_owned());
        }
        if self.slots == 0 || self.requests_per_minute == Some(0) || self.tokens_per_minute == Some(0) {
            return Err("with 0 slots, requests or tokens per minute nothing is ever answered; give at least 1".to_owned());
        }
        let times = [self.latency_mean, self.trickle, self.down_for, self.down_every.unwrap_or_default()];
        if times.into_iter().any(|time| time > TIME_MAX) {
            return Err("a time is longer than a week; give a shorter one".to_owned());
        }
        match self.down_every {
            Some(every) if self.down_for.is_zero() || self.down_for >= every => {
                Err("a down window must last longer than nothing and end before the next; give how long, and how often".to_owned())
            }
            None if !self.down_for.is_zero() => {
                Err("a down window has a length but does not say how often it comes; give that too".to_owned())
            }
            _ => self.check_faults(),
        }
    }

    fn check_faults(&self) -> Result<(), String> {
        for (whose, faults) in [("server", Fault::SERVER.as_slice()), ("model", Fault::MODEL.as_slice())] {
            for fault in faults {
                let share = fault.share(self);
                if !(0.0..=1.0).contains(&share) {
                    return Err(format!("the share {share} of `{}` must be from 0 to 1", fault.name()));
                }
            }
            let sum: f64 = faults.iter().map(|fault| fault.share(self)).sum();
            // Ten tenths are a little more than one.
            if sum > 1.0 + 1e-9 {
                return Err(format!("the shares of the {whose}'s faults add up to {sum:.3}, which is more than 1; lower them"));
            }
        }
        Ok(())
    }

    /// Sets shares of faults as they are written on a command line: `all=0.01,hang=0`, where `server` and `model` name all of one side. Later
    /// parts overrule earlier ones.
    ///
    /// # Errors
    /// The first part that names no fault or gives no share.
    pub fn set_faults(&mut self, written: &str) -> Result<(), String> {
        for part in written.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, share) = part.split_once('=').ok_or_else(|| format!("`{part}` must be written NAME=SHARE"))?;
            let share: f64 = share.trim().parse().map_err(|_| format!("`{part}`: the share must be a number from 0 to 1"))?;
            let name = name.trim();
            let is_meant = |fault: &Fault, is_of_server: bool| match name {
                "all" => true,
                "server" => is_of_server,
                "model" => !is_of_server,
                name => name == fault.name(),
            };
            let of_server = Fault::SERVER.into_iter().filter(|fault| is_meant(fault, true));
            let meant: Vec<Fault> = of_server.chain(Fault::MODEL.into_iter().filter(|fault| is_meant(fault, false))).collect();
            if meant.is_empty() {
                let names: Vec<&str> = Fault::SERVER.into_iter().chain(Fault::MODEL).map(Fault::name).collect();
                return Err(format!("`{name}` is no fault; there are all, server, model, {}", names.join(", ")));
            }
            for fault in meant {
                *fault.share_mut(self) = share;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_set_by_side_and_by_name_and_later_parts_overrule() {
        let mut settings = SimSettings::default();
        settings.set_faults("all=0.01, model=0.02,hang=0,cut-call=0.5").expect("all known");
        assert_eq!((settings.rate_429, settings.rate_torn, settings.rate_hang), (0.01, 0.01, 0.0));
        assert_eq!((settings.rate_empty, settings.rate_cut_call), (0.02, 0.5));
        for (written, problem) in [("hang", "NAME=SHARE"), ("hang=often", "a number"), ("hangs=0.1", "no fault")] {
            assert!(settings.set_faults(written).is_err_and(|error| error.contains(problem)), "{written}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let minute = Some(Duration::from_secs(60));
        let base = SimSettings::default;
        for (settings, problem) in [
            (SimSettings { rate_hang: 1.5, ..base() }, "`hang`"),
            (SimSettings { rate_empty: f64::NAN, ..base() }, "`empty`"),
            (SimSettings { rate_429: 0.6, rate_cut: 0.6, ..base() }, "add up"),
            (SimSettings { latency_jitter: -1.0, ..base() }, "jitter"),
            (SimSettings { tokens_per_second: Some(0.0), ..base() }, "tokens per second"),
            (SimSettings { slots: 0, ..base() }, "at least 1"),
            (SimSettings { latency_mean: Duration::MAX, ..base() }, "a week"),
            (SimSettings { down_every: minute, ..base() }, "down window"),
            (SimSettings { down_every: minute, down_for: Duration::from_secs(60), ..base() }, "down window"),
            (SimSettings { down_for: Duration::from_secs(5), ..base() }, "how often"),
        ] {
            assert!(settings.check().is_err_and(|error| error.contains(problem)), "{problem}");
        }
        let tenths = SimSettings { rate_429: 0.7, rate_500: 0.1, rate_502: 0.1, rate_503: 0.1, rate_empty: 1.0, ..base() };
        assert_eq!(tenths.check(), Ok(()), "each side may fill its whole");
    }
}
