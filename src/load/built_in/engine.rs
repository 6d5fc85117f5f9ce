//! The loader process: its threads, which share nothing while the load goes on.

use std::io;
use std::sync::{OnceLock, mpsc};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::answer::io_text;
use super::assignment::Assignment;
use super::connection::Target;
use super::pacer::Timer;
use super::record::Record;
use super::thread::Share;
use crate::clock::Stopwatch;
use crate::model::Measurement;

/// Offers a load from this process.
///
/// # Errors
/// When the URL is none, or the system refuses a thread or a timer.
pub fn offer(load: &Assignment) -> io::Result<Measurement> {
    offer_by(load, |_| std::thread::Builder::new())
}

/// Offers a load by threads that are built by their index.
fn offer_by(
    load: &Assignment,
    builder: impl Fn(usize) -> std::thread::Builder,
) -> io::Result<Measurement> {
    raise_open_files();
    let target = Target::new(&load.url, load.connections.is_kept_alive, load.ca.as_deref())
        .map_err(|message| io::Error::new(io::ErrorKind::InvalidInput, message))?;
    let cpus: Vec<usize> = load.cpus.iter().collect();
    let connections = usize::try_from(load.connections.limit).unwrap_or(usize::MAX);
    let threads = cpus.len().clamp(1, connections.max(1));
    let shares = (0..threads).map(|thread| Share {
        load,
        target: target.clone(),
        thread: thread as u64,
        threads: threads as u64,
        connections: connections / threads + usize::from(thread < connections % threads),
    });
    let start = Start::new();
    let records = std::thread::scope(|scope| {
        let (ready, arrived) = mpsc::channel();
        let spawn = |(index, share)| {
            let (start, ready, cpu) = (&start, ready.clone(), cpus.get(index).copied());
            let body = move || run(&share, cpu, ready, start);
            let thread = builder(index).spawn_scoped(scope, body);
            let what = || format!("start thread {} of {threads} of the loader", index + 1);
            thread.map_err(|error| failed_to(&what(), &error))
        };
        let running = shares.enumerate().map(spawn).collect::<io::Result<Vec<_>>>();
        drop(ready);
        // The channel ends when each thread is ready or has failed.
        let can_begin = running.is_ok() && arrived.iter().count() == threads;
        // It is set once, here.
        let _ = start.set(can_begin.then(Stopwatch::start));
        let join = |thread: Thread<'_>| thread.join().unwrap_or_else(|_| panicked());
        let ended: Vec<_> = running?.into_iter().map(join).collect();
        ended.into_iter().collect::<io::Result<Vec<_>>>()
    })?;
    let end = start.get().copied().flatten();
    let end = end.map_or(load.schedule.duration, |watch| watch.elapsed().into());
    Ok(Record::merge(records.into_iter().flatten().collect(), &load.schedule, end))
}

/// The stopwatch of a load, once it has begun; `None` for one that cannot begin.
type Start = OnceLock<Option<Stopwatch>>;

/// A thread of the loader. It has no record of a load that did not begin.
type Thread<'scope> = std::thread::ScopedJoinHandle<'scope, io::Result<Option<Record>>>;

/// An error with what failed.
fn failed_to(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what}: {}", io_text(error)))
}

fn panicked<T>() -> io::Result<T> {
    Err(io::Error::other("a thread of the loader panicked"))
}

/// Runs one thread. All of them begin when each has its connections, or none does.
fn run(
    share: &Share<'_>,
    cpu: Option<usize>,
    ready: mpsc::Sender<()>,
    start: &Start,
) -> io::Result<Option<Record>> {
    let runtime = prepare(cpu)?;
    let (timer, connections) = runtime.block_on(async {
        let timer = Timer::new().map_err(|error| no_runtime(&error))?;
        io::Result::Ok((timer, share.connect().await))
    })?;
    // The other end waits for every thread.
    let _ = ready.send(());
    drop(ready);
    match *start.wait() {
        Some(watch) => runtime.block_on(share.offer(watch, timer, connections)).map(Some),
        None => Ok(None),
    }
}

fn prepare(cpu: Option<usize>) -> io::Result<tokio::runtime::Runtime> {
    if let Some(cpu) = cpu {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).map_err(|error| {
            failed_to(&format!("pin a loader thread to CPU {cpu}"), &error.into())
        })?;
    }
    // For accurate wake-ups.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
    // Without signals, which need two more file descriptors and panic without them.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_io().enable_time().build().map_err(|error| no_runtime(&error))
}

fn no_runtime(error: &io::Error) -> io::Error {
    failed_to("start the runtime of a loader thread", error)
}

/// Allows as many connections as the system grants. Each connection that it refuses is a failed request.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use super::super::assignment::{Connections, Expected, Pacing, Pool};
    use super::super::schedule::Schedule;
    use super::*;
    use crate::model::{Arrivals, Counts, WrongAnswer};
    use crate::units::{CpuSet, Nanos, Rps};

    /// What a server does with a request.
    #[derive(Clone, Copy)]
    enum Act {
        Answer(&'static str),
        /// Writes so many bytes again and again.
        Endless(&'static [u8]),
        Close,
        /// Writes a byte of an answer from time to time, without an end.
        Trickle,
        /// Leaves the request without an answer.
        Ignore,
    }

    pub(in super::super) const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody";

    /// A server that treats each request as the function says. Requests are counted from 0.
    fn server(act: impl Fn(u64) -> Act + Send + Sync + 'static) -> String {
        serve(TcpListener::bind("127.0.0.1:0").unwrap(), act)
    }

    fn serve(listener: TcpListener, act: impl Fn(u64) -> Act + Send + Sync + 'static) -> String {
        let address = listener.local_addr().unwrap();
        let (act, count) = (Arc::new(act), Arc::new(AtomicU64::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (act, count) = (Arc::clone(&act), Arc::clone(&count));
                std::thread::spawn(move || answer(stream.unwrap(), &*act, &count));
            }
        });
        format!("http://{address}/path")
    }

    fn answer(mut stream: TcpStream, act: &dyn Fn(u64) -> Act, count: &AtomicU64) {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            // The loader sends a request in one piece.
            assert!(chunk[..length].ends_with(b"\r\n\r\n"));
            let written = match act(count.fetch_add(1, Ordering::Relaxed)) {
                Act::Answer(text) => stream.write_all(text.as_bytes()),
                Act::Endless(bytes) => loop {
                    if let Err(error) = stream.write_all(bytes) {
                        break Err(error);
                    }
                },
                Act::Close => return,
                Act::Trickle => loop {
                    std::thread::sleep(Duration::from_millis(5));
                    if let Err(error) = stream.write_all(b"H") {
                        break Err(error);
                    }
                },
                Act::Ignore => Ok(()),
            };
            if written.is_err() {
                return;
            }
        }
    }

    pub(in super::super) fn load(url: String, rate: u32, millis: u64) -> Assignment {
        Assignment {
            url,
            ca: None,
            schedule: Schedule {
                rate: Rps::whole(rate),
                profile: crate::model::Profile::Constant,
                duration: Nanos(millis * 1_000_000),
                arrivals: Arrivals::Even,
                seed: 0,
            },
            // One for each request: on a busy host none waits for a connection beyond the window.
            connections: Connections { limit: 200, pool: Pool::Fixed, is_kept_alive: true },
            expected: Expected {
                status: 200,
                length: 4,
                body: Some(b"body".to_vec()),
                content_type: None,
            },
            drain_limit: Nanos(20_000_000_000),
            cpus: CpuSet::default(),
            pacing: Pacing::Sleep,
        }
    }

    /// What became of the requests of a load. It is in every part of the measurement.
    fn counts(load: &Assignment) -> Counts {
        measure(load).counts
    }

    pub(in super::super) fn measure(load: &Assignment) -> Measurement {
        let measured = offer(load).unwrap();
        let counts = &measured.counts;
        assert_eq!(counts.planned, load.schedule.requests().count() as u64);
        assert_eq!(counts.planned, counts.completed + counts.failed_total() + counts.censored);
        assert_eq!(measured.latency.completed(), counts.completed);
        assert_eq!(measured.latency.service().completed(), counts.completed);
        assert_eq!(measured.latency.censored(), counts.censored);
        let sum = |of: fn(&crate::model::TimelineSecond) -> u64| {
            measured.timeline.iter().map(of).sum::<u64>()
        };
        assert_eq!(counts.planned, sum(|second| second.planned));
        assert_eq!(counts.completed, sum(|second| second.completed));
        assert_eq!(counts.failed_total(), sum(|second| second.failed));
        measured
    }

    fn failed(counts: &Counts) -> Vec<(&str, u64)> {
        counts.failed.iter().map(|(kind, &count)| (kind.as_str(), count)).collect()
    }

    #[test]
    fn every_request_within_capacity_is_completed_whatever_the_connections() {
        for (pool, is_kept_alive) in [(Pool::Fixed, true), (Pool::Open, true), (Pool::Fixed, false)]
        {
            let mut load = load(server(|_| Act::Answer(GOOD)), 200, 1000);
            load.connections = Connections { limit: 200, pool, is_kept_alive };
            let measured = measure(&load);
            let counts = &measured.counts;
            assert_eq!((counts.completed, counts.sent), (200, 200), "{counts:?}");
            let opened = measured.opened.unwrap();
            assert_eq!((opened.reconnects, opened.tls_handshake), (0, None));
            assert!(opened.count == 200 || pool == Pool::Open, "{opened:?}");
            assert!(opened.connect.unwrap().max.0 > 0 && measured.first_byte.unwrap().max.0 > 0);
        }
    }

    #[test]
    fn wrong_answers_fail_by_their_kind() {
        let url = server(|request| match request % 10 {
            1 => Act::Answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbody"),
            2 => Act::Answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbod"),
            3 => Act::Answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nBODY"),
            4 => Act::Answer(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            ),
            5 => Act::Answer(
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
            ),
            _ => Act::Answer(GOOD),
        });
        let measured = measure(&load(url, 200, 1000));
        let counts = measured.counts;
        let expected = [("status 503", 20), ("wrong body", 20), ("wrong length", 20)];
        assert_eq!((counts.completed, failed(&counts)), (140, expected.to_vec()));
        assert_eq!(measured.wrong_answers.len(), 3);
        let examples = [
            ("status 503", 503, "body"),
            ("wrong body", 200, "BODY"),
            ("wrong length", 200, "bod"),
        ];
        for WrongAnswer { failure, status, body } in &measured.wrong_answers {
            let example = (failure.as_str(), *status, body.as_str());
            assert!(examples.contains(&example), "{example:?}");
        }
    }

    #[test]
    fn an_answer_of_another_content_type_is_wrong() {
        let url = server(|request| match request % 5 {
            0 => Act::Answer(GOOD),
            1 => Act::Answer(
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-type: text/html\r\n\r\nbody",
            ),
            _ => Act::Answer(
                "HTTP/1.1 200 OK\r\ncontent-type: Text/Plain; charset=utf-8\r\ncontent-length: 4\r\n\r\nbody",
            ),
        });
        let mut load = load(url, 200, 500);
        load.expected.content_type = Some("text/plain".to_owned());
        let measured = measure(&load);
        assert_eq!(measured.counts.completed, 60);
        assert_eq!(failed(&measured.counts), [("wrong content type", 40)]);
        let kinds = measured.wrong_answers.iter().map(|answer| answer.failure.as_str());
        assert_eq!(kinds.collect::<Vec<_>>(), ["wrong content type"; 3]);
    }

    #[test]
    fn connections_beyond_the_first_of_each_place_are_reconnects() {
        let mut load = load(server(|_| Act::Answer(GOOD)), 200, 500);
        load.connections = Connections { limit: 5, pool: Pool::Fixed, is_kept_alive: false };
        let measured = measure(&load);
        // Each request but the first of each connection opens another one.
        let opened = measured.opened.unwrap();
        assert_eq!(opened.count, measured.counts.sent);
        assert_eq!(opened.reconnects, opened.count - 5);
    }

    #[test]
    fn a_url_may_have_an_ipv6_address() {
        let listener = TcpListener::bind("[::1]:0").expect("this test needs the address ::1");
        let load = load(serve(listener, |_| Act::Answer(GOOD)), 50, 500);
        assert!(load.url.starts_with("http://[::1]:"), "{}", load.url);
        assert_eq!(counts(&load).completed, 25);
    }

    #[test]
    fn lost_requests_fail_and_the_others_are_answered() {
        let lost = |request| if request % 10 == 3 { Act::Close } else { Act::Answer(GOOD) };
        let counts = counts(&load(server(lost), 200, 1000));
        let kind = "connection closed before the answer was complete";
        assert_eq!((counts.completed, failed(&counts)), (180, vec![(kind, 20)]));
    }

    #[test]
    fn a_reset_connection_fails_its_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // What is not read when a connection is closed resets it.
                std::thread::spawn(move || stream.unwrap().read(&mut [0]));
            }
        });
        let counts = counts(&load(url, 50, 500));
        assert_eq!(failed(&counts), [("connection reset by peer", 25)]);
    }

    #[test]
    fn a_server_that_refuses_connections_fails_every_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let counts = counts(&load(url, 50, 500));
        assert_eq!(failed(&counts), [("cannot connect: connection refused", 25)]);
        assert_eq!((counts.sent, counts.censored), (0, 0));
    }

    #[test]
    fn requests_without_an_answer_are_unfinished_and_those_behind_them_too() {
        let mut load = load(server(|_| Act::Ignore), 50, 500);
        load.drain_limit = Nanos(2_000_000_000);
        load.connections.limit = 5;
        let counts = counts(&load);
        // Five connections have one each; the others waited for one.
        assert_eq!((counts.censored, counts.sent, counts.completed), (25, 5, 0));
        assert!(offer(&load).unwrap().drain >= load.drain_limit);
    }

    #[test]
    fn an_open_pool_sends_every_request_whatever_the_server_does() {
        // No request is answered before all of them have arrived.
        let all = Arc::new(Barrier::new(25));
        let mut load = load(
            server(move |_| {
                all.wait();
                Act::Answer(GOOD)
            }),
            50,
            500,
        );
        load.connections = Connections { limit: 100, pool: Pool::Open, is_kept_alive: true };
        let counts = counts(&load);
        assert_eq!((counts.completed, counts.sent), (25, 25));
    }

    #[test]
    fn a_loader_that_is_late_by_more_than_a_second_at_its_end_sends_nothing_more() {
        let load = load(server(|_| Act::Answer(GOOD)), 100, 100);
        let target = Target::new(&load.url, true, None).unwrap();
        let share = Share { load: &load, target, thread: 0, threads: 1, connections: 5 };
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(1200));
        let offer = async { share.offer(watch, Timer::new().unwrap(), vec![]).await.unwrap() };
        let record = prepare(None).unwrap().block_on(offer);
        let counts = Record::merge(vec![record], &load.schedule, load.schedule.duration).counts;
        assert_eq!((counts.planned, counts.sent, counts.censored), (10, 0, 10));
    }

    #[test]
    fn hostile_answers_are_failures_of_few_kinds() {
        let hostile: [(&str, Act); 8] = [
            ("no HTTP", Act::Answer("SSH-2.0-OpenSSH\r\n")),
            ("a header without a colon", Act::Answer("HTTP/1.1 200 OK\r\nxxx\r\n\r\n")),
            (
                "two lengths",
                Act::Answer(
                    "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nbody",
                ),
            ),
            (
                "more than its length",
                Act::Answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbodybody"),
            ),
            ("endless headers", Act::Endless(b"HTTP/1.1 200 OK\r\nx: y\r\nx: y\r\n")),
            ("an endless body", Act::Endless(b"HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxxxxx")),
            ("a trickle", Act::Trickle),
            ("endless early hints", Act::Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        ];
        for (name, act) in hostile {
            let mut load = load(server(move |_| act), 100, 300);
            if matches!(act, Act::Endless(_) | Act::Trickle) {
                load.drain_limit = Nanos(200_000_000);
            }
            let counts = counts(&load);
            assert!(counts.failed.len() <= 3, "{name}: {counts:?}");
            assert!(counts.completed + counts.failed_total() + counts.censored == 30, "{name}");
            let is_right = name == "more than its length";
            assert_eq!(counts.completed > 0, is_right, "{name}: {counts:?}");
        }
    }

    #[test]
    fn a_stall_does_not_delay_arrivals_and_counts_from_the_planned_moment() {
        // The first request of each connection takes 300 ms; the others wait for these.
        let url = server(|request| {
            if request < 5 {
                std::thread::sleep(Duration::from_millis(300));
            }
            Act::Answer(GOOD)
        });
        let mut load = load(url, 100, 1000);
        load.connections.limit = 5;
        let measured = offer(&load).unwrap();
        // On a busy host some may wait for a connection beyond the window.
        assert_eq!(measured.counts.completed + measured.counts.censored, 100);
        // Those that were planned while all connections were busy waited: at least 20 of them for more
        // than 50 ms, though the server answered each of them at once.
        let slow =
            |buckets: &[crate::model::Bucket], of: fn(&crate::model::Bucket) -> u64| -> u64 {
                buckets.iter().filter(|bucket| bucket.low.0 > 50_000_000).map(of).sum()
            };
        let buckets = &measured.latency.buckets;
        assert!(slow(buckets, |bucket| bucket.count + bucket.censored) >= 20, "{buckets:?}");
    }

    #[test]
    fn a_thread_that_cannot_be_started_ends_the_load_before_it_begins() {
        let mut load = load(server(|_| Act::Answer(GOOD)), 10, 3_600_000);
        load.connections.limit = 2;
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let own = (0..1023).find(|&cpu| allowed.is_set(cpu)).unwrap();
        // No host has the last one.
        load.cpus = CpuSet::from_iter([own, 1023]);
        let error = offer(&load).unwrap_err().to_string();
        assert!(error.starts_with("cannot pin a loader thread to CPU 1023: "), "{error}");
        // No system has memory for this stack.
        for refused in [0, 1] {
            let error = offer_by(&load, |thread| {
                let builder = std::thread::Builder::new();
                if thread == refused { builder.stack_size(1 << 62) } else { builder }
            });
            let error = error.unwrap_err().to_string();
            let expected = format!("cannot start thread {} of 2 of the loader: ", refused + 1);
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
