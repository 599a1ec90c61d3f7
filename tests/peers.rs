//! The faults that are known of the systems Sluice is measured by, and for each the test that would find it here.
//!
//! OpenResearcher and O-Researcher were read and run; of the others, their users' reports. Who mends a fault of a peer that is missing here
//! adds a line; who renames a test is told so.
//!
//! Some faults have no place here, and no test. Nothing is pickled and no corpus lives in a language's own dictionaries: a snapshot is
//! digested and memory-mapped, and there is no flat scan of vectors. A local corpus needs no sessions, no page cache between processes, no
//! headless fetching. Jobs are pulled from a queue, so there is no split to be wrong about and no list of finished ones to keep
//! (`scripts/load` watches the memory of a long run). An error of a tool is a type of its own and no string among the results. Text is
//! never decoded from tokens. A function that nobody calls does not compile. Servers are stopped by their own process numbers. Nothing is
//! sent to anybody but the servers of the campaign file, and there is no viewer that publishes. Rewards are made of a verdict's scores by
//! whoever trains, so the open questions of O-Researcher's formula do not arise here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Who has the fault, what it is, and the test.
type Fault = (&'static str, &'static str, &'static str);

const OPEN: &str = "OpenResearcher";
const O: &str = "O-Researcher";

/// The tools, as a model uses them.
const TOOLS: &[Fault] = &[
    (OPEN, "arXiv is rewritten to a mirror that the corpus does not have", "an_arxiv_page_opens_by_link_and_by_url"),
    (
        OPEN,
        "plain text is read as HTML: lines run together, `x<y` swallows the rest",
        "plain_text_keeps_its_lines_tables_and_angle_brackets",
    ),
    (OPEN, "emoji are deleted", "plain_text_keeps_its_lines_tables_and_angle_brackets"),
    (OPEN, "find misses what crosses a wrapped line", "find_crosses_the_wrap_and_the_lines_of_a_paragraph"),
    (OPEN, "find sees white space, case and quotes as different", "case_spacing_quotes_and_dashes_do_not_matter"),
    (OPEN, "the first rule of dashes ends a document", "a_rule_of_dashes_ends_nothing"),
    (OPEN, "small document numbers, shown as titles, give the gold away", "documents_have_names_and_no_numbers"),
    (OPEN, "the clock is in every page of results", "the_same_calls_show_the_same_bytes_and_every_search_is_a_page_of_its_own"),
    (OPEN, "today's date is in the prompt", "prompts_are_rendered_whole_without_a_date_and_name_the_form_of_what_is_asked_for"),
    (OPEN, "two searches in a second share one page", "the_same_calls_show_the_same_bytes_and_every_search_is_a_page_of_its_own"),
    (OPEN, "\"-1\" is a URL, \"false\" is true, `1984` is no query, windows have no bound", "arguments_are_read_in_any_type_and_bounded"),
    (OPEN, "of two documents with one URL a hit for the first opens the second", "a_result_opens_the_document_it_shows"),
    (OPEN, "prompts have braces that nobody filled in", "descriptions_are_rendered_and_their_citations_resolve"),
    (OPEN, "the prompt asks for citations in a form that no tool shows", "descriptions_are_rendered_and_their_citations_resolve"),
    (OPEN, "topn is ignored, and a window shows 15 results of 20", "all_results_asked_for_are_in_one_window"),
    (OPEN, "snippets are a document's first characters", "the_densest_spot_is_shown_from_the_start_of_its_sentence"),
    (OPEN, "characters of the query language break a search", "syntax_is_punctuation"),
    (OPEN, "one parser of queries serves threads that it is not safe for", "a_corpus_is_shared_between_threads"),
    (OPEN, "what was shown last is not kept for the next view", "texts_of_documents_are_kept_for_the_latest_few_only"),
    (O, "results of several queries crowd each other out", "several_queries_share_the_results_and_list_each_document_once"),
    (O, "all pages are cut together, and nothing says so", "a_page_is_shown_up_to_its_tokens_and_says_what_is_left_out"),
    (O, "one bad URL costs the others", "a_url_that_is_unknown_costs_no_other_page"),
    (O, "a page may close its own observation", "nothing_of_a_document_can_forge_structure_on_the_web"),
    (O, "what failed while a page was summarised is shown as its summary", "a_page_whose_extract_came_to_nothing_is_shown_itself"),
    (O, "what failed while a page was summarised is shown as its summary", "a_refusal_or_a_cut_thought_is_no_extract"),
    (O, "errors of a backend are observations", "a_corpus_with_one_changed_byte_is_said_and_worked_with_when_it_is_mended"),
    (O, "no rule counts the tool errors in a trace", "refused_and_unreadable_calls_are_errors_and_their_share_decides"),
];

/// What a model writes, and what is understood of it.
const READING: &[Fault] = &[
    (OPEN, "of several calls the first alone is carried out", "all_calls_of_a_turn_are_carried_out_and_one_that_cannot_be_read_is_told"),
    (OPEN, "a call that cannot be read is an empty message, and nobody is told", "a_call_that_cannot_be_read_is_told_with_the_right_form"),
    (OPEN, "a thought that the limit cut is content, and why it ended is not kept", "a_cut_thought_is_no_answer_and_an_empty_turn_is_told"),
    (OPEN, "`answer:` anywhere ends the research", "words_of_an_answer_end_nothing_beside_a_call_or_the_plan_to_make_one"),
    (
        OPEN,
        "without call and answer it loops to the end",
        "whoever_neither_calls_nor_answers_is_told_each_time_and_then_asked_for_the_answer",
    ),
    (OPEN, "the prompt never says how to answer", "prompts_are_rendered_whole_without_a_date_and_name_the_form_of_what_is_asked_for"),
    (OPEN, "stop texts are looked for here and never sent", "texts_that_stop_a_chat_are_sent_where_there_are_any"),
    (O, "a bare `a | b&serp_num=10` is no query", "every_body_of_the_table_is_mended_and_what_was_mended_is_said"),
    (O, "what follows `&` is lost from a query", "every_body_of_the_table_is_mended_and_what_was_mended_is_said"),
    (O, "a line break within a query loses it", "every_body_of_the_table_is_mended_and_what_was_mended_is_said"),
    (O, "the first URL behind `url=` is dropped, a single one is none", "every_body_of_the_table_is_mended_and_what_was_mended_is_said"),
    (O, "of URLs on lines of their own the first alone is read", "every_body_of_the_table_is_mended_and_what_was_mended_is_said"),
    (O, "parts are neither trimmed nor told apart", "what_models_mix_up_is_sorted_out_and_said"),
    (O, "strictly read, all of this is lost as the peer loses it", "every_body_of_the_table_is_lost_in_the_peers_way_when_read_strictly"),
    (O, "of two calls in a text the last one wins", "a_call_that_another_tag_cuts_short_is_closed_and_an_empty_one_told"),
    (O, "strictly read, the last one wins", "the_peers_parser_takes_the_last_of_several_calls_and_loses_what_it_loses"),
    (O, "tags in capitals and tags that nothing opens are not seen", "a_call_in_another_case_is_a_call_and_one_that_nothing_opens_is_told"),
    (O, "what ends otherwise than by a stop text is thrown away", "a_cut_thought_is_no_answer_and_an_empty_turn_is_told"),
    (
        O,
        "a call that the limit cut passes for whole, or one that a stop text ended for none",
        "a_call_without_its_closing_tag_is_a_call_when_a_stop_text_ended_it_and_cut_when_the_token_limit_did",
    ),
    (O, "the closing tag is put back wherever it fits", "a_closing_tag_is_put_back_in_the_tag_protocol_alone"),
    (O, "a turn that was begun is closed by the template", "a_begun_answer_is_gone_on_with"),
    (O, "an observation that the model made up is believed", "an_observation_that_the_model_wrote_ends_its_turn"),
    (
        "vLLM",
        "the answer lands in the reasoning channel",
        "an_answer_that_a_server_took_for_reasoning_is_an_answer_and_half_of_one_is_none",
    ),
    ("vLLM", "earlier reasoning does not go back to the model", "a_request_is_what_an_openai_server_expects"),
    ("vLLM", "content is null and tokens were paid", "completions_are_read_in_every_shape_that_servers_send"),
    ("Data Designer", "a model narrates its calls, and the narration is the answer", "a_text_that_says_what_it_will_do_announces_a_call"),
];

/// How research ends, and what is left of it.
const ENDINGS: &[Fault] = &[
    (
        OPEN,
        "at the last round a page is graded as the answer",
        "who_calls_a_tool_when_an_answer_is_demanded_ends_at_the_limit_with_all_turns_kept",
    ),
    (OPEN, "what has no answer is judged", "a_hard_finding_spares_the_judge"),
    (OPEN, "too long a conversation is tried again twenty times", "a_context_overflow_is_told_at_once"),
    (OPEN, "too long a conversation is lost", "a_server_with_a_short_context_costs_no_trajectory"),
    (OPEN, "there is no budget of context and no forced answer", "the_context_keeps_room_for_the_forced_answer"),
    (OPEN, "what failed for good leaves no messages and no cost", "a_job_that_fails_leaves_on_record_what_was_paid_for"),
    (O, "the room for a completion becomes negative", "a_context_smaller_than_one_completion_still_leaves_half_of_itself_for_reading"),
    ("Data Designer", "the plan to go on is taken for the answer that was demanded", "a_plan_to_go_on_is_no_forced_answer"),
    (O, "without a report the row is dropped", "a_report_that_is_never_written_leaves_a_row_with_all_that_was_found"),
    (O, "a subtask that reaches its limit has no answer", "the_steps_and_calls_of_a_researcher_are_limited_and_end_in_a_forced_answer"),
    (O, "the guard against loops crashes everybody's round", "whoever_repeats_one_call_is_told_and_in_the_end_stopped"),
    (O, "the guard against loops crashes everybody's round", "a_panic_costs_its_own_job_and_never_the_worker"),
    (O, "repeated text is wrapped in markers, in the data", "what_a_model_repeats_is_recorded_as_it_was_written"),
    (O, "nothing rejects those markers", "markers_of_duplicate_content_are_found_wherever_they_stand"),
    (O, "how long it took is never filled in", "how_long_it_took_is_in_the_row"),
    (O, "citations lead nowhere (two of three)", "a_question_is_divided_researched_and_reported_with_citations_that_resolve"),
];

/// Jobs, crashes and what was paid for.
const DURABILITY: &[Fault] = &[
    (OPEN, "an outage turns the whole queue into failures", "when_every_job_fails_it_is_an_outage_and_no_job_ends_by_it"),
    (OPEN, "an outage turns the whole queue into failures", "no_server_at_all_costs_no_attempt_and_the_campaign_goes_on_when_it_is_back"),
    (OPEN, "what failed counts as done and is never tried again", "a_retry_after_a_seal_is_sealed_anew_and_the_first_seal_stands"),
    (OPEN, "tries follow each other without a pause", "delays_grow_to_the_bound_and_never_pass_it"),
    (OPEN, "all errors are one", "a_status_is_classed_by_who_can_do_something_about_it"),
    (OPEN, "a crash loses every trajectory in flight", "a_campaign_killed_six_times_asks_again_only_what_was_in_flight"),
    (OPEN, "a torn last line spoils the next one", "every_acknowledged_entry_survives_kill_9"),
    (OPEN, "a torn file is read", "an_object_that_lost_its_end_is_an_error"),
    (
        OPEN,
        "processes that start at different times divide the work differently",
        "a_second_delivery_of_running_work_is_adopted_and_the_work_runs_once",
    ),
    (OPEN, "two resumes do the same work", "resuming_again_and_again_beside_running_workers_has_nothing_done_twice"),
    (OPEN, "there is no number of a sample", "ids_differ_by_campaign_seed_and_sample"),
    (OPEN, "seed, top_p and temperature are not settings, and not kept", "every_sample_has_its_own_recorded_sampling_seed"),
    (OPEN, "a setting is read and does nothing", "extra_adds_removes_and_renames_fields_and_changes_no_recorded_value"),
    (
        OPEN,
        "a key that is spelt differently is passed over",
        "a_wrong_configuration_is_told_with_key_value_and_rule_before_anything_is_opened",
    ),
    (OPEN, "stragglers idle the others", "what_one_does_not_use_the_other_has"),
    (OPEN, "a worker's jobs die with it", "a_worker_that_dies_frees_its_jobs_within_seconds_and_is_fenced_when_it_wakes"),
    (O, "ten errors end a question", "an_outage_spends_no_attempt_however_long_it_lasts"),
    (O, "questions that read the same are one", "seeds_that_ask_the_same_are_jobs_of_their_own"),
    ("distilabel", "a batch that fails becomes rows of nothing", "one_bad_seed_costs_its_own_job_with_the_reason_on_record"),
    ("distilabel", "a resumed run hangs", "a_process_that_dies_between_any_two_durable_steps_loses_nothing"),
    ("distilabel", "nothing stops at a budget", "a_campaign_at_its_budget_pauses_itself_grades_what_it_has_and_goes_on_with_more"),
    ("datatrove", "some jobs never end", "the_last_one_left_that_fails_alone_ends_too_but_only_after_a_while"),
    (
        "curator",
        "a request that failed is tried again once, or for ever",
        "one_that_fails_while_others_succeed_is_tried_again_a_bounded_number_of_times",
    ),
];

/// Servers of models, limits and speed.
const SERVERS: &[Fault] = &[
    (OPEN, "every round renders and counts the whole conversation again", "what_is_kept_is_not_rendered_again"),
    (OPEN, "a prompt is not the one before it and more", "a_prompt_begins_with_the_one_before_it"),
    (OPEN, "requests have no limit of time", "a_server_that_does_not_answer_in_time_is_an_outage_only_if_it_answers_nothing"),
    (OPEN, "requests are not tried again", "a_torn_body_and_a_reset_connection_are_tried_again"),
    (OPEN, "a worker is tied to one server and dies with it", "a_job_in_trouble_at_one_endpoint_goes_to_the_next"),
    (OPEN, "a limit of requests lets bursts pass", "all_workers_together_keep_to_a_limit"),
    (OPEN, "a limit of requests lets bursts pass", "a_limit_is_spent_evenly_and_what_was_not_used_is_not_saved_up"),
    (
        "Data Designer",
        "429 for a long time stalls everything",
        "where_there_is_no_other_a_short_rest_is_waited_for_and_a_long_one_holds_the_jobs",
    ),
    ("Data Designer", "nothing opens a circuit", "a_server_that_fails_everybody_is_left_alone_and_comes_back_by_one_probe"),
    ("Data Designer", "4 % of errors pass for half", "four_percent_of_errors_open_nothing"),
    ("inspect", "one endpoint is all there may be", "jobs_are_spread_by_weight_and_each_thread_keeps_to_its_server"),
];

/// Judges and measures.
const JUDGES: &[Fault] = &[
    (
        OPEN,
        "one failed judgement loses all that were paid for",
        "a_judgement_whose_ledger_was_lost_while_it_was_made_is_not_asked_for_again",
    ),
    (
        OPEN,
        "one failed judgement loses all that were paid for",
        "a_damaged_verdict_costs_its_own_job_and_is_graded_anew_once_it_is_deleted",
    ),
    (OPEN, "why a judge said so is thrown away", "a_good_trajectory_is_accepted_with_all_its_scores"),
    (OPEN, "a judgement is guessed by a pattern", "a_judgement_is_read_from_any_wrapping"),
    (OPEN, "whether gold was found cannot be told", "each_gold_document_counts_once_and_turns_go_on_from_thread_to_thread"),
    ("DeepResearch Bench", "marks of 0 to 1 and of 0 to 100 are mixed up", "what_cannot_be_used_is_named"),
    ("QUEST", "four of five queries are repetitions, and nothing counts them", "repeated_calls_above_the_share_are_rejected"),
];

/// Data sets as trainers read them.
const EXPORTS: &[Fault] = &[
    (O, "the prompt in the repository is not that of the data", "a_thread_under_a_prompt_that_the_campaign_does_not_have_is_told"),
    ("MiroThinker", "nobody can tell who wrote which part of a trajectory", "a_trace_says_who_wrote_what_in_both_ways"),
    (
        "LLaMA-Factory",
        "beside calls, content and reasoning go missing",
        "a_turn_becomes_calls_answers_and_notices_in_the_order_the_model_saw_them",
    ),
    ("verl", "arguments are an object where text is read", "messages_are_exported_as_trainers_read_them"),
    ("SWE-smith", "a trajectory cannot be replayed any more", "verify_shows_the_first_difference_with_job_turn_and_diff"),
    ("SWE-smith", "what it was made with is gone", "another_version_is_named_with_this_one"),
];

/// What operators meet.
const OPERATION: &[Fault] = &[
    (OPEN, "all thoughts and pages are printed", "the_most_talkative_log_shows_neither_question_nor_page_nor_what_was_written"),
    (OPEN, "there are no metrics and no health", "processes_show_their_health_the_work_there_is_and_every_metric_that_is_asked_for"),
    (OPEN, "everybody can reach the server", "what_listens_is_reached_from_this_machine_alone_unless_it_is_told_otherwise"),
    (OPEN, "everybody can reach the server", "all_traffic_is_denied_but_what_a_policy_names"),
    (OPEN, "the command of the README crashes", "every_command_that_the_documents_show_is_accepted"),
    (O, "the README names a file that is not there", "every_file_that_the_documents_name_is_there"),
    (O, "variables are set that nobody reads, and others are read", "every_variable_has_a_reader_and_every_connection_its_variable"),
    (O, "ports are mixed up", "a_pod_listens_on_its_port_and_has_the_time_to_drain"),
    (O, "ports are mixed up", "connections_inside_name_servers_ports_and_passwords_that_are_there"),
    (O, "keys are logged whole", "a_refused_key_holds_the_jobs_and_nobody_sees_the_key"),
    (O, "keys are logged whole", "an_endpoint_with_a_secret_is_refused_and_the_secret_is_not_repeated"),
];

/// The names of all tests in this repository.
fn tests() -> BTreeSet<String> {
    fn walk(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names_in(&fs::read_to_string(&path).expect("UTF-8"), into);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stand in the workspace");
    let mut names = BTreeSet::new();
    for room in ["src", "workers", "tests"] {
        walk(&root.join(room), &mut names);
    }
    names
}

/// Adds the names of the functions in `text` that stand below an attribute of a test.
fn names_in(text: &str, into: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            continue;
        }
        let name = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).map(|(name, _)| name.to_owned());
        into.extend(name.filter(|_| is_test));
        is_test = false;
    }
}

#[test]
fn every_known_fault_of_our_peers_has_a_test_that_would_find_it_here() {
    let tests = tests();
    for (peer, fault, test) in [TOOLS, READING, ENDINGS, DURABILITY, SERVERS, JUDGES, EXPORTS, OPERATION].concat() {
        assert!(tests.contains(test), "{peer}: {fault}. There is no test `fn {test}(` in src/, workers/ or tests/");
    }
}
