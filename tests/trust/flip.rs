//! A single flipped byte is found anywhere in a dataset.

use std::fs::File;
use std::os::unix::fs::FileExt;

use perf_api::store::Condition;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::env::TestEnv;
use super::{amount, datasets, store, verify};

/// How often the program is run, in addition to the library.
const PROGRAM_EVERY: u64 = 1_000;

#[test]
fn every_flipped_byte_is_found() {
    let env = TestEnv::new();
    env.good(&["quick", "--fake", "--no-progress", "--stores", "redis", "--qps", "1000,20000"]);
    let store = store(&env.path("results"));
    let id = datasets(&store)[0];
    verify(&store, id).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut files: Vec<_> = env
        .path(&format!("results/{id}"))
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 5);
    let (mut flipped, mut found, mut asked) = (0_u64, 0_u64, 0_u64);
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        for (byte, offset) in bytes.iter().zip(0..).step_by(amount(101, 1)) {
            file.write_all_at(&[byte ^ rng.random_range(1..=255)], offset).unwrap();
            flipped += 1;
            let condition = verify(&store, id).err().map(|error| error.condition());
            assert_eq!(condition, Some(Condition::Corrupt), "{} at {offset}", path.display());
            found += 1;
            if flipped % amount(PROGRAM_EVERY / 10, PROGRAM_EVERY) == 0 {
                let output = env.output(&["results", "verify", "--all"]);
                assert_eq!(output.status.code(), Some(5), "{} at {offset}", path.display());
                asked += 1;
            }
            file.write_all_at(&[*byte], offset).unwrap();
        }
    }
    verify(&store, id).unwrap();
    println!(
        "flip-test: {found} of {flipped} flipped bytes were found (the program itself: {asked} of {asked})"
    );
}
