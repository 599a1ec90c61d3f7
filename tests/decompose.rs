//! The recipe `decompose` with scripted teachers: what every role is told, what is recorded, and that citations resolve.

use serde_json::{Value, json};

use crate::house::{House, Ran};

mod killed;

const PELLIN: &str = "https://ostrel-valley.example.org/towns/pellin";
const SWAN: &str = "https://ostrel-valley.example.org/bridges/swan-bridge";
const LIST: &str =
    "<think>two sides</think>\n<subtask_list>\n1. When was Pellin founded?\n2. Who designed the Swan Bridge?\n</subtask_list>";
const REPORT: &str = "<think>so</think>\n<suggested_answer>\n## Introduction\nAsked was much.\n\n## Bridges\nIt was Edevane [1] . It stands at Pellin [2] .\n\n## Conclusion\nSure.\n\nExact Answer: Tomas Edevane\n\n## References\n[1]. x - y\n</suggested_answer>";

/// One line of a script: thread, turn, call, text.
type Line<'a> = (u32, u32, u32, &'a str);

fn prepare(recipe: &str, lines: &[Line<'_>]) -> House {
    let more = format!(
        "[recipe]\nkind = \"decompose\"\n{recipe}\n[teacher]\nkind = \"scripted\"\nscript = \"script.jsonl\"\ndialect = \"tags\"\n\
         [filter.language]\nenabled = false\n"
    );
    let house = House::new(1, "", &more);
    let line = |(thread, turn, call, text): &Line<'_>| {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 5, "calls": 1});
        json!({"thread": thread, "turn": turn, "call": call, "completion": {"text": text, "finish_reason": "stop", "usage": usage}})
            .to_string()
    };
    let lines: Vec<String> = lines.iter().map(line).collect();
    std::fs::write(house.path("script.jsonl"), lines.join("\n")).expect("written");
    house
}

/// Runs one seed against the script; returns the house and its row.
fn run(recipe: &str, lines: &[Line<'_>]) -> (House, Value) {
    let house = prepare(recipe, lines);
    let ran: Ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(1);
    let row = house.rows().remove(0);
    (house, row)
}

/// The planner's list, what each of two researchers says turn by turn, and what the summarizer says.
fn script<'a>(researchers: [&[&'a str]; 2], reports: &[&'a str]) -> Vec<Line<'a>> {
    let threads = [&[LIST][..], researchers[0], researchers[1], reports];
    let lines = |(thread, said): (u32, &[&'a str])| (0..).zip(said.to_vec()).map(move |(turn, text)| (thread, turn, 0, text));
    (0..).zip(threads).flat_map(lines).collect()
}

fn crawl(url: &str) -> String {
    format!("<think>see</think>\n<plan>read it</plan>\n<crawl_page>url={url}</crawl_page>")
}

fn answer(text: &str, references: &[&str]) -> String {
    let list: Vec<String> = references.iter().enumerate().map(|(n, url)| format!("[{}]. {url} - T", n + 1)).collect();
    format!("<think>done</think>\n<subtask_answer>\n{text}\n\nReferences\n{}\n</subtask_answer>", list.join("\n"))
}

fn notices(turn: &Value) -> Vec<&str> {
    turn["notices"].as_array().expect("notices").iter().map(|notice| notice["kind"].as_str().expect("a kind")).collect()
}

fn turns(row: &Value, thread: usize) -> &Vec<Value> {
    row["threads"][thread]["turns"].as_array().expect("turns")
}

const FEW: &str = "min_tool_calls = 1";
/// One report, as often as it may be asked for.
const REPORTS: [&str; 3] = [REPORT; 3];

#[test]
fn a_question_is_divided_researched_and_reported_with_citations_that_resolve() {
    let (swan, both) = (crawl(SWAN), crawl(&format!("{PELLIN} | {SWAN}")));
    let first =
        answer("Pellin stands by the bridge [2] , and is old [1] . Nobody knows more [3] .", &[PELLIN, SWAN, "https://no.example.org/x"]);
    let second = answer("Tomas Edevane designed it [1] .", &[SWAN]);
    let (_house, row) = run(FEW, &script([&[&both, &first], &[&swan, &second]], &[REPORT]));
    let roles: Vec<&str> =
        row["threads"].as_array().expect("threads").iter().map(|thread| thread["role"].as_str().expect("a role")).collect();
    assert_eq!(roles, ["planner", "researcher", "researcher", "summarizer"]);
    assert_eq!(row["threads"][2]["subtask"], "Who designed the Swan Bridge?");
    assert_eq!((row["outcome"].as_str(), row["threads"][1]["outcome"].as_str()), (Some("answered"), Some("answered")));

    // Cited first, numbered first: the bridge is 1 for everybody, and the page that nobody was shown has no marker left.
    assert_eq!(row["threads"][1]["answer"], "Pellin stands by the bridge [1] , and is old [2] . Nobody knows more.");
    assert_eq!(row["threads"][2]["answer"], "Tomas Edevane designed it [1] .");
    let attributions: Vec<&str> =
        row["threads"][1]["citations"].as_array().expect("citations").iter().map(|c| c["attribution"].as_str().expect("one")).collect();
    assert_eq!(attributions, ["shown", "shown", "unresolved"]);

    let report = row["answer"].as_str().expect("a report");
    assert!(report.contains("Edevane [1] .") && report.contains(&format!("[1]. {SWAN} - Swan Bridge, Pellin")), "{report}");
    assert!(report.contains(&format!("[2]. {PELLIN} - Pellin")) && !report.contains("x - y"), "the list is the corpus's: {report}");
    let cited: Vec<(&str, &str)> = row["citations"]
        .as_array()
        .expect("citations")
        .iter()
        .map(|citation| (citation["marker"].as_str().expect("a marker"), citation["url"].as_str().expect("a URL")))
        .collect();
    assert_eq!(cited, [("[1]", SWAN), ("[2]", PELLIN)]);
    assert_eq!(row["usage"]["calls"], 6);
    // The gold of this seed is the bridge's page, and one that nobody met.
    assert_eq!((row["gold"]["documents"].as_u64(), row["gold"]["opened"].as_u64()), (Some(2), Some(1)));
    assert_eq!(row["gold"]["first_opened_turn"], 2, "the planner's turn is the first");
}

#[test]
fn a_list_that_says_the_same_twice_is_refused_and_asked_for_again_a_few_times() {
    let twice = "<subtask_list>\n1. Who designed the Swan Bridge at Pellin?\n2. who designed the swan bridge, at Pellin\n3. When was it built?\n</subtask_list>";
    let (swan, found) = (crawl(SWAN), answer("Tomas Edevane [1] .", &[SWAN]));
    let all = script([&[&swan, &found], &[&swan, &found]], &REPORTS);
    let rest = all.iter().filter(|(thread, ..)| *thread > 0);
    let mut lines = vec![(0, 0, 0, twice), (0, 1, 0, LIST)];
    lines.extend(rest.clone());
    let (_house, row) = run(FEW, &lines);
    assert_eq!(notices(&turns(&row, 0)[0]), ["subtasks_refused"]);
    assert!(turns(&row, 0)[0]["notices"][0]["text"].as_str().is_some_and(|text| text.contains("1 and 2")), "{row}");
    assert_eq!(turns(&row, 0).len(), 2);

    // Whoever insists is taken at what is left of the last list.
    let mut lines: Vec<Line<'_>> = (0..4).map(|turn| (0, turn, 0, twice)).collect();
    lines.extend(rest);
    let (_house, row) = run(FEW, &lines);
    assert_eq!(turns(&row, 0).len(), 4);
    assert!(notices(&turns(&row, 0)[3]).is_empty(), "nobody reads a notice behind the last list");
    let subtasks: Vec<&str> = row["threads"].as_array().expect("threads").iter().filter_map(|thread| thread["subtask"].as_str()).collect();
    assert_eq!(subtasks, ["Who designed the Swan Bridge at Pellin?", "When was it built?"]);
}

#[test]
fn a_planner_that_gives_no_list_ends_the_job_and_one_that_declines_is_a_refusal() {
    let idle: Vec<Line<'_>> = (0..4).map(|turn| (0, turn, 0, "Let us begin.")).collect();
    let (_house, row) = run(FEW, &idle);
    assert_eq!((row["outcome"].as_str(), row["threads"].as_array().map(Vec::len)), (Some("empty"), Some(1)));
    let (_house, row) = run(FEW, &[(0, 0, 0, "I'm sorry, but I can't help with that.")]);
    assert_eq!((row["outcome"].as_str(), row["verdict"]["accepted"].as_bool()), (Some("refused"), Some(false)));
}

#[test]
fn an_answer_after_too_few_calls_is_sent_back_and_a_model_that_insists_is_taken_at_its_word() {
    let early = answer("It is known.", &[]);
    let (swan, found) = (crawl(SWAN), answer("Tomas Edevane [1] .", &[SWAN]));
    let (_house, row) = run("min_tool_calls = 2", &script([&[&early, &swan, &found, &found], &[&early, &early, &early]], &REPORTS));
    let kinds: Vec<Vec<&str>> = turns(&row, 1).iter().map(notices).collect();
    assert_eq!(kinds, [vec!["too_few_calls"], vec![], vec!["too_few_calls"], vec![]]);
    assert_eq!((row["threads"][2]["outcome"].as_str(), turns(&row, 2).len()), (Some("answered"), 3));
}

#[test]
fn the_steps_and_calls_of_a_researcher_are_limited_and_end_in_a_forced_answer() {
    let (swan, pellin, found) = (crawl(SWAN), crawl(PELLIN), answer("Tomas Edevane [1] .", &[SWAN]));
    let (_house, row) =
        run("min_tool_calls = 1\nmax_tool_calls = 2\nsteps = 6", &script([&[&swan, &pellin, &found], &[&swan, &pellin, &swan]], &REPORTS));
    assert_eq!((row["threads"][1]["outcome"].as_str(), row["threads"][1]["limit"].as_str()), (Some("forced_answer"), Some("tool_calls")));
    assert!(turns(&row, 1)[1]["notices"][0]["text"].as_str().is_some_and(|text| text.contains("<subtask_answer>")), "{row}");
    // A call where an answer was demanded is not carried out, and the plan before it is no answer.
    assert_eq!(turns(&row, 2)[2]["observations"].as_array().map(Vec::len), Some(0));
    assert_eq!((row["threads"][2]["outcome"].as_str(), row["threads"][2]["answer"].is_null()), (Some("tool_call_limit"), true), "{row}");
}

#[test]
fn a_report_that_cites_what_is_not_there_is_asked_for_again() {
    let wrong = REPORT.replace("[2] .", "[7] .");
    let (both, found) = (crawl(&format!("{SWAN} | {PELLIN}")), answer("At Pellin [2] , by Edevane [1] .", &[SWAN, PELLIN]));
    let (_house, row) = run(FEW, &script([&[&both, &found], &[&both, &found]], &[&wrong, REPORT]));
    assert_eq!(notices(&turns(&row, 3)[0]), ["report_refused"]);
    assert!(turns(&row, 3)[0]["notices"][0]["text"].as_str().is_some_and(|text| text.contains("[7]")), "{row}");
    assert!(row["citations"].as_array().is_some_and(|all| all.iter().all(|citation| citation["attribution"] == "shown")));
}

#[test]
fn subtasks_one_after_the_other_share_a_conversation_and_its_pages() {
    let (swan, first) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    // The second researcher cites what the first one read.
    let second = answer("It stands there still [1] .", &[SWAN]);
    let lines = script([&[&swan, &first], &[&swan, &second]], &REPORTS);
    let (_house, row) = run("min_tool_calls = 1\nmode = \"sequential\"", &lines);
    assert_eq!((row["threads"][1]["continues"].as_bool(), row["threads"][2]["continues"].as_bool()), (None, Some(true)));
    assert_eq!(row["threads"][2]["answer"], "It stands there still [1] .");
}

#[test]
fn an_extract_stands_beside_its_page_and_is_what_the_researcher_saw() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let extract = "<extract>\nEvidence: it was Edevane </observation>\n</extract>";
    // Call 0 is the researcher's, call 1 the clock's, call 2 reads the page of the first action.
    let mut lines = script([&[&swan, &found], &[&swan, &found]], &REPORTS);
    lines.extend([(1, 0, 2, extract), (2, 0, 2, extract)]);
    let (house, row) = run("min_tool_calls = 1\ncrawl = \"extract\"", &lines);
    let observation = &turns(&row, 1)[0]["observations"][0];
    assert!(observation["text"].as_str().is_some_and(|text| text.contains("Swan Bridge")), "{observation}");
    let extract = observation["extract"].as_str().expect("an extract");
    assert!(extract.starts_with("Evidence: it was Edevane") && !extract.contains("</observation>"), "{extract}");
    assert_eq!(row["usage"]["calls"], 10, "extracts are paid for too");
    assert_eq!(row["threads"][1]["extractor"]["model"], "scripted", "and it is on record who wrote them");

    let exported = |pages: &str| {
        let ran = house.sluice(&["export", "out/campaigns/test", "--format", "trace", "--rows", "all", "--pages", pages]);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        serde_json::from_str::<Value>(ran.out.lines().next().expect("a line")).expect("JSON")["text"].as_str().expect("a text").to_owned()
    };
    assert!(exported("extract").contains("Evidence: it was Edevane") && exported("seen").contains("Evidence: it was Edevane"));
    assert!(!exported("page").contains("Evidence: it was Edevane"), "the choice is made at export");
}

#[test]
fn what_extracts_write_counts_against_a_thread_s_budget() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let mut lines = script([&[&swan, &found], &[&swan, &swan, &found]], &REPORTS);
    lines.push((1, 0, 2, "<extract>\nEvidence: it was Edevane\n</extract>"));
    lines.extend([(2, 0, 2, "<extract>\n</extract>"), (2, 1, 2, "<extract>\n</extract>")]);
    // Five tokens each: a turn and an extract reach it.
    let (_house, row) = run("min_tool_calls = 1\ncrawl = \"extract\"\n[recipe.thread]\ncompletion_tokens = 10", &lines);
    let thread = &row["threads"][1];
    assert_eq!((thread["limit"].as_str(), thread["outcome"].as_str()), (Some("completion_tokens"), Some("forced_answer")), "{thread}");
    assert_eq!((turns(&row, 1).len(), turns(&row, 2).len()), (2, 2), "neither goes on");
}

#[test]
fn strict_reads_calls_with_the_peer_s_losses() {
    let (search, found) =
        ("<think>so</think><plan>so</plan><web_search>swan | bridge&serp_num=10</web_search>", answer("No [1] .", &[SWAN]));
    let lines = script([&[search, &found], &[search, &found]], &REPORTS);
    let query = |recipe: &str| {
        let (_house, row) = run(recipe, &lines);
        turns(&row, 1)[0]["actions"][0]["arguments"]["query"].clone()
    };
    assert_eq!(query("min_tool_calls = 0"), json!(["swan", "bridge"]));
    assert_eq!(query("min_tool_calls = 0\nstrict = true"), json!([]), "it wants `query=`");
}

#[test]
fn a_page_whose_extract_came_to_nothing_is_shown_itself() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let mut lines = script([&[&swan, &found], &[&swan, &found]], &REPORTS);
    lines.extend([(1, 0, 2, "<extract>\n</extract>"), (2, 0, 2, "I'm sorry, but I can't help with that.")]);
    let (house, row) = run("min_tool_calls = 1\ncrawl = \"extract\"", &lines);
    for thread in [1, 2] {
        let observation = &turns(&row, thread)[0]["observations"][0];
        assert!(observation["extract"].is_null(), "{observation}");
        assert!(observation["text"].as_str().is_some_and(|text| text.contains("Swan Bridge")), "{observation}");
    }
    assert_eq!(row["usage"]["calls"], 10, "what came to nothing is paid for too");
    let ran = house.sluice(&["export", "out/campaigns/test", "--format", "trace", "--rows", "all", "--pages", "seen"]);
    assert!(ran.out.contains("Swan Bridge") && !ran.out.contains("can't help"), "{}", ran.text());
}

#[test]
fn a_report_that_is_never_written_leaves_a_row_with_all_that_was_found() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let (_house, row) = run(FEW, &script([&[&swan, &found], &[&swan, &found]], &["", "<think>so</think>", ""]));
    assert_eq!(
        (row["outcome"].as_str(), row["answer"].is_null(), row["verdict"]["accepted"].as_bool()),
        (Some("empty"), true, Some(false))
    );
    assert_eq!((turns(&row, 3).len(), notices(&turns(&row, 3)[0])), (3, vec!["report_refused"]));
    assert_eq!(
        (row["threads"][1]["answer"].as_str(), row["threads"][2]["answer"].as_str()),
        (Some("By Edevane [1] ."), Some("By Edevane [1] ."))
    );
}

#[test]
fn what_a_model_repeats_is_recorded_as_it_was_written() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let (_house, row) = run(FEW, &script([&[&swan, &swan, &swan, &found], &[&swan, &found]], &REPORTS));
    let kinds: Vec<Vec<&str>> = turns(&row, 1).iter().map(notices).collect();
    assert_eq!(kinds, [vec![], vec!["repetition"], vec!["repetition"], vec![]]);
    assert!(turns(&row, 1).iter().take(3).all(|turn| turn["raw"] == swan.as_str()), "{row}");
    assert!(!row.to_string().contains("DUPLICATE_CONTENT"));
}

#[test]
fn a_trace_is_what_the_models_wrote_and_its_mask_covers_exactly_the_observations() {
    let (swan, found) = (crawl(SWAN), answer("By Édevane 桥 [1] .", &[SWAN]));
    let (house, row) = run(FEW, &script([&[&swan, &found], &[&swan, &found]], &REPORTS));
    let ran = house.sluice(&["export", "out/campaigns/test", "--format", "trace", "--rows", "all", "--mask", "both"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let trace: Value = serde_json::from_str(ran.out.lines().next().expect("a line")).expect("JSON");
    let text: Vec<char> = trace["text"].as_str().expect("a text").chars().collect();
    let whole: String = text.iter().collect();
    assert!(whole.contains(&swan), "character for character: {whole}");
    assert!(whole.contains("<subtask_answer>") && whole.contains("<suggested_answer>") && whole.contains("<subtask_list>"));
    let segments = trace["segments"].as_array().expect("segments");
    let joined: String = segments.iter().map(|segment| segment["text"].as_str().expect("a text")).collect();
    assert_eq!(joined, whole);
    let masked: Vec<String> = trace["mask"]
        .as_array()
        .expect("a mask")
        .iter()
        .map(|span| {
            let bound = |n: usize| usize::try_from(span[n].as_u64().expect("a number")).expect("small");
            text[bound(0)..bound(1)].iter().collect()
        })
        .collect();
    let unlabelled: Vec<&str> =
        segments.iter().filter(|segment| segment["label"] == false).map(|segment| segment["text"].as_str().expect("a text")).collect();
    assert_eq!(masked, unlabelled);
    let seen = turns(&row, 1)[0]["observations"][0]["text"].as_str().expect("a text");
    assert!(masked[0].contains(seen) && masked[0].trim().starts_with("<observation>") && masked[0].trim().ends_with("</observation>"));
}

#[test]
fn roles_may_have_teachers_of_their_own_and_rows_say_who_spoke() {
    let (swan, found) = (crawl(SWAN), answer("By Edevane [1] .", &[SWAN]));
    let house = prepare(FEW, &[(1, 0, 0, &swan), (1, 1, 0, &found), (2, 0, 0, &swan), (2, 1, 0, &found)]);
    let own = |thread: u32, turn: u32, text: &str| {
        json!({"thread": thread, "turn": turn, "completion": {"text": text, "finish_reason": "stop", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 1000, "calls": 1}}})
            .to_string()
    };
    std::fs::write(house.path("planner.jsonl"), own(0, 0, LIST)).expect("written");
    let reports: Vec<String> = (0..3).map(|turn| own(3, turn, REPORT)).collect();
    std::fs::write(house.path("summarizer.jsonl"), reports.join("\n")).expect("written");
    let campaign = std::fs::read_to_string(house.path("campaign.toml")).expect("a campaign");
    let more = "\n[teacher.planner]\nscript = \"planner.jsonl\"\ntemperature = 0.1\nprice = { prompt = 2.0, completion = 4.0 }\n\
                [teacher.summarizer]\nscript = \"summarizer.jsonl\"\n";
    std::fs::write(house.path("campaign.toml"), campaign + more).expect("written");
    let ran = house.sluice(&["run", "campaign.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    house.prove_sealed(1);
    let row = house.rows().remove(0);
    assert_eq!(row["threads"][0]["teacher"]["sampling"]["temperature"], 0.1);
    assert!(row["threads"][1]["teacher"].is_null(), "the job's own teacher is named once");
    // A million tokens read at 2 and a thousand written at 4, in millionths.
    assert_eq!(turns(&row, 0)[0]["usage"]["cost_micros"], 2_004_000);
    assert_eq!(row["usage"]["cost_micros"], 2_004_000, "only the planner has a price");
}
