//! What was mended in JSON to read it.

/// What was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Repair {
    Fence,
    Quotes,
    InnerQuote,
    LineBreak,
    NeedlessEscape,
    UnknownEscape,
    HalfCharacter,
    BareKey,
    MissingComma,
    NeedlessComma,
    PythonLiteral,
    OpenBrackets,
    Followed,
}

impl Repair {
    pub(super) const ALL: [Self; 13] = [
        Self::Fence,
        Self::Quotes,
        Self::InnerQuote,
        Self::LineBreak,
        Self::NeedlessEscape,
        Self::UnknownEscape,
        Self::HalfCharacter,
        Self::BareKey,
        Self::MissingComma,
        Self::NeedlessComma,
        Self::PythonLiteral,
        Self::OpenBrackets,
        Self::Followed,
    ];

    /// Its place in a set of repairs.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }

    /// What was done, as a row tells it.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Fence => "removed a code fence",
            Self::Quotes => "replaced the quotes of a string",
            Self::InnerQuote => "escaped a quote within a string",
            Self::LineBreak => "escaped a line break within a string",
            Self::NeedlessEscape => "removed an escape that JSON does not know",
            Self::UnknownEscape => "kept the backslash of an escape that JSON does not know",
            Self::HalfCharacter => "replaced an escape that is no character",
            Self::BareKey => "quoted a bare key",
            Self::MissingComma => "added a comma",
            Self::NeedlessComma => "removed a needless comma",
            Self::PythonLiteral => "replaced a Python literal",
            Self::OpenBrackets => "closed brackets left open",
            Self::Followed => "ignored what follows the JSON",
        }
    }
}
