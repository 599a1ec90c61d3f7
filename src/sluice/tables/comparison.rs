//! The tables of a comparison: what the variants are, and a line for each of them about quality, the report, work, sources, and the difference
//! to the first. Columns and tables that no variant has a number for are left out.

use comfy_table::CellAlignment;

use super::forecast::{amount, money};
use super::{lines, table};
use crate::comparison::{COMPREHENSIVENESS, Comparison, Difference, INSIGHT, Line, OVERALL};

/// Columns of a table: a name, and what it shows of a line.
type Column<'a> = (String, Box<dyn Fn(&Line) -> Option<String> + 'a>);

/// A judge's marks of the report, as they are called and as they are scored. They have a table of their own, of 100 as in O-Researcher's.
const REPORT: [(&str, &str); 5] = [
    ("overall", OVERALL),
    ("comprehensiveness", COMPREHENSIVENESS),
    ("insight", INSIGHT),
    ("instruction following", "judge_instruction_following"),
    ("readability", "judge_readability"),
];

/// How the variants compare.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let all = &comparison.variants;
    let mut texts = vec![legend(comparison), columns(all, quality(all)), report(all), columns(all, work()), columns(all, sources())];
    if let Some(first) = all.first().filter(|_| all.len() > 1) {
        texts.push(format!(
            "against {}, paired by seed, 95 % of the bootstrap (seed {}); * where it leaves out 0\n{}",
            first.variant,
            comparison.bootstrap_seed,
            columns(all.get(1..).unwrap_or_default(), against())
        ));
    }
    for line in all.iter().filter(|line| line.outstanding > 0) {
        texts.push(format!("{}: its budget was spent with {} of {} jobs outstanding", line.variant, line.outstanding, line.planned));
    }
    let place = comparison.archive.trim_end_matches('/');
    texts.push(format!(
        "data sets: {}",
        all.iter().map(|line| format!("{place}/campaigns/{}", line.campaign)).collect::<Vec<_>>().join("\n           ")
    ));
    texts.retain(|text| !text.is_empty());
    texts.join("\n\n")
}

fn legend(comparison: &Comparison) -> String {
    let mut table = table();
    for line in &comparison.variants {
        let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let set = line.settings.iter().map(|(key, value)| format!("{key} = {}", shown(value)));
        let changes: Vec<String> = set.chain(line.without.iter().map(|key| format!("no {key}"))).collect();
        let changes = if changes.is_empty() { "as in the campaign file".to_owned() } else { changes.join(", ") };
        table.add_row([line.variant.clone(), changes]);
    }
    format!("{}: {} variants over {} seeds\n{}", comparison.campaign, comparison.variants.len(), comparison.seeds, lines(&table))
}

fn columns(all: &[Line], columns: Vec<Column<'_>>) -> String {
    let has_any: Vec<&Column<'_>> = columns.iter().filter(|(_, of)| all.iter().any(|line| of(line).is_some())).collect();
    if has_any.is_empty() {
        return String::new();
    }
    let mut table = table();
    table.add_row(std::iter::once("variant".to_owned()).chain(has_any.iter().map(|(name, _)| name.clone())));
    for line in all {
        let cells = has_any.iter().map(|(_, of)| of(line).unwrap_or_else(|| "–".to_owned()));
        table.add_row(std::iter::once(line.variant.clone()).chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    lines(&table)
}

fn column<'a>(name: &str, of: impl Fn(&Line) -> Option<String> + 'a) -> Column<'a> {
    (name.to_owned(), Box::new(of))
}

fn percent(name: &str, of: fn(&Line) -> Option<f64>) -> Column<'static> {
    column(name, move |line| of(line).map(|share| format!("{:.1} %", share * 100.0)))
}

fn number(name: &str, of: fn(&Line) -> Option<f64>) -> Column<'static> {
    column(name, move |line| of(line).map(amount))
}

fn score(score: f64) -> String {
    format!("{score:.3}")
}

fn quality(all: &[Line]) -> Vec<Column<'static>> {
    let mut columns = vec![
        column("jobs", |line| Some((line.counts.accepted + line.counts.rejected + line.counts.failed).to_string())),
        column("failed", |line| (line.counts.failed > 0).then(|| line.counts.failed.to_string())),
        percent("accepted", |line| line.accepted),
        percent("correct", |line| line.correct),
        percent("pass@1", |line| line.pass_at_1),
        column("score", |line| line.score.map(score)),
    ];
    let of_report = |mark: &str| REPORT.iter().any(|(_, key)| *key == mark);
    let mut marks: Vec<&String> = all.iter().flat_map(|line| line.judge_scores.keys()).filter(|mark| !of_report(mark)).collect();
    marks.sort();
    marks.dedup();
    for name in marks {
        let key = name.clone();
        let short = name.strip_prefix("judge_").unwrap_or(name);
        columns.push(column(short, move |line| line.judge_scores.get(&key).copied().map(score)));
    }
    columns
}

/// The judge's marks of the report; nothing where no variant has any.
fn report(all: &[Line]) -> String {
    let of_100 = |mark: &f64| format!("{:.1}", mark * 100.0);
    let marks = REPORT.map(|(name, key)| column(name, move |line| line.judge_scores.get(key).map(of_100)));
    let table = columns(all, marks.into());
    if table.is_empty() { table } else { format!("the report, of 100\n{table}") }
}

fn work() -> Vec<Column<'static>> {
    vec![
        number("steps", |line| line.steps),
        number("turns", |line| line.turns),
        number("tool calls", |line| line.tool_calls),
        number("tokens in", |line| line.prompt_tokens),
        number("tokens out", |line| line.completion_tokens),
        number("s a job", |line| line.seconds),
        column("money", |line| line.money.map(money)),
        column("an accepted row", |line| line.money_per_accepted.map(money)),
    ]
}

fn sources() -> Vec<Column<'static>> {
    vec![
        number("citations", |line| line.citations),
        percent("that resolve", |line| line.citation_accuracy),
        percent("search-hit", |line| line.search_hit),
        percent("open-hit", |line| line.open_hit),
        percent("recall shown", |line| line.recall_shown),
        percent("opened", |line| line.recall_opened),
        number("first turn shown", |line| line.first_shown_turn),
        number("opened in", |line| line.first_opened_turn),
    ]
}

fn against() -> Vec<Column<'static>> {
    vec![
        column("accepted, % points", |line| line.against_first?.accepted.map(|accepted| difference(accepted, 100.0, 1))),
        column("score", |line| line.against_first?.score.map(|score| difference(score, 1.0, 3))),
        column("overall, of 100", |line| line.against_first?.overall.map(|overall| difference(overall, 100.0, 1))),
        column("comprehensiveness", |line| line.against_first?.comprehensiveness.map(|marks| difference(marks, 100.0, 1))),
        column("insight", |line| line.against_first?.insight.map(|marks| difference(marks, 100.0, 1))),
        column("seeds", |line| line.against_first?.accepted.map(|accepted| accepted.seeds.to_string())),
    ]
}

/// `+1.2 (-0.3 to +2.7)`.
fn difference(difference: Difference, factor: f64, digits: usize) -> String {
    let shown = |number: f64| format!("{:+.digits$}", number * factor);
    let range = match (difference.low, difference.high) {
        (Some(low), Some(high)) => format!(" ({} to {})", shown(low), shown(high)),
        _ => String::new(),
    };
    let clear = if difference.is_clear() { " *" } else { "" };
    format!("{}{range}{clear}", shown(difference.mean))
}

#[cfg(test)]
mod tests {
    use model::Counts;

    use super::*;
    use crate::comparison::Against;

    fn line(variant: &str) -> Line {
        Line {
            variant: variant.into(),
            campaign: format!("c-{variant}"),
            planned: 10,
            counts: Counts { accepted: 4, rejected: 4, ..Counts::default() },
            accepted: Some(0.5),
            prompt_tokens: Some(123_456.0),
            ..Line::default()
        }
    }

    fn sample() -> Comparison {
        let accepted = Difference { mean: 0.125, low: Some(0.05), high: Some(0.2), seeds: 8 };
        let score = Difference { mean: -0.01, low: Some(-0.03), high: Some(0.01), seeds: 8 };
        let second = Line {
            settings: [("recipe.steps".to_owned(), 20.into())].into(),
            judge_scores: [("judge_grounding".to_owned(), 0.75)].into(),
            against_first: Some(Against { accepted: Some(accepted), score: Some(score), ..Against::default() }),
            outstanding: 2,
            ..line("steps-20")
        };
        Comparison { campaign: "c".into(), archive: "out/".into(), seeds: 8, bootstrap_seed: 7, variants: vec![line("base"), second] }
    }

    #[test]
    fn a_variant_is_a_line_and_a_column_that_none_has_is_left_out() {
        let text = comparison(&sample());
        for expected in [
            "2 variants over 8 seeds",
            "as in the campaign file",
            "recipe.steps = 20",
            "50.0 %",
            "grounding",
            "0.750",
            "123456",
            "against base, paired by seed, 95 % of the bootstrap (seed 7)",
            "+12.5 (+5.0 to +20.0) *",
            "-0.010 (-0.030 to +0.010)",
            "steps-20: its budget was spent with 2 of 10 jobs outstanding",
            "out/campaigns/c-steps-20",
        ] {
            assert!(text.contains(expected), "`{expected}` in\n{text}");
        }
        for absent in ["money", "search-hit", "failed", "pass@1", "the report", "overall", "comprehensiveness", "insight"] {
            assert!(!text.contains(absent), "`{absent}` in\n{text}");
        }
        let of_score = text.lines().find(|line| line.contains("-0.010")).expect("a line");
        assert!(!of_score.trim_end().ends_with('*') && of_score.starts_with(" steps-20"), "`{of_score}`");
    }

    #[test]
    fn marks_of_the_report_have_a_table_of_100_and_their_differences_stand_with_the_others() {
        let marked = |line: &Line, overall: f64| {
            let marks = [("judge_overall", overall), ("judge_insight", 0.5), ("judge_grounding", 0.75)];
            Line { judge_scores: marks.map(|(name, mark)| (name.to_owned(), mark)).into(), ..line.clone() }
        };
        let mut compared = sample();
        compared.variants = vec![marked(&compared.variants[0], 0.4292), marked(&compared.variants[1], 0.496)];
        let overall = Difference { mean: 0.0668, low: Some(0.05), high: Some(0.08), seeds: 8 };
        let against = compared.variants[1].against_first.expect("a difference");
        compared.variants[1].against_first = Some(Against { overall: Some(overall), ..against });
        let text = comparison(&compared);
        let (_, after) = text.split_once("the report, of 100\n").expect(&text);
        let table: Vec<Vec<&str>> = after.lines().take(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(table, [["variant", "overall", "insight"], ["base", "42.9", "50.0"], ["steps-20", "49.6", "50.0"]], "{text}");
        assert!(text.contains("+6.7 (+5.0 to +8.0) *") && text.contains("grounding") && text.contains("0.750"), "{text}");
        assert!(!text.contains("comprehensiveness") && !text.contains("readability"), "{text}");
    }

    #[test]
    fn one_variant_is_compared_with_nothing() {
        let text = comparison(&Comparison { variants: vec![line("base")], ..sample() });
        assert!(text.contains("base") && !text.contains("against"), "{text}");
    }
}
