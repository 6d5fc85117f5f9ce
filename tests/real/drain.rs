//! The end of a load: requests in flight are awaited, up to a limit.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::system::command;

/// A server that answers the first `answered` requests 150 ms after they came, and no other ever.
fn server(answered: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let left = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(answered));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let left = left.clone();
            std::thread::spawn(move || serve(&stream, &left));
        }
    });
    address
}

fn serve(stream: &TcpStream, left: &std::sync::atomic::AtomicUsize) {
    use std::sync::atomic::Ordering::Relaxed;
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(line)) = lines.next() {
        let is_last = line.is_empty();
        if is_last && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            std::thread::sleep(Duration::from_millis(150));
            let _ = (&*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }
}

/// The summary of oha and the number of unfinished requests, for one second of ten requests on ten
/// connections, drained until `drained_after`.
fn load(address: SocketAddr, drained_after: &str) -> (serde_json::Value, Option<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let (summary, unfinished) = (dir.path().join("oha.json"), dir.path().join("unfinished"));
    let mut loader = command(env!("CARGO_BIN_EXE_perf-api"));
    loader.args(["loader", "--drained-after", drained_after, "--unfinished"]).arg(&unfinished);
    loader.args(["--", "-z", "1s", "-q", "10", "-c", "10", "-w", "--latency-correction"]);
    loader.args(["--no-tui", "--output-format", "json", "--output"]).arg(&summary);
    let output = loader.arg(format!("http://{address}/")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    let unfinished = std::fs::read_to_string(unfinished).ok();
    (summary, unfinished.map(|count| count.parse().unwrap()))
}

#[test]
fn requests_in_flight_at_the_end_of_the_window_are_waited_for() {
    // The last of them is sent at 0.9 s and answered at 1.05 s at the earliest. A host that is busy
    // at the end of the window may send fewer.
    let (summary, unfinished) = load(server(usize::MAX), "1m");
    let answered = summary["statusCodeDistribution"]["200"].as_u64().unwrap();
    assert!((1..=10).contains(&answered), "{summary}");
    assert_eq!(summary["errorDistribution"], serde_json::json!({}), "{summary}");
    assert_eq!(unfinished, None);
}

#[test]
fn requests_that_are_never_answered_are_counted_and_given_up() {
    let (summary, unfinished) = load(server(2), "4s");
    assert_eq!(summary["statusCodeDistribution"]["200"], 2, "{summary}");
    let ended = &summary["errorDistribution"]["connection closed before message completed"];
    let ended = ended.as_u64().unwrap_or_else(|| panic!("{summary}"));
    assert!((1..=8).contains(&ended), "{summary}");
    assert_eq!(unfinished, Some(ended));
}
