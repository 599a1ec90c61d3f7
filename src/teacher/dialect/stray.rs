//! Tokens that stand within calls only, where the one that begins a call is missing: the call is read all the same where a name and
//! arguments stand about them, and told where only one of the two is left.

use model::settings::Dialect;

use super::marks::{Kind, Mark};
use super::problem::Problem;
use super::text::Walk;
use super::white::{trim_end, trim_start};

impl<'a> Walk<'a> {
    /// A token that stands within a call only. With a name before it and arguments behind it, the token that begins the call is missing;
    /// without either nothing is meant by it.
    pub(super) fn before_arguments(&mut self, part: Mark) {
        let Some(arguments_at) = self.arguments_behind(part) else { return self.hide(part) };
        match self.name_before(self.position, part) {
            None => {
                self.show_until(part.start());
                self.stray();
                self.go_on(arguments_at);
            }
            Some(start) if matches!(part.kind, Kind::Arguments | Kind::CallId) => {
                self.mistral(Mark::new(Kind::ToolCalls, start, start));
            }
            Some(start) => self.marked_call(Mark::new(Kind::MarkedCallOpen, start, start)),
        }
    }

    /// Where the arguments begin that belong to a token which stands before such.
    fn arguments_behind(&self, part: Mark) -> Option<usize> {
        /// Longest id of a call, in bytes.
        const ID_BYTES_MAX: usize = 64;
        let behind = match part.kind {
            Kind::CallId => {
                let next = self.mark_from(part.end()).filter(|next| next.kind == Kind::Arguments)?;
                let is_id = next.start() - part.end() <= ID_BYTES_MAX && !self.part(part.end(), next.start()).contains(char::is_whitespace);
                is_id.then_some(next.end())?
            }
            _ => part.end(),
        };
        let is_object = self.first_from(behind) == Some(b'{');
        // DeepSeek V3 has the name and a code fence here.
        let is_fenced = || memchr::memmem::find(self.part(behind, self.mark_or_end(behind)).as_bytes(), b"```").is_some();
        (is_object || part.kind == Kind::Separator && is_fenced()).then_some(behind)
    }

    /// A token that ends a call or all of them, though none began.
    pub(super) fn unopened_end(&mut self, mark: Mark) {
        self.hide(mark);
        // In these two dialects an answer is known as one, whatever stands behind it.
        if !matches!(self.dialect, Dialect::Tags | Dialect::Harmony) {
            self.stray();
        }
    }

    /// Notes that a token of a call follows the visible text though no call begins; the first one only.
    fn stray(&mut self) {
        if !std::mem::replace(&mut self.found.is_stray_seen, true) {
            self.found.stray = Problem::stray(&self.found.visible);
        }
    }

    /// Where the name of a tool begins that stands between `from` and `mark` on a line of its own.
    fn name_before(&self, from: usize, mark: Mark) -> Option<usize> {
        /// Longest name or id of a call, in bytes.
        const NAME_BYTES_MAX: usize = 128;
        if from == mark.start() {
            return None;
        }
        let before = trim_end(self.part(from, mark.start()));
        let line = trim_start(before.rsplit('\n').next()?);
        let is_name = line.len() <= NAME_BYTES_MAX
            && line.starts_with(|first: char| first.is_ascii_alphabetic())
            && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte));
        is_name.then(|| from + before.len() - line.len())
    }

    /// Where the name of another call begins whose own token is missing, if that is what stands between `from` and the next mark.
    pub(super) fn another_call(&self, from: usize) -> Option<usize> {
        let next = self.mark_from(from)?;
        let is_before_arguments = next.kind.is_before_arguments() && self.arguments_behind(next).is_some();
        if is_before_arguments { self.name_before(from, next) } else { None }
    }
}
