//! What goes wrong with a request: faults of the server, which another try escapes, and oddities of the model, which are its answer.

use std::time::Duration;

use super::chance::Chance;
use super::latency;
use super::settings::SimSettings;

/// Tries of one request that may fail when the client numbers its tries; the next one succeeds, unless a share of 1 wants every try to fail.
/// A client that tries again often enough therefore always comes through, and does so after the same number of tries in every run.
pub(super) const FAULTY_TRIES: u64 = 3;

/// A way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 at once.
    RateLimited,
    /// 500 when the first token would have come.
    ServerError,
    /// 502 at once.
    BadGateway,
    /// 503 at once.
    Unavailable,
    /// No answer ever; keeps its slot until the client goes or the server stops.
    Hang,
    /// The connection is closed when the first token would have come, without a byte.
    Cut,
    /// The body ends in the middle, short of the length that was promised.
    Torn,
    /// The body comes piece by piece, very slowly.
    Trickle,
    /// The body is no JSON.
    Garbled,
    /// Neither text nor call nor reasoning.
    Empty,
    /// A refusal, in polite words.
    Refusal,
    /// The token limit cuts the last call in its middle.
    CutCall,
    /// The last call is malformed: a quote is missing, or what closes its tags.
    BrokenCall,
    /// The last call names a tool that there is not.
    UnknownTool,
    /// Words on what will be called, and no call.
    Narrated,
}

impl Fault {
    /// Those of the server, in the order in which a draw falls on them.
    pub const SERVER: [Self; 9] = [
        Self::RateLimited,
        Self::ServerError,
        Self::BadGateway,
        Self::Unavailable,
        Self::Hang,
        Self::Cut,
        Self::Torn,
        Self::Trickle,
        Self::Garbled,
    ];

    /// Those of the model, in the order in which a draw falls on them.
    pub const MODEL: [Self; 6] = [Self::Empty, Self::Refusal, Self::CutCall, Self::BrokenCall, Self::UnknownTool, Self::Narrated];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "429",
            Self::ServerError => "500",
            Self::BadGateway => "502",
            Self::Unavailable => "503",
            Self::Hang => "hang",
            Self::Cut => "cut",
            Self::Torn => "torn",
            Self::Trickle => "trickle",
            Self::Garbled => "garbled",
            Self::Empty => "empty",
            Self::Refusal => "refusal",
            Self::CutCall => "cut-call",
            Self::BrokenCall => "broken-call",
            Self::UnknownTool => "unknown-tool",
            Self::Narrated => "narrated",
        }
    }

    /// How often it happens.
    pub fn share(self, settings: &SimSettings) -> f64 {
        match self {
            Self::RateLimited => settings.rate_429,
            Self::ServerError => settings.rate_500,
            Self::BadGateway => settings.rate_502,
            Self::Unavailable => settings.rate_503,
            Self::Hang => settings.rate_hang,
            Self::Cut => settings.rate_cut,
            Self::Torn => settings.rate_torn,
            Self::Trickle => settings.rate_trickle,
            Self::Garbled => settings.rate_garbled,
            Self::Empty => settings.rate_empty,
            Self::Refusal => settings.rate_refusal,
            Self::CutCall => settings.rate_cut_call,
            Self::BrokenCall => settings.rate_broken_call,
            Self::UnknownTool => settings.rate_unknown_tool,
            Self::Narrated => settings.rate_narrated,
        }
    }

    /// Where it is set how often it happens.
    pub fn share_mut(self, settings: &mut SimSettings) -> &mut f64 {
        match self {
            Self::RateLimited => &mut settings.rate_429,
            Self::ServerError => &mut settings.rate_500,
            Self::BadGateway => &mut settings.rate_502,
            Self::Unavailable => &mut settings.rate_503,
            Self::Hang => &mut settings.rate_hang,
            Self::Cut => &mut settings.rate_cut,
            Self::Torn => &mut settings.rate_torn,
            Self::Trickle => &mut settings.rate_trickle,
            Self::Garbled => &mut settings.rate_garbled,
            Self::Empty => &mut settings.rate_empty,
            Self::Refusal => &mut settings.rate_refusal,
            Self::CutCall => &mut settings.rate_cut_call,
            Self::BrokenCall => &mut settings.rate_broken_call,
            Self::UnknownTool => &mut settings.rate_unknown_tool,
            Self::Narrated => &mut settings.rate_narrated,
        }
    }

    /// Whether a gateway answers so before the server has seen the request.
    pub(super) fn is_of_gateway(self) -> bool {
        matches!(self, Self::RateLimited | Self::BadGateway | Self::Unavailable)
    }

    /// Whether it can only happen to an answer that calls a tool.
    pub(super) fn needs_call(self) -> bool {
        matches!(self, Self::CutCall | Self::BrokenCall | Self::UnknownTool | Self::Narrated)
    }
}

/// What happens to one try.
#[derive(Debug, PartialEq)]
pub(super) struct Fate {
    /// Time to the first token.
    pub(super) latency: Duration,
    /// What the server does wrong.
    pub(super) fault: Option<Fault>,
    /// What the model does wrong: the same in every try.
    pub(super) oddity: Option<Fault>,
}

impl Fate {
    /// The fate of the try that `chance` stands for. `is_told` says that the client numbers its tries.
    pub(super) fn of(settings: &SimSettings, chance: &Chance<'_>, is_told: bool) -> Self {
        let fault = pick(&Fault::SERVER, settings, chance.draw("fault"));
        let answer = Chance { number: 0, ..*chance };
        Self {
            latency: latency::first_token(settings, chance),
            fault: fault.filter(|fault| fault.share(settings) >= 1.0 || !is_told || chance.number < FAULTY_TRIES),
            oddity: pick(&Fault::MODEL, settings, answer.draw("oddity")),
        }
    }
}

/// The one of `faults` on whose share `drawn` falls.
fn pick(faults: &[Fault], settings: &SimSettings, drawn: f64) -> Option<Fault> {
    let mut sum = 0.0;
    faults.iter().copied().find(|fault| {
        sum += fault.share(settings);
        drawn < sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Digest;

    fn fate(settings: &SimSettings, request: &str, number: u64, is_told: bool) -> Fate {
        Fate::of(settings, &Chance { seed: settings.seed, request: &Digest::of(request.as_bytes()), number }, is_told)
    }

    #[test]
    fn faults_come_in_the_share_that_was_set() {
        let mut settings = SimSettings::default();
        settings.set_faults("all=0.05").expect("known");
        let fates: Vec<Fate> = (0..8000).map(|n| fate(&settings, &n.to_string(), 0, true)).collect();
        for fault in Fault::SERVER.into_iter().chain(Fault::MODEL) {
            let count = fates.iter().filter(|fate| fate.fault == Some(fault) || fate.oddity == Some(fault)).count();
            assert!((330..470).contains(&count), "{fault:?}: {count}");
        }
    }

    #[test]
    fn the_fourth_numbered_try_succeeds_unless_every_try_shall_fail() {
        for fault in Fault::SERVER {
            let mut settings = SimSettings::default();
            *fault.share_mut(&mut settings) = 0.999_999;
            assert_eq!(fate(&settings, "request", 0, true).fault, Some(fault));
            assert_eq!(fate(&settings, "request", FAULTY_TRIES, true).fault, None, "{fault:?}");
            assert_eq!(fate(&settings, "request", FAULTY_TRIES, false).fault, Some(fault), "an arrival is no number of a try");
            *fault.share_mut(&mut settings) = 1.0;
            assert_eq!(fate(&settings, "request", 50, true).fault, Some(fault));
        }
    }

    #[test]
    fn the_model_errs_alike_in_every_try_and_the_server_does_not() {
        let mut settings = SimSettings { seed: 3, ..SimSettings::default() };
        settings.set_faults("all=0.1").expect("known");
        let of = |number| (0..200).map(|n| fate(&settings, &n.to_string(), number, false)).collect::<Vec<_>>();
        let (first, second) = (of(0), of(1));
        assert_eq!(first, of(0));
        let oddities = |fates: &[Fate]| fates.iter().map(|fate| fate.oddity).collect::<Vec<_>>();
        assert_eq!(oddities(&first), oddities(&second));
        assert_ne!(first, second);
        let other = SimSettings { seed: 4, ..settings.clone() };
        let others: Vec<Fate> = (0..200).map(|n| fate(&other, &n.to_string(), 0, false)).collect();
        assert_ne!(oddities(&first), oddities(&others));
    }
}
