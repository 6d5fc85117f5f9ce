//! Runs that were interrupted, and go on.

use std::path::{Path, PathBuf};

use perf_api::plan::Overrides;
use perf_api::store::{JournalContent, Location, Store};
use proptest::prelude::{Just, Strategy};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::env::TestEnv;
use super::journal::unsealed;
use super::run::dataset;

const RUN: [&str; 9] = [
    "quick",
    "--fake",
    "--fixed-clock",
    "--no-progress",
    "--stores",
    "redis",
    "--qps",
    "1000,20000",
    "--repetitions=3",
];
const RESUME: [&str; 4] = ["resume", "--fake", "--fixed-clock", "--no-progress"];

/// What [`RUN`] says, for the library.
fn overrides() -> Overrides {
    Overrides {
        stores: Some(vec!["redis".to_owned()]),
        qps: Some(vec!["1000".to_owned(), "20000".to_owned()]),
        repetitions: Some("3".to_owned()),
        ..Overrides::default()
    }
}

/// A run whose journal has `lines` whole lines, and then `torn`.
fn interrupted(lines: usize, torn: &[u8]) -> (TestEnv, String) {
    let env = TestEnv::new();
    let id = dataset(&env.good(&RUN));
    std::fs::remove_dir_all(env.path("results")).unwrap();
    unsealed(&env, "quick", &overrides());
    let text = std::fs::read(journal(&env)).unwrap();
    let kept: Vec<u8> =
        text.split_inclusive(|&byte| byte == b'\n').take(lines).flatten().copied().collect();
    std::fs::write(journal(&env), [&kept, torn].concat()).unwrap();
    (env, id)
}

fn journal(env: &TestEnv) -> PathBuf {
    env.path("results/journal/20260101-000000-0/journal.jsonl")
}

#[test]
fn it_ends_as_if_nothing_had_happened() {
    let torn_in_the_middle = b"0123456789ab\0\0\0\0 \0\0\0\"}\n";
    for (lines, torn) in [
        (1, &b""[..]),
        (4, b"0123456789abcdef {\"Tri"),
        (5, torn_in_the_middle),
        (9, b""),
        (1_000, b""),
    ] {
        let (env, id) = interrupted(lines, torn);
        let output = env.transcript(&RESUME);
        assert!(output.starts_with("exit 0\n") && output.contains(&id), "{output}");
        assert_eq!(
            output.contains(&format!("skipped an incomplete last record of {} bytes", torn.len())),
            !torn.is_empty(),
            "{output}"
        );
        env.good(&["results", "verify", "latest"]);
        assert!(env.transcript(&RESUME).contains("no unfinished run is called `latest`"));
    }
}

/// The order in which trials were finished, and the threads that seal them, are no part of the data.
#[test]
fn any_order_of_the_journal_and_any_number_of_threads_give_the_same_dataset() {
    let (env, id) = interrupted(1_000, b"");
    let text = std::fs::read(journal(&env)).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let mut runner = TestRunner::deterministic();
    for case in 0..24 {
        let shuffled = Just(lines[1..].to_vec()).prop_shuffle().new_tree(&mut runner).unwrap();
        let bytes = [&lines[..1], &shuffled.current()].concat().concat();
        let content = JournalContent::parse(&bytes, Path::new("shuffled")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1 + case % 4)
            .enable_all()
            .build()
            .unwrap();
        let place = Location::Folder(env.path(&format!("shuffled-{case}")));
        let store = Store::create(&place).unwrap();
        let sealed = runtime.block_on(async move {
            tokio::spawn(async move { store.seal_content(&content).await.unwrap() }).await.unwrap()
        });
        assert_eq!(sealed.to_string(), id);
    }
}

#[test]
fn what_is_not_the_same_is_named_and_refused_or_recorded() {
    let (env, id) = interrupted(6, b"");
    let path = journal(&env);
    let text = std::fs::read_to_string(&path).unwrap();
    // As if another machine had begun it.
    let (first, rest) = text.split_once('\n').unwrap();
    let json = first[17..].replace("\"kernel\":\"0\"", "\"kernel\":\"1\"");
    let checksum = &super::run::hash(json.as_bytes())[..16];
    std::fs::write(&path, format!("{checksum} {json}\n{rest}")).unwrap();
    let output = env.transcript(&RESUME);
    insta::assert_snapshot!(output);
    let mut forced = RESUME.to_vec();
    forced.push("--force");
    let other = dataset(&env.good(&forced));
    assert_ne!(other, id);
    let shown = env.good(&["results", "show"]);
    assert!(shown.contains("host: kernel: \"1\" → \"0\""), "{shown}");
    assert!(
        String::from_utf8(env.read("results/report.html"))
            .unwrap()
            .contains("changed between an interruption of the run and its continuation")
    );
}

#[test]
fn a_journal_that_is_damaged_is_not_gone_on_with() {
    let (env, _) = interrupted(1_000, b"");
    let path = journal(&env);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = env.transcript(&RESUME);
    assert!(output.starts_with("exit 5\n") && output.contains("is damaged at line"), "{output}");
    assert!(path.exists());
}

/// A disk without room: a file system in memory, in a mount namespace of its own.
#[test]
fn what_to_do_on_a_disk_without_room_is_said_and_works() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&RUN));
    let program = env!("CARGO_BIN_EXE_perf-api");
    let (run, resume) = (RUN.join(" "), RESUME.join(" "));
    let output = env.shell(&format!(
        "exec unshare --map-root-user --mount sh -c '
            mount -t tmpfs -o size=32k none results || exit 99
            {program} {run}; {program} {resume}
            mount -o remount,size=32m results; {program} {resume}'"
    ));
    assert!(output.starts_with("exit 0\n") && output.contains(&id), "{output}");
    let journal = "error: cannot write [DIR]/results/journal/20260101-000000-0/journal.jsonl: \
                   No space left on device (os error 28)";
    let hints = [
        "hint: free space on the disk of [DIR]/results/journal/20260101-000000-0\n",
        "hint: `perf-api resume 20260101-000000-0` continues the run",
    ];
    // Of the run, and of what goes on with it before there is room.
    for expected in [&[journal][..], &hints].concat() {
        assert_eq!(output.matches(expected).count(), 2, "{expected}: {output}");
    }
}

/// A file system that takes no more, as `ulimit -f` makes it without a real disk.
#[test]
fn a_full_disk_is_reported_and_the_run_can_be_resumed() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&RUN));
    std::fs::remove_dir_all(env.path("results")).unwrap();
    let full = env.shell(&format!(
        "trap '' XFSZ; ulimit -f 40; exec {} {}",
        env!("CARGO_BIN_EXE_perf-api"),
        RUN.join(" ")
    ));
    assert!(full.contains("error: cannot write [DIR]/results/journal"), "{full}");
    assert!(full.contains("File too large") && full.contains("perf-api resume"), "{full}");
    let output = env.transcript(&RESUME);
    assert!(output.starts_with("exit 0\n") && output.contains(&id), "{output}");
}
