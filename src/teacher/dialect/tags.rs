//! Where the tags of a text stand. One pass; what the tags mean together is decided by their reader.

/// Longest name within `<function=…>` or `<parameter=…>`, in bytes: longer ones are text.
const NAME_BYTES_MAX: usize = 128;

/// What a tag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ThinkOpen,
    ThinkClose,
    CallOpen,
    CallClose,
    ResponseOpen,
    ResponseClose,
    FunctionOpen,
    FunctionClose,
    ParameterOpen,
    ParameterClose,
}

/// A tag and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag<'a> {
    pub(super) kind: Kind,
    /// The name in a function's or parameter's opening tag, else empty.
    pub(super) name: &'a str,
    /// Byte offset of its `<`.
    pub(super) start: usize,
    /// Byte offset after its `>`.
    pub(super) end: usize,
}

const FIXED: [(&str, Kind); 8] = [
    ("<think>", Kind::ThinkOpen),
    ("</think>", Kind::ThinkClose),
    ("<tool_call>", Kind::CallOpen),
    ("</tool_call>", Kind::CallClose),
    ("<tool_response>", Kind::ResponseOpen),
    ("</tool_response>", Kind::ResponseClose),
    ("</function>", Kind::FunctionClose),
    ("</parameter>", Kind::ParameterClose),
];
const NAMED: [(&str, Kind); 2] = [("<function=", Kind::FunctionOpen), ("<parameter=", Kind::ParameterOpen)];

/// All tags of `text`, in order.
pub(super) fn find(text: &str) -> Vec<Tag<'_>> {
    text.match_indices('<').filter_map(|(start, _)| at(text, start)).collect()
}

fn at(text: &str, start: usize) -> Option<Tag<'_>> {
    let rest = text.get(start..)?;
    for (written, kind) in FIXED {
        if rest.starts_with(written) {
            return Some(Tag { kind, name: "", start, end: start + written.len() });
        }
    }
    let (written, kind) = NAMED.into_iter().find(|(written, _)| rest.starts_with(written))?;
    let bytes = rest.as_bytes().get(written.len()..)?;
    let len = bytes.iter().take(NAME_BYTES_MAX + 1).position(|byte| matches!(byte, b'>' | b'<' | b'\n'))?;
    if bytes.get(len) != Some(&b'>') {
        return None;
    }
    let name = rest.get(written.len()..written.len() + len)?;
    Some(Tag { kind, name: name.trim().trim_matches(['"', '\'']), start, end: start + written.len() + len + 1 })
}
