//! What was measured: one line a number, with the bound it has to keep where there is one.
//!
//! Lines are shown as they come, so that a long run tells how far it is, and together at the end.

use serde::Serialize;

/// What a number has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// As much, or more.
    AtLeast(f64),
    /// As much, or less.
    AtMost(f64),
    /// Nothing: it is told, not judged.
    None,
}

impl Bound {
    fn is_kept(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(least) => measured >= least,
            Self::AtMost(most) => measured <= most,
            Self::None => true,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
            Self::None => String::new(),
        }
    }
}

/// One number.
#[derive(Debug, Serialize)]
struct Line {
    part: &'static str,
    what: String,
    measured: f64,
    unit: &'static str,
    bound: Bound,
    is_kept: bool,
}

/// All numbers of a run.
#[derive(Debug)]
pub(crate) struct Account {
    lines: Vec<Line>,
    as_json: bool,
}

impl Account {
    /// Nothing measured yet.
    pub(crate) fn new(as_json: bool) -> Self {
        Self { lines: Vec::new(), as_json }
    }

    /// Adds a number of `part`.
    pub(crate) fn add(&mut self, part: &'static str, what: impl Into<String>, measured: f64, unit: &'static str, bound: Bound) {
        let line = Line { part, what: what.into(), measured, unit, bound, is_kept: bound.is_kept(measured) };
        eprintln!("{}", shown(&line));
        self.lines.push(line);
    }

    /// Prints them all; whether every bound was kept.
    pub(crate) fn print(&self) -> anyhow::Result<bool> {
        if self.as_json {
            println!("{}", serde_json::to_string_pretty(&self.lines)?);
        } else {
            println!();
            self.lines.iter().for_each(|line| println!("{}", shown(line)));
        }
        let missed = self.lines.iter().filter(|line| !line.is_kept).count();
        eprintln!("{}", if missed == 0 { "every bound was kept".to_owned() } else { format!("{missed} bounds were MISSED") });
        Ok(missed == 0)
    }
}

fn shown(line: &Line) -> String {
    let judged = match (line.bound, line.is_kept) {
        (Bound::None, _) => "",
        (_, true) => "kept",
        (_, false) => "MISSED",
    };
    // Whole numbers are counts; others say as much as a measurement can.
    let measured = if line.measured.fract() == 0.0 { format!("{}", line.measured) } else { format!("{:.2}", line.measured) };
    format!("{:<10}  {:<62} {measured:>10} {:<7} {:<9} {judged}", line.part, line.what, line.unit, line.bound.shown()).trim_end().to_owned()
}
