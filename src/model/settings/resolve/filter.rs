//! `[filter]`: what is typed and what it means.

use super::Check;
use crate::settings::{FilterSettings, FilterTable};

pub(super) fn resolve(table: &FilterTable, check: &mut Check) -> FilterSettings {
    let name = table.preset.as_deref().unwrap_or("default");
    let preset = FilterSettings::preset(name);
    check.that(preset.is_some(), "filter.preset", name, &format!("one of: {}", FilterSettings::PRESETS.join(", ")));
    let filter = table.over(preset.unwrap_or_default());
    for (key, share) in [
        ("filter.tool_errors.share_max", filter.tool_errors.share_max),
        ("filter.repetition.share_max", filter.repetition.share_max),
        ("filter.citations.resolved_share_min", filter.citations.resolved_share_min),
        ("filter.thinking.share_min", filter.thinking.share_min),
    ] {
        check.that((0.0..=1.0).contains(&share), key, share, "from 0 to 1");
    }
    for (key, min, max) in [
        ("filter.answer_length", filter.answer_length.min_chars, filter.answer_length.max_chars),
        ("filter.tool_calls", filter.tool_calls.min, filter.tool_calls.max),
    ] {
        check.that(min <= max, key, format!("{min}..{max}"), "the smallest at most the largest");
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<FilterSettings, String> {
        let mut check = Check { problems: Vec::new() };
        let settings = resolve(&toml::from_str(text).expect("well-formed"), &mut check);
        if check.problems.is_empty() { Ok(settings) } else { Err(check.problems.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn the_preset_o_researcher_has_the_numbers_of_the_paper() {
        let filter = resolved("preset = \"o-researcher\"").expect("a preset");
        assert_eq!(filter.length.max_tokens, 65_536);
        assert!(filter.steps.enabled && filter.steps.min == 10);
        assert!(filter.distinct_calls.enabled && filter.distinct_calls.min == 5);
        assert!(filter.thinking.enabled && filter.thinking.share_min == 1.0);
        assert!(filter.report.enabled && filter.protocol.enabled && filter.language.enabled);
    }

    #[test]
    fn the_default_preset_asks_none_of_the_rules_of_the_tag_protocol() {
        let filter = resolved("").expect("nothing is needed");
        assert_eq!(filter, FilterSettings::default());
        assert_eq!(resolved("preset = \"default\""), Ok(filter.clone()));
        let of_protocol =
            [filter.protocol.enabled, filter.steps.enabled, filter.distinct_calls.enabled, filter.thinking.enabled, filter.report.enabled];
        assert_eq!(of_protocol, [false; 5]);
        assert!(filter.answered.enabled && filter.length.max_tokens == 262_144);
    }

    #[test]
    fn a_table_replaces_single_thresholds_and_leaves_the_others_of_the_preset() {
        let text = "preset = \"o-researcher\"\n[length]\nmax_tokens = 100000\n[report]\nenabled = false\n[citations]\nmin = 3";
        let filter = resolved(text).expect("valid");
        let mut expected = FilterSettings::preset("o-researcher").expect("known");
        expected.length.max_tokens = 100_000;
        expected.report.enabled = false;
        expected.citations.min = 3;
        assert_eq!(filter, expected);
    }

    #[test]
    fn a_table_of_a_rule_that_its_preset_leaves_out_switches_it_on() {
        let filter = resolved("[steps]\nmin = 3\n[thinking]\nenabled = false\nshare_min = 0.5").expect("valid");
        assert!(filter.steps.enabled && filter.steps.min == 3);
        assert!(!filter.thinking.enabled && filter.thinking.share_min == 0.5);
    }

    #[test]
    fn an_unknown_preset_and_a_share_out_of_range_are_reported_together() {
        let error = resolved("preset = \"o-reseacher\"\n[thinking]\nshare_min = 1.5").expect_err("two problems");
        assert!(error.contains("filter.preset = `o-reseacher`: one of: default, o-researcher"), "{error}");
        assert!(error.contains("filter.thinking.share_min = `1.5`"), "{error}");
    }

    #[test]
    fn what_is_meant_reads_back_whole() {
        let filter = FilterSettings::preset("o-researcher").expect("known");
        let json = serde_json::to_string(&filter).expect("plain data");
        assert_eq!(serde_json::from_str::<FilterSettings>(&json).expect("its own form"), filter);
        assert!(json.contains("\"share_min\":1.0") && json.contains("\"allow_forced\":true"), "every value is present: {json}");
    }
}
