//! Datasets after the run: listed, named, checked, copied, removed.

use super::env::TestEnv;
use super::run::{SMALL, dataset};
use perf_api::store::SCHEMA_VERSION;

/// A folder of results with the dataset of [`SMALL`], and a smaller one.
fn two_datasets() -> (TestEnv, String, String) {
    let env = TestEnv::new();
    let first = dataset(&env.good(&SMALL));
    let args = ["quick", "--fake", "--no-progress", "--stores", "redis", "--seed", "7"];
    let second = dataset(&env.good(&args));
    (env, first, second)
}

#[test]
fn datasets_are_listed_shown_and_named() {
    let (env, first, _) = two_datasets();
    let steps: [&[&str]; 9] = [
        &["results", "list"],
        &["results", "tag", &first[..6], "baseline"],
        &["results", "list", "--format", "json"],
        &["results", "show", "baseline"],
        &["results", "tag", &first[..6], "baseline"],
        &["results", "tag", "latest", "abcdef"],
        &["results", "untag", "baseline"],
        &["results", "untag", "baseline"],
        &["results", "show", "baseline"],
    ];
    insta::assert_snapshot!(env.steps(&steps));
}

#[test]
fn what_is_wrong_with_a_dataset_has_its_own_exit_code() {
    let (env, first, second) = two_datasets();
    let folder = |id: &str, file: &str| env.path(&format!("results/{id}/{file}"));
    let verify = || env.transcript(&["results", "verify", "--all"]);
    assert!(verify().starts_with("exit 0\n"), "{}", verify());

    let manifest = std::fs::read(folder(&second, "manifest.json")).unwrap();
    let newer = String::from_utf8(manifest.clone()).unwrap();
    let version = format!("\"schema_version\":{SCHEMA_VERSION}");
    let newer = newer.replace(&version, "\"schema_version\":99");
    let newer_id = super::run::hash(newer.as_bytes());
    std::fs::create_dir(env.path(&format!("results/{newer_id}"))).unwrap();
    std::fs::write(folder(&newer_id, "manifest.json"), newer).unwrap();
    assert!(verify().starts_with("exit 8\n"), "{}", verify());
    let output = env.transcript(&["report", &newer_id]);
    assert!(
        output.starts_with("exit 8\n") && output.contains(&format!("reads up to {SCHEMA_VERSION}")),
        "{output}"
    );
    // A newer one is in nobody's way.
    assert!(env.good(&["results", "show", "latest"]).contains("quick"));
    let counted = env.good(&[
        "sql",
        "select count(*) as n from trials where dataset = dataset('latest')",
        "--format",
        "csv",
    ]);
    assert!(counted.starts_with("n\n"), "{counted}");
    // A query over all datasets fails.
    assert!(env.transcript(&["sql", "select count(*) from trials"]).starts_with("exit 8\n"));
    let output = env.transcript(&["sql", "select count(*) from trials", "--unverified"]);
    assert!(output.starts_with("exit 0\n") && output.contains("is ignored"), "{output}");

    let timeline = folder(&first, "timeline.parquet");
    std::fs::remove_file(&timeline).unwrap();
    assert!(verify().starts_with("exit 6\n"), "{}", verify());
    // A link to itself: it is there, and cannot be read.
    std::os::unix::fs::symlink(&timeline, &timeline).unwrap();
    assert!(verify().starts_with("exit 7\n"), "{}", verify());

    std::fs::write(folder(&second, "manifest.json"), &manifest[1..]).unwrap();
    assert!(verify().starts_with("exit 5\n"), "{}", verify());
    assert!(env.transcript(&["results", "list"]).contains("corrupt"));
}

#[test]
fn figures_that_do_not_follow_from_the_distribution_are_found() {
    let env = TestEnv::new();
    let (one, two) = (dataset(&env.good(&SMALL)), {
        let mut args = SMALL.to_vec();
        args.extend(["--seed", "9", "--results", "other"]);
        dataset(&env.good(&args))
    });
    // A forged dataset: the latencies of another run, under hashes that fit.
    let manifest: serde_json::Value =
        serde_json::from_slice(&env.read(&format!("results/{one}/manifest.json"))).unwrap();
    let other: serde_json::Value =
        serde_json::from_slice(&env.read(&format!("other/{two}/manifest.json"))).unwrap();
    let mut forged = manifest;
    forged["files"]["latency.parquet"] = other["files"]["latency.parquet"].clone();
    let forged = serde_json_canonicalizer::to_vec(&forged).unwrap();
    let id = super::run::hash(&forged);
    std::fs::create_dir_all(env.path(&format!("forged/{id}"))).unwrap();
    for name in ["resources", "timeline", "trials"] {
        let file = format!("{name}.parquet");
        std::fs::copy(
            env.path(&format!("results/{one}/{file}")),
            env.path(&format!("forged/{id}/{file}")),
        )
        .unwrap();
    }
    std::fs::copy(
        env.path(&format!("other/{two}/latency.parquet")),
        env.path(&format!("forged/{id}/latency.parquet")),
    )
    .unwrap();
    std::fs::write(env.path(&format!("forged/{id}/manifest.json")), forged).unwrap();
    let output = env.transcript(&["results", "verify", &id, "--results", "forged"]);
    assert!(output.starts_with("exit 5\n"), "{output}");
    assert!(output.contains("should be") || output.contains("does not follow"), "{output}");
}

#[test]
fn a_dataset_travels_in_one_file_and_keeps_its_id() {
    let (env, first, _) = two_datasets();
    env.good(&["results", "export", &first, "one.tar.zst"]);
    assert!(
        env.transcript(&["results", "export", &first, "one.tar.zst"]).contains("already exists")
    );
    env.good(&["results", "export", &first, "two.tar.zst"]);
    assert_eq!(env.read("one.tar.zst"), env.read("two.tar.zst"));
    for _ in 0..2 {
        let output = env.good(&["results", "import", "one.tar.zst", "--results", "elsewhere"]);
        assert!(output.contains(&first), "{output}");
    }
    env.good(&["results", "verify", &first, "--results", "elsewhere"]);
    env.good(&["results", "push", &first, "pushed"]);
    env.good(&["results", "pull", "elsewhere", "--results", "pulled"]);
    for place in ["elsewhere", "pushed", "pulled"] {
        for file in [
            "manifest.json",
            "latency.parquet",
            "resources.parquet",
            "timeline.parquet",
            "trials.parquet",
        ] {
            let read = |place: &str| env.read(&format!("{place}/{first}/{file}"));
            assert_eq!(read(place), read("results"), "{place} {file}");
        }
        let left = env.path(place).read_dir().unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| name.starts_with(".unfinished")), "{left:?}");
    }
}

const IMPORT_HOSTILE: [&str; 5] = ["results", "import", "hostile.tar.zst", "--results", "victim"];

#[test]
fn a_file_that_is_no_dataset_is_refused_and_leaves_nothing() {
    let (env, first, _) = two_datasets();
    env.good(&["results", "export", &first, "good.tar.zst"]);
    let good = env.read("good.tar.zst");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let tar = |entries: &[(&str, tar::EntryType, &[u8])]| {
        let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            // Not through `set_path`, which refuses what a hostile archive has.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            if *kind == tar::EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    };
    let manifest = env.read(&format!("results/{first}/manifest.json"));
    let of = |file: &str| format!("{first}/{file}");
    let (manifest_path, latency_path) = (of("manifest.json"), of("latency.parquet"));
    let regular = tar::EntryType::Regular;
    let up = format!("{first}/../../latency.parquet");
    let bomb = vec![0; 64 << 20];
    let long_name = tar(&[(&manifest_path, tar::EntryType::GNULongName, &bomb)]);
    let more = tar(&[(&manifest_path, regular, &manifest), (&latency_path, regular, b"short")]);
    let tables = ["latency", "resources", "timeline", "trials"].map(|name| {
        let file = format!("{name}.parquet");
        (of(&file), env.read(&format!("results/{first}/{file}")))
    });
    let mut entries: Vec<(&str, tar::EntryType, &[u8])> =
        vec![(&manifest_path, regular, &manifest)];
    entries.extend(tables.iter().map(|(path, bytes)| (path.as_str(), regular, &bytes[..])));
    entries.push(("extra", regular, b"x"));
    let followed = tar(&entries);
    let mut all_output = String::new();
    let hostile: [(&str, Vec<u8>); 12] = [
        ("empty", vec![]),
        ("text", b"no archive".to_vec()),
        ("short", good[..good.len() / 2].to_vec()),
        ("flipped", flipped),
        ("path", tar(&[("../manifest.json", regular, &manifest)])),
        ("up", tar(&[(&manifest_path, regular, &manifest), (&up, regular, b"x")])),
        (
            "link",
            tar(&[
                (&manifest_path, regular, &manifest),
                (&latency_path, tar::EntryType::Symlink, b""),
            ]),
        ),
        ("bomb", tar(&[(&manifest_path, regular, &manifest), (&latency_path, regular, &bomb)])),
        ("manifest", tar(&[(&manifest_path, regular, b"{}")])),
        ("long name", long_name),
        ("early end", more),
        ("something more", followed),
    ];
    for (name, bytes) in hostile {
        std::fs::write(env.path("hostile.tar.zst"), bytes).unwrap();
        all_output += &format!("{name}: {}\n", env.transcript(&IMPORT_HOSTILE));
        let left = env.path("victim").read_dir().unwrap().flatten();
        let left: Vec<_> =
            left.map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
        assert!(left.is_empty(), "{name} left {left:?}");
    }
    insta::assert_snapshot!(all_output.replace(&first, "[ID]"));
}

#[test]
fn a_damaged_dataset_is_replaced_by_an_intact_one() {
    let (env, first, _) = two_datasets();
    env.good(&["results", "push", &first, "safe"]);
    env.good(&["results", "export", &first, "safe.tar.zst"]);
    for file in ["latency.parquet", "manifest.json"] {
        for repair in [&["results", "pull", "safe"][..], &["results", "import", "safe.tar.zst"]] {
            env.write(&format!("results/{first}/{file}"), "damaged");
            assert!(env.transcript(&["results", "verify", &first]).starts_with("exit 5\n"));
            assert!(
                env.transcript(&["results", "export", &first, "never.tar.zst"])
                    .starts_with("exit 5\n")
            );
            env.good(repair);
            env.good(&["results", "verify", "--all"]);
        }
    }
    // A table that is longer than listed is not cut to size on its way.
    let path = env.path(&format!("results/{first}/timeline.parquet"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"more");
    std::fs::write(path, bytes).unwrap();
    for args in [
        &["results", "export", &first, "never.tar.zst"][..],
        &["results", "push", &first, "nowhere"],
    ] {
        let output = env.transcript(args);
        assert!(output.starts_with("exit 5\n") && output.contains("results/"), "{output}");
        assert!(output.contains(&format!("{first}/timeline.parquet is corrupt")), "{output}");
    }
}

#[test]
fn what_is_not_ours_is_left_alone_and_in_nobodys_way() {
    let (env, first, second) = two_datasets();
    std::fs::create_dir_all(env.path("results/journal/notes")).unwrap();
    env.write("results/journal/notes/mine.txt", "mine");
    std::fs::create_dir_all(env.path("results/journal/kept")).unwrap();
    env.write("results/journal/kept/journal.jsonl.bak", "a journal");
    let looped = env.path("results/journal/looped");
    std::fs::create_dir_all(&looped).unwrap();
    std::os::unix::fs::symlink("journal.jsonl", looped.join("journal.jsonl")).unwrap();
    std::os::unix::fs::symlink("self", env.path("results/self")).unwrap();
    std::fs::create_dir_all(env.path("results/nl\nx")).unwrap();
    env.good(&["results", "tag", &first, "good"]);
    std::os::unix::fs::symlink("self", env.path("results/refs/self")).unwrap();
    assert!(env.shell("mkfifo results/refs/pipe").starts_with("exit 0\n"));
    env.write("results/refs/junk", "junk");
    env.good(&["results", "list"]);
    env.good(&["results", "remove", &second, "--yes"]);
    for kept in ["journal/notes/mine.txt", "journal/kept/journal.jsonl.bak"] {
        assert!(env.path(&format!("results/{kept}")).exists(), "{kept} is gone");
    }
    assert!(looped.exists());
}

#[test]
fn the_latest_is_not_removed_while_it_is_not_known() {
    let (env, first, second) = two_datasets();
    env.write(&format!("results/{first}/manifest.json"), "damaged");
    let output = env.transcript(&["results", "remove", "latest", "--yes"]);
    assert!(output.contains("cannot resolve `latest`"), "{output}");
    assert!(env.path(&format!("results/{second}")).exists());
    assert!(
        env.transcript(&["results", "verify", "latest"]).contains("warning: `latest` ignores 1")
    );
}

#[test]
fn two_tags_at_once_are_not_both_given() {
    let (env, first, second) = two_datasets();
    for round in 0..20 {
        let line = format!(
            "{0} results tag {first} t{round} & a=$!; {0} results tag {second} t{round} & b=$!; wait $a; x=$?; wait $b; y=$?; echo $((x + y))",
            env!("CARGO_BIN_EXE_perf-api")
        );
        let output = env.shell(&line);
        assert!(output.contains("\n1\n"), "{output}");
    }
}

#[test]
fn only_what_was_asked_for_is_removed() {
    let (env, first, second) = two_datasets();
    env.good(&["results", "tag", &first, "keep"]);
    assert!(
        env.transcript(&["results", "remove", &first, "--yes"])
            .contains("`--force` removes it with its tags")
    );
    assert!(
        env.transcript(&["results", "remove", &second]).contains("cannot ask for confirmation")
    );
    env.good(&["results", "remove", &second, "--yes"]);
    assert!(!env.path(&format!("results/{second}")).exists());
    env.good(&["results", "remove", "keep", "--yes", "--force"]);
    assert!(env.transcript(&["results", "show", "keep"]).contains("which has none yet"));
}

#[test]
fn a_folder_of_any_name_can_be_asked() {
    let env = TestEnv::new();
    let odd = "it's [a]*? % of é";
    let mut args = SMALL.to_vec();
    args.extend(["--results", odd]);
    env.good(&args);
    let counted =
        env.good(&["sql", "select count(*) as n from trials", "--format", "csv", "--results", odd]);
    assert_eq!(counted, "n\n48\n");
    env.good(&["results", "verify", "--all", "--results", odd]);
}

#[test]
fn a_typo_makes_no_folder() {
    let env = TestEnv::new();
    for args in [&["report"][..], &["sql", "select 1"], &["results", "list"], &["resume"]] {
        let mut args = args.to_vec();
        args.extend(["--results", "typo"]);
        let output = env.transcript(&args);
        assert!(output.contains("there is no results folder typo"), "{output}");
        assert!(!env.path("typo").exists(), "{args:?} made the folder");
    }
}

/// The fixture of a version: made by the program of that version with `--fake --fixed-clock`.
fn fixture(version: u32) -> String {
    format!("{}/tests/fixtures/version-{version}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_dataset_of_every_older_version_is_read() {
    let env = TestEnv::new();
    let mut output = String::new();
    for version in [1, 4] {
        let fixtures = fixture(version);
        env.good(&["results", "verify", "--all", "--results", &fixtures]);
        let report = env.good(&["report", "--results", &fixtures, "--output", "old.html"]);
        assert_eq!(report, "old.html\n");
        let steps: [&[&str]; 2] = [
            &["results", "show", "--results", &fixtures],
            &[
                "sql",
                "select app, store, target_rps, count(*) as trials, sum(completed) as completed, bool_or(latency_p95_is_bound) as bound from trials group by all order by app, target_rps",
                "--results",
                &fixtures,
            ],
        ];
        output += &env.steps(&steps).replace(env!("CARGO_MANIFEST_DIR"), "[REPOSITORY]");
        output += "\n";
    }
    insta::assert_snapshot!(output);
}

/// Beside each other, so that one query reads both: what is old is cast to the types of today.
#[test]
fn old_and_new_datasets_answer_one_query() {
    let env = TestEnv::new();
    dataset(&env.good(&SMALL));
    for version in [1, 4] {
        let folders = std::fs::read_dir(fixture(version)).unwrap();
        for folder in folders.map(|entry| entry.unwrap().path()) {
            let target = env.path("results").join(folder.file_name().unwrap());
            std::fs::create_dir(&target).unwrap();
            for file in folder.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                std::fs::copy(&file, target.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    env.good(&["results", "verify", "--all"]);
    let csv = |sql: &str| env.good(&["sql", sql, "--format", "csv"]);
    let rows = csv(
        "select schema_version, bool_and(latency_p50_ns - latency_p99_ns <= 0) as ordered, \
         bool_and(latency_p99_ns > -5) as above, bool_and(target_rps in (1000, 20000, 50000)) as known, \
         sum(completed) > 0 as completed, bool_or(served is null) as without_served \
         from trials join datasets using (dataset) \
         join (select distinct dataset, served is null as none, case when served is null then null else 0 end as served from latency) using (dataset) \
         group by schema_version order by schema_version",
    );
    assert_eq!(
        rows,
        "schema_version,ordered,above,known,completed,without_served\n\
         1,true,true,true,true,true\n4,true,true,true,true,false\n5,true,true,true,true,false\n"
    );
    // What is pushed down into old files compares signed numbers too.
    let all = csv("select count(*) as n from trials where failure_stage is null");
    let kept = csv(
        "select count(*) as n from trials where failure_stage is null and latency_p99_ns > -1 and position >= -1",
    );
    assert_eq!(all, kept);
}
