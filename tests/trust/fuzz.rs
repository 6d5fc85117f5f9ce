//! Hostile input: any manifest, journal, spec or table leads to an error, never a panic, with bounded memory.

use std::path::Path;

use perf_api::id::ContentHash;
use perf_api::plan::{KnownComponents, Overrides, Source, check, embedded};
use perf_api::store::{JournalContent, Manifest};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::env::TestEnv;
use super::journal::unsealed;
use super::{amount, datasets, store, verify};

/// The maximum growth of memory over all cases.
const MAX_GROWTH_KIB: u64 = 512 << 10;
/// A run whose dataset is small.
const SMALL: [&str; 9] =
    ["quick", "--fake", "--no-progress", "--stores", "redis", "--qps", "1000", "--duration", "1s"];
/// Text fragments that are difficult for parsers.
const PIECES: [&[u8]; 24] = [
    b"",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"9007199254740993",
    b"null",
    b"true",
    b"\"",
    b"\\ud800",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b",",
    b"\n",
    b"\xff\xfe",
    b"..",
    b"../../etc/passwd",
    b"=",
    b"#",
];

fn cases() -> u64 {
    let said = std::env::var("PERF_API_FUZZ_CASES");
    said.map_or_else(|_| amount(20_000, 1_000_000), |cases| cases.parse().unwrap())
}

/// A changed copy of one of the inputs, a few thousand bytes long at most.
fn mutated(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..=6) {
        let at = rng.random_range(0..=bytes.len());
        let end = bytes.len().min(at + rng.random_range(0..40));
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(
                bytes.splice(at..end, PIECES[rng.random_range(0..PIECES.len())].iter().copied()),
            ),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                let piece = PIECES[rng.random_range(0..PIECES.len())];
                let times = 1 << rng.random_range(0..10);
                bytes.splice(at..at, piece.repeat(times));
            }
        }
    }
    bytes
}

/// The peak memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = procfs::process::Process::myself().unwrap().status().unwrap();
    status.vmhwm.unwrap()
}

#[test]
fn no_text_makes_a_parser_panic_or_use_too_much_memory() {
    let env = TestEnv::new();
    env.good(&SMALL);
    let store = store(&env.path("results"));
    let manifest =
        std::fs::read(env.path(&format!("results/{}/manifest.json", datasets(&store)[0]))).unwrap();
    let journal = journal_lines(&env);
    let specs = ["quick", "full"].map(|name| embedded(name).unwrap().text.into_bytes());
    let name = |text: &str| text.parse().unwrap();
    let known = KnownComponents {
        apps: vec![name("fastapi"), name("express")],
        stores: vec![name("redis"), name("dragonfly"), name("valkey")],
    };
    let before = peak_kib();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (cases, mut accepted) = (cases(), [0_u64; 3]);
    for _ in 0..cases {
        let bytes = mutated(&mut rng, std::slice::from_ref(&manifest));
        let id = Manifest::id_of(&bytes);
        accepted[0] += u64::from(Manifest::parse(&bytes, id, "fuzzed").is_ok());

        let bytes = fuzzed_journal(&mut rng, &journal);
        if let Ok(content) = JournalContent::parse(&bytes, Path::new("fuzzed")) {
            accepted[1] += 1;
            // An accepted journal can be resumed.
            assert!(content.header.experiment.trials().is_some());
        }

        let text = String::from_utf8_lossy(&mutated(&mut rng, &specs)).into_owned();
        let source = Source { name: "fuzzed".to_owned(), text };
        if let Ok(experiment) = check(&source, &Overrides::default(), &known) {
            accepted[2] += 1;
            // An accepted spec can be planned.
            assert!(
                !perf_api::plan::plan(&experiment, perf_api::model::Order::RandomisedBlocks)
                    .trials
                    .is_empty()
            );
        }
    }
    let growth = peak_kib() - before;
    println!(
        "fuzz: {cases} manifests ({} accepted), {cases} journals ({}), {cases} specs ({})",
        accepted[0], accepted[1], accepted[2]
    );
    println!("fuzz: no panic; memory grew by {} MiB at most", growth >> 10);
    assert!(growth < MAX_GROWTH_KIB, "memory grew by {growth} KiB");
    assert!(
        accepted.iter().all(|&count| count > 0),
        "nothing was accepted: the cases are too wild"
    );
}

/// The lines of a journal, without their checksums.
fn journal_lines(env: &TestEnv) -> Vec<Vec<u8>> {
    let overrides = Overrides {
        stores: Some(vec!["redis".to_owned()]),
        qps: Some(vec!["200".to_owned()]),
        duration: Some("1s".to_owned()),
        ..Overrides::default()
    };
    let text = std::fs::read(unsealed(env, "quick", &overrides)).unwrap();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    // Long lines would leave the fuzzer in the middle of a list of buckets for ever.
    lines.map(|line| shortened(&line[17..])).collect()
}

/// A line whose lists are truncated to a few entries.
fn shortened(line: &[u8]) -> Vec<u8> {
    fn truncate(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Array(values) => {
                values.truncate(3);
                values.iter_mut().for_each(truncate);
            }
            serde_json::Value::Object(fields) => fields.values_mut().for_each(truncate),
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(line).unwrap();
    truncate(&mut value);
    serde_json::to_vec(&value).unwrap()
}

/// A journal of some of the lines, one of them changed, with mostly correct checksums.
fn fuzzed_journal(rng: &mut ChaCha8Rng, lines: &[Vec<u8>]) -> Vec<u8> {
    let mut journal = Vec::new();
    let changed = rng.random_range(0..lines.len());
    for (index, line) in lines.iter().enumerate() {
        let line = match index == changed {
            true => mutated(rng, std::slice::from_ref(line)),
            false => line.clone(),
        };
        let check = ContentHash::of(&line).to_string();
        let check = if rng.random_range(0..50) == 0 { "0000000000000000" } else { &check[..16] };
        journal.extend_from_slice(check.as_bytes());
        journal.push(b' ');
        journal.extend_from_slice(&line);
        journal.push(b'\n');
    }
    if rng.random_range(0..4) == 0 {
        journal.truncate(rng.random_range(0..=journal.len()));
    }
    journal
}

/// Invalid Parquet tables with correct hashes.
#[test]
fn no_table_makes_a_reader_panic_or_use_too_much_memory() {
    let env = TestEnv::new();
    env.good(&SMALL);
    let original = store(&env.path("results"));
    let id = datasets(&original)[0];
    let dir = env.path(&format!("results/{id}"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
    let names = ["latency.parquet", "resources.parquet", "timeline.parquet", "trials.parquet"];
    let tables = names.map(|name| std::fs::read(dir.join(name)).unwrap());
    let before = peak_kib();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let (cases, mut intact) = (cases() / 200, 0);
    for case in 0..cases {
        let victim = rng.random_range(0..names.len());
        let bytes = mutated(&mut rng, std::slice::from_ref(&tables[victim]));
        let mut forged = manifest.clone();
        forged["files"][names[victim]]["sha256"] = serde_json::json!(ContentHash::of(&bytes));
        forged["files"][names[victim]]["bytes"] = serde_json::json!(bytes.len());
        let forged = serde_json_canonicalizer::to_vec(&forged).unwrap();
        let forged_id = Manifest::id_of(&forged);
        let results = env.path("forged");
        let target = results.join(forged_id.to_string());
        std::fs::create_dir_all(&target).unwrap();
        for (name, original) in names.iter().zip(&tables) {
            let content = if *name == names[victim] { &bytes } else { original };
            std::fs::write(target.join(name), content).unwrap();
        }
        std::fs::write(target.join("manifest.json"), forged).unwrap();
        let verified = std::panic::catch_unwind(|| verify(&store(&results), forged_id).is_ok());
        assert!(verified.is_ok(), "case {case}: {} panicked", names[victim]);
        intact += u64::from(verified.unwrap());
        std::fs::remove_dir_all(results).unwrap();
    }
    let growth = peak_kib() - before;
    println!(
        "fuzz: {cases} forged tables ({intact} of them still say the same), no panic; memory grew by {} MiB at most",
        growth >> 10
    );
    assert!(growth < MAX_GROWTH_KIB, "memory grew by {growth} KiB");
}
