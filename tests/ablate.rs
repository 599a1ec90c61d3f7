//! `sluice ablate`: a grid of settings over the same seeds, checked before anything runs, continued where it was stopped, and compared.

use serde_json::Value;

use crate::house::{House, Ran};

const GRID: &str = "[grid]\n\"recipe.max_turns\" = [2, 12]\n";
const HEURISTIC: &str = "[teacher]\nkind = \"heuristic\"\nconcurrency = 8\ntemperature = 0.0\n";

fn house(more: &str, grid: &str) -> House {
    let house = House::new(20, "seed = 7", more);
    std::fs::write(house.path("grid.toml"), grid).expect("written");
    house
}

fn ablated(house: &House, more: &[&str]) -> (Ran, Value) {
    let args: Vec<&str> = ["ablate", "campaign.toml", "grid.toml", "--json"].iter().chain(more).copied().collect();
    let ran = house.sluice(&args);
    let comparison = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.text()));
    (ran, comparison)
}

fn manifest(house: &House, campaign: &str) -> Value {
    let path = house.path(&format!("out/campaigns/{campaign}/dataset.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a sealed data set")).expect("a manifest")
}

#[test]
fn every_variant_is_a_sealed_campaign_over_the_same_seeds_and_its_line_is_its_manifest() {
    let house = house(HEURISTIC, GRID);
    let (ran, comparison) = ablated(&house, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let variants = comparison["variants"].as_array().expect("variants");
    let names: Vec<&str> = variants.iter().map(|line| line["variant"].as_str().expect("a name")).collect();
    assert_eq!((names, comparison["seeds"].as_u64()), (vec!["max-turns-2", "max-turns-12"], Some(20)));
    let mut seeds = Vec::new();
    for line in variants {
        let campaign = line["campaign"].as_str().expect("a name");
        let (sealed, sums) = (manifest(&house, campaign), manifest(&house, campaign)["sums"].clone());
        assert_eq!(line["counts"], sealed["counts"]);
        let rows = (sealed["counts"]["accepted"].as_u64().unwrap_or(0) + sealed["counts"]["rejected"].as_u64().unwrap_or(0)) as f64;
        let close = |key: &str, expected: f64| assert!((line[key].as_f64().expect(key) - expected).abs() < 1e-9, "{key} of {line}");
        close("turns", sums["turns"].as_f64().expect("turns") / rows);
        close("prompt_tokens", sums["teacher"]["prompt_tokens"].as_f64().expect("tokens") / rows);
        close("accepted", sealed["counts"]["accepted"].as_f64().expect("a count") / 20.0);
        let plan = std::fs::read(house.path(&format!("out/campaigns/{campaign}/campaign.json"))).expect("a plan");
        let plan: Value = serde_json::from_slice(&plan).expect("a plan");
        seeds.push((plan["seeds"].clone(), plan["settings"]["campaign"]["seed"].clone()));
        let verified = house.sluice(&["verify", &format!("out/campaigns/{campaign}")]);
        assert_eq!(verified.code, Some(0), "{}", verified.text());
    }
    assert_eq!(seeds[0], seeds[1], "the same seeds and root of randomness");
    assert_eq!(variants[0].get("against_first"), None);
    let accepted = &variants[1]["against_first"]["accepted"];
    let difference = variants[1]["accepted"].as_f64().expect("a share") - variants[0]["accepted"].as_f64().expect("a share");
    assert!((accepted["mean"].as_f64().expect("a mean") - difference).abs() < 1e-9 && accepted["seeds"] == 20, "{accepted}");
    assert!(accepted["low"].as_f64() <= accepted["mean"].as_f64() && accepted["mean"].as_f64() <= accepted["high"].as_f64(), "{accepted}");

    let table = house.sluice(&["ablate", "campaign.toml", "grid.toml"]);
    for expected in ["2 variants over 20 seeds", "recipe.max_turns = 12", "pass@1", "search-hit", "against max-turns-2, paired by seed"] {
        assert!(table.out.contains(expected), "`{expected}` in {}", table.out);
    }
    // No model judged, so there is nothing to say of marks.
    for mark in ["overall", "comprehensiveness", "insight"] {
        assert!(!table.out.contains(mark), "`{mark}` in {}", table.out);
        assert_eq!(variants[1]["against_first"].get(mark), Some(&Value::Null), "{}", variants[1]);
        assert_eq!(variants[1].pointer(&format!("/judge_scores/judge_{mark}")), None, "{}", variants[1]);
    }
}

#[test]
fn what_is_finished_is_not_run_again_and_a_longer_list_runs_only_what_is_new() {
    let house = house(HEURISTIC, GRID);
    assert_eq!(ablated(&house, &["--seeds", "5"]).0.code, Some(0));
    let before = manifest(&house, "test-max-turns-2");
    assert_eq!(before["planned"], 5);
    std::fs::write(house.path("grid.toml"), GRID.replace("12]", "12, 4]")).expect("written");
    let (ran, comparison) = ablated(&house, &["--seeds", "5", "--variants-at-once", "3"]);
    assert_eq!((ran.code, comparison["variants"].as_array().map(Vec::len)), (Some(0), Some(3)), "{}", ran.text());
    assert_eq!(manifest(&house, "test-max-turns-2"), before, "one seal, and not another");
    let rows = house.sluice(&["export", "out/campaigns/test-max-turns-4", "--format", "native", "--rows", "all"]);
    let mut ids: Vec<String> =
        rows.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row")["seed"]["id"].to_string()).collect();
    let file = std::fs::read_to_string(crate::house::examples().join("seeds.jsonl")).expect("seeds");
    let all: Vec<String> =
        file.lines().take(20).map(|line| serde_json::from_str::<Value>(line).expect("a seed")["id"].to_string()).collect();
    ids.sort();
    let mut expected: Vec<&String> = [2, 6, 10, 14, 18].iter().map(|n| &all[*n]).collect();
    expected.sort();
    assert_eq!(ids.iter().collect::<Vec<_>>(), expected, "spread over the twenty, and not the first five");
    let other = house.sluice(&["ablate", "campaign.toml", "grid.toml", "--seeds", "6"]);
    assert!(other.code == Some(2) && other.err.contains("has other seeds"), "{}", other.text());
}

#[test]
fn all_that_is_wrong_is_told_with_the_variant_before_anything_runs() {
    let grid = "[grid]\n\"recipe.max_turns\" = [1, 12]\n[[variant]]\nname = \"hot\"\n\"teacher.temprature\" = 2.0\n";
    let wrong = house(HEURISTIC, grid);
    let refused = wrong.sluice(&["ablate", "campaign.toml", "grid.toml"]);
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    for expected in ["variant max-turns-1: recipe.max_turns = `1`", "variant hot: ", "did you mean `temperature`?"] {
        assert!(refused.err.contains(expected), "`{expected}` in {}", refused.err);
    }
    assert!(!wrong.path("out").exists() && !wrong.path("corpus").exists());

    let keyless = "[teacher]\nkind = \"http\"\nendpoints = [\"http://127.0.0.1:9/v1\"]\nmodel = \"m\"\n";
    let grid = "[grid]\n\"teacher.api_key_env\" = [\"SLUICE_NO_SUCH_A\", \"SLUICE_NO_SUCH_B\"]\n";
    let refused = house(keyless, grid).sluice(&["ablate", "campaign.toml", "grid.toml"]);
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    assert!(refused.err.contains("SLUICE_NO_SUCH_A") && refused.err.contains("SLUICE_NO_SUCH_B"), "{}", refused.err);
}

#[test]
fn a_variant_whose_name_is_taken_by_other_settings_is_refused_with_the_difference() {
    let house = house(HEURISTIC, GRID);
    assert_eq!(ablated(&house, &["--seeds", "3"]).0.code, Some(0));
    let text = std::fs::read_to_string(house.path("campaign.toml")).expect("the campaign");
    std::fs::write(house.path("campaign.toml"), text.replace("temperature = 0.0", "temperature = 0.5")).expect("written");
    let refused = house.sluice(&["ablate", "campaign.toml", "grid.toml", "--seeds", "3"]);
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    for variant in ["variant max-turns-2", "variant max-turns-12"] {
        assert!(refused.err.contains(variant), "{}", refused.err);
    }
    assert!(refused.err.contains("teacher.temperature: 0.0 when it was planned, 0.5 now"), "{}", refused.err);
    let aside = house.sluice(&["ablate", "campaign.toml", "grid.toml", "--seeds", "3", "--out", "elsewhere"]);
    assert_eq!(aside.code, Some(0), "{}", aside.text());
    assert!(house.path("elsewhere/campaigns/test-max-turns-12/dataset.json").is_file());
}

#[test]
fn variants_at_a_budget_are_compared_by_what_they_could_afford() {
    let more = format!("{HEURISTIC}[budget]\ncalls = 12\n");
    let house = house(&more.replace("concurrency = 8", "concurrency = 1"), GRID);
    let (ran, comparison) = ablated(&house, &[]);
    assert_eq!(ran.code, Some(130), "{}", ran.text());
    for line in comparison["variants"].as_array().expect("variants") {
        let (counts, outstanding) = (&line["counts"], line["outstanding"].as_u64().expect("a number"));
        let done = counts["accepted"].as_u64().unwrap_or(0) + counts["rejected"].as_u64().unwrap_or(0);
        assert!(outstanding > 0 && done > 0 && done + outstanding == 20, "{line}");
    }
}
