//! A grid of settings: which variants of a campaign there are, and what each of them means. All problems are found in one go.
//!
//! A variant changes keys of the campaign file before it is read, so that whatever is wrong with it is told as of any campaign file.

use std::collections::BTreeMap;
use std::path::Path;

use model::written::{CampaignFile, ConfigError, Problem, read};
use model::{Digest, Settings};
use serde::Deserialize;
use toml::{Table, Value};

#[cfg(test)]
mod tests;

/// Most variants of one grid: a product is larger than one thinks.
const VARIANTS_MAX: usize = 256;
/// Longest campaign name.
const NAME_CHARS_MAX: usize = 40;
/// Hexadecimal digits that tell shortened names apart.
const DIGITS: usize = 6;
/// Keys that are the same for all variants: else there would be nothing to compare.
const FIXED: [&str; 6] = ["campaign.name", "campaign.seeds", "campaign.fields", "campaign.limit", "campaign.seed", "campaign.archive"];
/// The variant that changes nothing.
const BASE: &str = "base";

/// A grid file as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFile {
    /// `product` (default) or `one-at-a-time`; may stand in `[grid]` too.
    mode: Option<String>,
    /// Dotted keys of the campaign file, each with a list of values.
    #[serde(default)]
    grid: Table,
    /// Variants with a `name`, keys of their own, and `without`: keys that they do not have.
    #[serde(default)]
    variant: Vec<Table>,
}

/// One variant of a campaign: what it changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Variant {
    /// `[a-z0-9-]+`
    pub(crate) name: String,
    /// Dotted key → its value.
    pub(crate) set: BTreeMap<String, Value>,
    /// Keys that it does not have.
    pub(crate) without: Vec<String>,
}

/// A variant and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) variant: Variant,
    pub(crate) settings: Settings,
}

/// The variants of a grid file, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grid {
    pub(crate) variants: Vec<Variant>,
    /// How many of them are single values beside the campaign file's own: one that is the same is no variant of its own.
    beside_base: usize,
}

impl Grid {
    /// Reads the text of a grid file.
    ///
    /// # Errors
    /// Everything that is wrong with it as a grid, at once; whether its keys mean something [`Grid::resolve`] says.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut file: GridFile = read(text)?;
        let mut problems = Vec::new();
        let inner = file.grid.get("mode").and_then(Value::as_str).map(str::to_owned);
        if inner.is_some() {
            file.grid.remove("mode");
        }
        let mode = file.mode.or(inner).unwrap_or_else(|| "product".to_owned());
        let is_beside_base = mode == "one-at-a-time";
        if !is_beside_base && mode != "product" {
            problems.push(problem("mode", Some(&mode), "one of: product, one-at-a-time"));
        }
        let axes = axes(&file.grid, &mut problems);
        let mut variants = if is_beside_base { one_at_a_time(&axes) } else { product(&axes, &mut problems) };
        let beside_base = if is_beside_base { variants.len() } else { 0 };
        for (n, table) in file.variant.iter().enumerate() {
            variants.extend(explicit(n + 1, table, &mut problems));
        }
        if variants.is_empty() && problems.is_empty() {
            problems.push(problem("grid", None, "keys with lists of values, or [[variant]] tables"));
        }
        if variants.len() > VARIANTS_MAX {
            problems.push(problem("grid", None, &format!("{} variants; at most {VARIANTS_MAX}", variants.len())));
        }
        let mut names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair.first() == pair.last()) {
            problems.push(problem("variant", pair.first().copied(), "a name of its own: there are two of it"));
        }
        for key in variants.iter().flat_map(|variant| variant.set.keys().chain(&variant.without)) {
            let is_fixed = FIXED.iter().any(|fixed| key == fixed || key.strip_prefix(fixed).is_some_and(|rest| rest.starts_with('.')));
            let told = problem(key, None, "the same for all variants; set it in the campaign file");
            if is_fixed && !problems.contains(&told) {
                problems.push(told);
            }
        }
        if problems.is_empty() { Ok(Self { variants, beside_base }) } else { Err(ConfigError { problems }) }
    }

    /// What each variant of the campaign file `base` means; relative paths are taken from `folder`.
    ///
    /// # Errors
    /// All problems of all variants, a line each, with the variant's name; what is wrong with every one of them is said once.
    pub(crate) fn resolve(&self, base: &Table, folder: &Path) -> Result<Vec<Resolved>, String> {
        let mut resolved: Vec<Resolved> = Vec::new();
        let mut problems: Vec<(String, String)> = Vec::new();
        for (n, variant) in self.variants.iter().enumerate() {
            let settings = variant.over(base).and_then(|table| CampaignFile::of_table(table)?.resolve(folder));
            let settings = match settings {
                Ok(settings) => settings,
                Err(error) => {
                    problems.extend(error.problems.iter().map(|problem| (variant.name.clone(), problem.to_string())));
                    continue;
                }
            };
            let same = resolved.iter().find(|other| is_same(&other.settings, &settings));
            match same {
                None => resolved.push(Resolved { variant: variant.clone(), settings }),
                // The campaign file's own value, among others of its key.
                Some(other) if n < self.beside_base && other.variant.name == BASE => {}
                Some(other) => {
                    problems.push((variant.name.clone(), format!("it means the same as the variant `{}`", other.variant.name)));
                }
            }
        }
        if problems.is_empty() { Ok(resolved) } else { Err(told(&problems, self.variants.len())) }
    }
}

impl Variant {
    fn of(values: &[(&str, &Value)], slugs: &BTreeMap<&str, String>) -> Self {
        let part = |(key, value): &(&str, &Value)| format!("{}-{}", slugs.get(key).map_or(*key, String::as_str), slug_of(value));
        let name = values.iter().map(part).collect::<Vec<_>>().join("-");
        let set = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).clone())).collect();
        Self { name, set, without: Vec::new() }
    }

    /// The name of its campaign, where `campaign` is that of the campaign file: as long as names may be, and the same whatever other variants
    /// there are.
    pub(crate) fn campaign(&self, campaign: &str) -> String {
        let whole = format!("{campaign}-{}", self.name);
        if whole.chars().count() <= NAME_CHARS_MAX {
            return whole;
        }
        let digits: String = Digest::of(whole.as_bytes()).as_str().chars().take(DIGITS).collect();
        let head: String = whole.chars().take(NAME_CHARS_MAX - DIGITS - 1).collect();
        format!("{}-{digits}", head.trim_end_matches('-'))
    }

    /// The campaign file `base` with what the variant changes.
    fn over(&self, base: &Table) -> Result<Table, ConfigError> {
        let mut table = base.clone();
        let mut problems = Vec::new();
        for key in &self.without {
            remove(&mut table, key);
        }
        for (key, value) in &self.set {
            if !set(&mut table, key, value) {
                problems.push(problem(key, None, "a key of a table of the campaign file"));
            }
        }
        if let Some(Value::Table(campaign)) = table.get_mut("campaign") {
            let own = campaign.get("name").and_then(Value::as_str).unwrap_or_default();
            let name = self.campaign(own);
            campaign.insert("name".to_owned(), Value::String(name));
        }
        if problems.is_empty() { Ok(table) } else { Err(ConfigError { problems }) }
    }

    /// What it changes, for people.
    pub(crate) fn changes(&self) -> String {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let set = self.set.iter().map(|(key, value)| format!("{key} = {}", shown(value)));
        let all: Vec<String> = set.chain(self.without.iter().map(|key| format!("no {key}"))).collect();
        if all.is_empty() { "as in the campaign file".to_owned() } else { all.join(", ") }
    }
}

fn problem(key: &str, value: Option<&str>, rule: &str) -> Problem {
    Problem { key: key.to_owned(), value: value.map(|value| format!("`{value}`")), rule: rule.to_owned() }
}

/// Whether two variants differ in nothing but their names.
fn is_same(one: &Settings, other: &Settings) -> bool {
    let mut renamed = one.clone();
    renamed.campaign.name.clone_from(&other.campaign.name);
    renamed == *other
}

/// `variant: problem`, a line each; a problem that all `variants` have, once.
fn told(problems: &[(String, String)], variants: usize) -> String {
    let mut by_problem: Vec<(&str, Vec<&str>)> = Vec::new();
    for (variant, problem) in problems {
        match by_problem.iter_mut().find(|(known, _)| known == problem) {
            Some((_, of)) => of.push(variant),
            None => by_problem.push((problem, vec![variant])),
        }
    }
    let line = |(problem, of): &(&str, Vec<&str>)| match of.len() {
        all if all == variants && all > 1 => format!("every variant: {problem}"),
        1 => format!("variant {}: {problem}", of.join("")),
        _ => format!("variants {}: {problem}", of.join(", ")),
    };
    by_problem.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Dotted keys with their values, in the order of their names.
type Axes = Vec<(String, Vec<Value>)>;

/// The lists of `[grid]`; a key that is written without quotes is a table in a table.
fn axes(grid: &Table, problems: &mut Vec<Problem>) -> Axes {
    let mut axes = Axes::new();
    for (key, value) in flat(grid, |value| !matches!(value, Value::Table(_))) {
        match value {
            Value::Array(values) if !values.is_empty() => axes.push((key, values)),
            _ => problems.push(problem(&key, None, "a list of values, with at least one")),
        }
    }
    axes
}

/// `table` as dotted keys, down to what `is_leaf`.
fn flat(table: &Table, is_leaf: fn(&Value) -> bool) -> BTreeMap<String, Value> {
    let mut flat_keys = BTreeMap::new();
    // A stack and not a recursion; how deep a file nests its tables bounds the parser.
    let mut open: Vec<(String, &Table)> = vec![(String::new(), table)];
    while let Some((prefix, table)) = open.pop() {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) if !is_leaf(value) => open.push((key, inner)),
                value => {
                    flat_keys.insert(key, value.clone());
                }
            }
        }
    }
    flat_keys
}

/// Short names of the keys: their last part, or all of them where two end in the same.
fn slugs(axes: &Axes) -> BTreeMap<&str, String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let is_clear = axes.iter().all(|(key, _)| axes.iter().filter(|(other, _)| last(other) == last(key)).count() == 1);
    axes.iter().map(|(key, _)| (key.as_str(), slug(&if is_clear { last(key) } else { key.clone() }))).collect()
}

/// Lower-case letters, digits, and one `-` for each stretch of anything else.
fn slug(text: &str) -> String {
    let fit: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    fit.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn slug_of(value: &Value) -> String {
    let digits = || Digest::of(value.to_string().as_bytes()).as_str().chars().take(DIGITS).collect();
    match value {
        // A long text, a path say, is told apart by its digest.
        Value::String(text) if !slug(text).is_empty() && text.len() <= 24 => slug(text),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => match value.to_string() {
            negative if negative.starts_with('-') => format!("minus-{}", slug(&negative)),
            shown => slug(&shown),
        },
        _ => digits(),
    }
}

/// Every value of every key with every other; the last key changes fastest.
fn product(axes: &Axes, problems: &mut Vec<Problem>) -> Vec<Variant> {
    if axes.is_empty() {
        return Vec::new();
    }
    let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
    let Some(count) = count.filter(|count| *count <= VARIANTS_MAX) else {
        let rule = format!("at most {VARIANTS_MAX} variants; take fewer values, or mode = \"one-at-a-time\"");
        problems.push(problem("grid", None, &rule));
        return Vec::new();
    };
    let slugs = slugs(axes);
    let variant = |number: usize| {
        let mut left = number;
        let mut values: Vec<(&str, &Value)> = Vec::new();
        for (key, all) in axes.iter().rev() {
            values.extend(all.get(left % all.len()).map(|value| (key.as_str(), value)));
            left /= all.len();
        }
        values.reverse();
        Variant::of(&values, &slugs)
    };
    (0..count).map(variant).collect()
}

/// The campaign file as it is, then each value of each key alone.
fn one_at_a_time(axes: &Axes) -> Vec<Variant> {
    let slugs = slugs(axes);
    let base = Variant { name: BASE.to_owned(), ..Variant::default() };
    let single = axes.iter().flat_map(|(key, values)| values.iter().map(move |value| (key.as_str(), value)));
    std::iter::once(base).chain(single.map(|one| Variant::of(&[one], &slugs))).collect()
}

/// The `n`th `[[variant]]`.
fn explicit(n: usize, table: &Table, problems: &mut Vec<Problem>) -> Option<Variant> {
    let place = format!("variant {n}");
    let mut keys = table.clone();
    let name = match keys.remove("name") {
        Some(Value::String(name)) if !name.is_empty() && slug(&name) == name => Some(name),
        other => {
            let value = other.map(|value| value.to_string());
            problems.push(problem(&format!("{place}: name"), value.as_deref(), "words of a–z and 0–9, with `-` between them"));
            None
        }
    };
    let without = match keys.remove("without") {
        None => Some(Vec::new()),
        Some(Value::Array(named)) => named.iter().map(|key| key.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    if without.is_none() {
        problems.push(problem(&format!("{place}: without"), None, "a list of dotted keys"));
    }
    Some(Variant { name: name?, set: flat(&keys, |value| !matches!(value, Value::Table(_))), without: without? })
}

/// Sets a dotted key; whether that could be done.
fn set(table: &mut Table, key: &str, value: &Value) -> bool {
    let (tables, name) = key.rsplit_once('.').map_or((None, key), |(tables, name)| (Some(tables), name));
    let mut place = table;
    for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
        let Value::Table(inner) = place.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new())) else { return false };
        place = inner;
    }
    place.insert(name.to_owned(), value.clone());
    true
}

/// Removes a dotted key where it is.
fn remove(table: &mut Table, key: &str) {
    let (tables, name) = key.rsplit_once('.').map_or((None, key), |(tables, name)| (Some(tables), name));
    let mut place = table;
    for part in tables.into_iter().flat_map(|tables| tables.split('.')) {
        let Some(Value::Table(inner)) = place.get_mut(part) else { return };
        place = inner;
    }
    place.remove(name);
}
