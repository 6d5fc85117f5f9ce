//! Tests of an exchange with hostile servers, over streams in memory.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::answer::Failure;
use super::assignment::Expected;
use super::connection::{Connection, Target};
use super::engine::tests::GOOD;
use super::opening::Opening;

const CLOSED: &str = "connection closed before the answer was complete";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n";
const TRAILERS: &str =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\na: b\r\n\r\n";
const EARLY_HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";

fn expected() -> Expected {
    Expected { status: 200, length: 4, body: Some(b"body".to_vec()), content_type: None }
}

/// Polls until both are done, at most this many times.
fn finish<F: Future>(future: F, max_polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..max_polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    })
}

async fn give_way() {
    let mut is_over = false;
    std::future::poll_fn(|_| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        Poll::Pending
    })
    .await;
}

/// Up to two requests, the second one on the same connection if that can carry it. Returns their outcomes.
async fn requests(stream: DuplexStream, expected: &Expected) -> Vec<Result<(), Failure>> {
    let target = Target::new("http://127.0.0.1:1/", true, None).unwrap();
    let mut connection = Connection::over(stream, Opening::default()).await.unwrap();
    let mut outcomes = vec![];
    while outcomes.len() < 2 && connection.is_ready().await {
        let answered = connection.exchange(&target, expected, || ()).await;
        let outcome = answered.and_then(|check| check.finish());
        let is_over = outcome.is_err();
        outcomes.push(outcome);
        if is_over {
            break;
        }
    }
    outcomes
}

/// Writes the pieces, and ends. Returns how many bytes the other side took.
async fn write<'a>(mut stream: DuplexStream, pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut written = 0;
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            break;
        }
        written += piece.len();
        give_way().await;
    }
    written
}

/// What becomes of a first request that is answered by these pieces, and how many bytes were taken.
fn answered<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Result<(), String>, usize) {
    let (near, far) = tokio::io::duplex(8 << 10);
    let expected = expected();
    let both = futures::future::join(requests(near, &expected), write(far, pieces));
    let (outcomes, written) = finish(both, 1_000_000).expect("an exchange does not end");
    (outcomes[0].clone().map_err(|failure| failure.to_string()), written)
}

#[test]
fn an_answer_in_single_bytes_is_right_and_each_part_of_one_is_not() {
    let many_hints = EARLY_HINTS.repeat(1000) + GOOD;
    for right in [GOOD, CHUNKED, TRAILERS, &many_hints] {
        assert_eq!(answered(right.as_bytes().chunks(1)).0, Ok(()), "{right}");
    }
    for right in [GOOD, CHUNKED, TRAILERS] {
        for length in 0..right.len() {
            let part = &right.as_bytes()[..length];
            let (outcome, _) = answered(std::iter::once(part));
            assert_eq!(outcome, Err(CLOSED.to_owned()), "{}", part.escape_ascii());
        }
    }
}

#[test]
fn an_endless_answer_is_given_up_after_a_bounded_number_of_bytes() {
    const MAX_BYTES: usize = 1 << 20;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let cases: [(&str, &str, &str); 9] = [
        ("headers", "HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        ("a header", "HTTP/1.1 200 OK\r\nx: ", "yyyyyyyyyyyyyyyyyyyyyyyyy"),
        ("a status line", "HTTP/1.1 200 ", "OKOKOKOKOKOKOKOKOK"),
        ("a body until the end", "HTTP/1.1 200 OK\r\n\r\n", "bodybodybodybodybody"),
        ("a body", "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n", "body"),
        ("chunks", chunked, "4\r\nbody\r\n"),
        ("a chunk", &format!("{chunked}7fffffffffffffff\r\n"), "bodybodybody"),
        ("a chunk's extension", &format!("{chunked}4;x="), "yyyyyyyyyyyyyyyyy"),
        ("trailers", &format!("{chunked}4\r\nbody\r\n0\r\n"), "x: y\r\n"),
    ];
    for (name, start, again) in cases {
        let again = again.repeat(100);
        let pieces = std::iter::once(start.as_bytes()).chain(std::iter::repeat(again.as_bytes()));
        let (outcome, written) = answered(pieces);
        assert!(outcome.is_err() && written < MAX_BYTES, "{name}: {outcome:?}, {written} bytes");
    }
}

/// Fragments that are difficult for a parser of answers.
const PIECES: [&[u8]; 28] = [
    b"",
    b"\0",
    b"\xff\xfe",
    b" ",
    b"\t",
    b":",
    b";",
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"-1",
    b"ffffffffffffffff\r\n",
    b"ffffffffffffffffff",
    b"18446744073709551616",
    b"HTTP/1.1 ",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/2 200\r\n",
    b"101 Switching Protocols",
    b"204 No Content",
    b"999",
    b"content-length: 4\r\n",
    b"content-length: 18446744073709551615\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
    b"connection: upgrade\r\nupgrade: x\r\n",
    b"body",
];

/// Answers that are changed: right ones, and those that have few parts in common with them.
fn seeds() -> Vec<Vec<u8>> {
    let long_list =
        format!("HTTP/1.1 200 OK\r\n{}content-length: 4\r\n\r\nbody", "a: b\r\n".repeat(120));
    let seeds = [
        GOOD,
        CHUNKED,
        TRAILERS,
        &format!("{EARLY_HINTS}{GOOD}"),
        &format!("{GOOD}{CHUNKED}"),
        "HTTP/1.0 200 OK\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbody",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbody",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        &long_list,
    ];
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// A changed answer, or random bytes.
fn hostile(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    if rng.random_range(0..10) == 0 {
        let mut bytes = vec![0; rng.random_range(0..600)];
        rng.fill_bytes(&mut bytes);
        return bytes;
    }
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(0..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = bytes.len().min(at + rng.random_range(0..20));
        let piece = PIECES[rng.random_range(0..PIECES.len())];
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..end, piece.iter().copied())),
            3 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, piece.repeat(1 << rng.random_range(0..7)))),
        }
    }
    bytes
}

/// Cuts bytes into pieces of random length.
fn split<'a>(rng: &mut ChaCha8Rng, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let longest = [1, 16, 1 << 16][rng.random_range(0..3)];
    let mut pieces = vec![];
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.random_range(1..=bytes.len().min(longest)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// The peak memory of this process, in KiB.
fn peak_kib() -> u64 {
    procfs::process::Process::myself().unwrap().status().unwrap().vmhwm.unwrap()
}

/// Some thousands of answers in `cargo test`, a million with `PERF_API_THOROUGH`, which needs this process for
/// itself: it also limits the growth of memory.
#[test]
#[expect(clippy::print_stdout, reason = "it prints its counts")]
fn no_answer_makes_an_exchange_panic_hang_or_use_too_much_memory() {
    const MAX_GROWTH_KIB: u64 = 64 << 10;
    let is_thorough = std::env::var_os("PERF_API_THOROUGH").is_some();
    let said = std::env::var("PERF_API_FUZZ_CASES").ok().map(|cases| cases.parse().unwrap());
    let cases: u64 = said.unwrap_or(if is_thorough { 1_000_000 } else { 5_000 });
    let (seeds, before) = (seeds(), peak_kib());
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut kinds = std::collections::BTreeMap::<String, u64>::new();
    for case in 0..cases {
        let bytes = hostile(&mut rng, &seeds);
        let pieces = split(&mut rng, &bytes);
        let expected = Expected {
            content_type: (rng.random_range(0..10) == 0).then(|| "text/plain".to_owned()),
            body: (rng.random_range(0..10) > 0).then(|| b"body".to_vec()),
            ..expected()
        };
        let (near, far) = tokio::io::duplex([200, 8 << 10][rng.random_range(0..2)]);
        let both = futures::future::join(requests(near, &expected), write(far, pieces.into_iter()));
        let finished = finish(both, 100_000);
        let (outcomes, _) = finished.unwrap_or_else(|| panic!("case {case} does not end"));
        for outcome in outcomes {
            let kind = outcome.map_or_else(|failure| failure.to_string(), |()| "right".to_owned());
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let statuses = kinds.keys().filter(|kind| kind.starts_with("status ")).count();
    let growth = peak_kib() - before;
    println!("fuzz: {cases} answers, memory grew by {growth} KiB");
    for (kind, count) in kinds.iter().filter(|(kind, _)| !kind.starts_with("status ")) {
        println!("fuzz: {count:>8} {kind}");
    }
    // A kind never has text of the server in it.
    assert!(statuses <= 900 && kinds.len() - statuses < 40, "{kinds:?}");
    for kind in ["right", "wrong body", "wrong length", "wrong content type", CLOSED] {
        assert!(kinds.contains_key(kind), "no {kind}: {kinds:?}");
    }
    assert!(!is_thorough || growth < MAX_GROWTH_KIB, "memory grew by {growth} KiB");
}
