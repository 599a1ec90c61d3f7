//! Grids as they are typed, and what is said of those that are wrong.

use super::*;

const BASE_FILE: &str = "[campaign]\nname = \"quick\"\nseeds = \"s.jsonl\"\n[corpus]\npath = \"c\"\n[recipe]\nkind = \"decompose\"\nsteps = 10\n\
                         [teacher]\nkind = \"heuristic\"\ndialect = \"tags\"\n";

fn base() -> Table {
    BASE_FILE.parse().expect("well-formed")
}

fn names(grid: &str) -> Vec<String> {
    Grid::parse(grid).expect("a grid").variants.into_iter().map(|variant| variant.name).collect()
}

fn problems(grid: &str) -> String {
    Grid::parse(grid).expect_err("problems").to_string()
}

fn resolved(grid: &str) -> Result<Vec<Resolved>, String> {
    Grid::parse(grid).expect("a grid").resolve(&base(), Path::new("/base"))
}

#[test]
fn a_product_has_every_value_with_every_other_whether_keys_are_quoted_or_not() {
    let expected = ["mode-parallel-steps-5", "mode-parallel-steps-20", "mode-sequential-steps-5", "mode-sequential-steps-20"];
    assert_eq!(names("[grid]\n\"recipe.steps\" = [5, 20]\n\"recipe.mode\" = [\"parallel\", \"sequential\"]\n"), expected);
    assert_eq!(names("mode = \"product\"\n[grid]\nrecipe.steps = [5, 20]\nrecipe.mode = [\"parallel\", \"sequential\"]\n"), expected);
    let all = resolved("[grid]\n\"recipe.steps\" = [5, 20]\n").expect("valid");
    let steps = |resolved: &Resolved| match &resolved.settings.recipe {
        model::settings::RecipeSettings::Decompose(decompose) => decompose.steps,
        other => panic!("{other:?}"),
    };
    assert_eq!(all.iter().map(steps).collect::<Vec<_>>(), [5, 20]);
    assert_eq!(all[0].settings.campaign.name, "quick-steps-5");
    assert_eq!(all[0].settings.campaign.seeds, "/base/s.jsonl");
}

#[test]
fn one_at_a_time_varies_each_key_around_the_campaign_file_s_own_values() {
    let grid = "[grid]\nmode = \"one-at-a-time\"\n\"recipe.steps\" = [5, 10, 20]\n\"recipe.crawl\" = [\"extract\"]\n";
    assert_eq!(names(grid), ["base", "crawl-extract", "steps-5", "steps-10", "steps-20"]);
    let all = resolved(grid).expect("valid");
    let kept: Vec<&str> = all.iter().map(|resolved| resolved.variant.name.as_str()).collect();
    assert_eq!(kept, ["base", "crawl-extract", "steps-5", "steps-20"], "10 steps are the campaign file's own");
    let error = resolved(&format!("{grid}[[variant]]\nname = \"own\"\n\"recipe.steps\" = 10\n")).expect_err("asked for by name");
    assert!(error.contains("variant own: it means the same as the variant `base`"), "{error}");
    assert_eq!((all[0].variant.changes().as_str(), all[2].variant.changes().as_str()), ("as in the campaign file", "recipe.steps = 5"));
}

#[test]
fn explicit_variants_set_keys_and_leave_some_out() {
    let grid = "[[variant]]\nname = \"deep\"\n\"recipe.steps\" = 20\nteacher.price = { prompt = 1.0, completion = 2.0 }\n\
                [[variant]]\nname = \"browse\"\n\"recipe.kind\" = \"browse\"\n\"teacher.dialect\" = \"hermes\"\nwithout = [\"recipe.steps\", \"recipe.nothing\"]\n";
    let all = resolved(grid).expect("valid");
    assert_eq!(all[0].settings.teacher.price.map(|price| price.completion), Some(2.0));
    assert_eq!((all[1].settings.recipe.name(), all[1].settings.campaign.name.as_str()), ("browse", "quick-browse"));
    assert!(all[1].variant.changes().contains("no recipe.steps"), "{}", all[1].variant.changes());
}

#[test]
fn all_that_is_wrong_with_a_grid_is_told_at_once() {
    let found = problems(
        "mode = \"all\"\n[grid]\n\"recipe.steps\" = 5\n\"recipe.mode\" = []\n\"campaign.seeds\" = [\"a\", \"b\"]\n\
         [[variant]]\nname = \"No Name\"\n[[variant]]\nname = \"a\"\nwithout = 3\n[[variant]]\nname = \"b\"\n[[variant]]\nname = \"b\"\n",
    );
    for expected in [
        "mode = `all`: one of: product, one-at-a-time",
        "recipe.steps: a list of values",
        "recipe.mode: a list of values",
        "campaign.seeds: the same for all variants",
        "variant 1: name",
        "variant 2: without",
        "variant = `b`: a name of its own",
    ] {
        assert!(found.contains(expected), "`{expected}` in\n{found}");
    }
    assert!(problems("").contains("keys with lists of values"));
    assert!(problems("[gird]\n").contains("did you mean `grid`?"));
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let lists = format!("[grid]\n\"recipe.steps\" = [{0}]\n\"recipe.parallel\" = [{0}]\n", many.join(", "));
    assert!(problems(&lists).contains("at most 256 variants"));
}

#[test]
fn what_is_wrong_with_variants_is_told_of_all_of_them_with_their_names_and_the_nearest_key() {
    let error = resolved("[grid]\n\"recipe.steps\" = [1, 5]\n\"recipe.context_tokens\" = [100]\n").expect_err("wrong values");
    assert!(error.contains("variant context-tokens-100-steps-1: recipe.steps = `1`"), "{error}");
    assert!(error.contains("every variant: recipe.context_tokens = `100`: at least 4096"), "{error}");
    let error = resolved("[grid]\n\"recipe.stepps\" = [1, 5]\n").expect_err("an unknown key");
    assert!(error.contains("every variant: ") && error.contains("did you mean `steps`?"), "{error}");
    let error = resolved("[grid]\n\"recipe.steps.x\" = [1]\n").expect_err("no table");
    assert!(error.contains("variant x-1: recipe.steps.x: a key of a table"), "{error}");
    let error = resolved("[grid]\n\"recipe.steps\" = [10]\n[[variant]]\nname = \"same\"\n").expect_err("two of one");
    assert!(error.contains("variant same: it means the same as the variant `steps-10`"), "{error}");
}

#[test]
fn a_campaign_s_name_is_short_enough_and_depends_on_its_variant_alone() {
    let variant = |name: &str| Variant { name: name.to_owned(), ..Variant::default() };
    assert_eq!(variant("steps-5").campaign("quick"), "quick-steps-5");
    let long = "context-tokens-131072-mode-sequential-steps-20";
    let name = variant(long).campaign("quick");
    assert!(name.len() <= 40 && name.starts_with("quick-context-tokens-131072-"), "{name}");
    assert_ne!(name, variant(&long.replace("20", "10")).campaign("quick"));
    assert!(variant("a").campaign(&"x".repeat(40)).len() <= 40);
}

#[test]
fn values_have_short_names_and_keys_that_end_alike_whole_ones() {
    assert_eq!(names("[grid]\n\"teacher.temperature\" = [0.5, 1]\n"), ["temperature-0-5", "temperature-1"]);
    let both = "[grid]\n\"teacher.model\" = [\"Qwen/Qwen3-8B\"]\n\"teacher.planner.model\" = [\"o\"]\n";
    assert_eq!(names(both), ["teacher-model-qwen-qwen3-8b-teacher-planner-model-o"]);
    let lists = names("[grid]\n\"teacher.endpoints\" = [[\"http://a/v1\"], [\"http://b/v1\"]]\n");
    assert!(lists[0] != lists[1] && lists.iter().all(|name| name.starts_with("endpoints-") && slug(name) == *name), "{lists:?}");
}
