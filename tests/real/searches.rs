//! Searches and interleaved runs, as far as their results hold on any host. `make quiet-test` has the rest.

use super::measured::{capacity_of_3000, slower_version, verify_all};
use super::system::{answer, take_turn};

#[test]
fn a_capacity_is_searched_in_few_trials_and_never_above_what_the_server_can() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let results = dir.path().join("results");
    let line = capacity_of_3000(dir.path(), &results);
    // `2925/s to 3072/s`, or `at least 2925/s`: the first number is a sustained rate.
    let numbers = line.split(' ').filter_map(|word| word.split_once("/s")?.0.parse::<u32>().ok());
    let rates: Vec<u32> = numbers.collect();
    let is_sustained = line.contains("/s to ") || line.contains("at least ");
    assert!(!is_sustained || rates[0] <= 3100, "{line}");
    // Of 46 rates the search halves the interval, tries no rate more than three times, and has two goals.
    let counted = answer(
        &results,
        "select count(*) <= 36 as few, count(failure_stage) as failed from trials",
    );
    assert_eq!(counted, "few,failed\ntrue,0\n");
    verify_all(&results);
}

#[test]
fn an_interleaved_run_measures_both_sides_in_every_block() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let results = dir.path().join("results");
    let (code, stderr) = slower_version(dir.path(), &results);
    // Where the host disturbs all trials there is no verdict.
    assert!([0, 4].contains(&code), "{code}: {stderr}");
    for (side, least_ns) in [("before", 1_000_000), ("after", 4_000_000)] {
        let line = stderr.lines().find(|line| line.ends_with(&format!("({side})"))).unwrap();
        let id = line.split(' ').nth(1).unwrap();
        // No host answers sooner than the server.
        let counted = answer(
            &results,
            &format!(
                "select count(*) as trials, sum(planned) as planned, sum(completed + failed + censored) as ended,
                    count(distinct block) as blocks, min(service_p50_ns) >= {least_ns} as late
                from trials where dataset = '{id}'"
            ),
        );
        assert_eq!(counted, "trials,planned,ended,blocks,late\n5,5000,5000,5,true\n", "{side}");
    }
    verify_all(&results);
}
