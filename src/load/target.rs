//! A server of known behaviour, so that the results of a benchmark can be compared with theory.
//!
//! A number of servers answers requests first come, first served. Service times are fixed or random; the
//! server can stall periodically, and a share of requests fails. It holds no lock while it waits, and each
//! connection has a thread, so that waits are accurate to a tenth of a millisecond.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::clock::Stopwatch;
use crate::model::stored_value;

/// The distribution of service times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Constant.
    Fixed,
    /// Exponential.
    Exponential,
}

/// The behaviour of a target.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// The service time, or its mean.
    pub service: Duration,
    /// The distribution of service times.
    pub distribution: Distribution,
    /// The number of requests that are served at the same time; 0 for no limit.
    pub servers: usize,
    /// A periodic stall, during which no service begins.
    pub stall: Option<Stall>,
    /// The share of requests that get status 503.
    pub errors: f64,
    /// The share of requests whose connection is closed without an answer.
    pub lost: f64,
    /// The share of requests whose answer has one wrong byte.
    pub wrong: f64,
    /// The seed of all random values.
    pub seed: u64,
}

/// A stall at the end of each period.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// The length of the stall.
    pub length: Duration,
    /// The length of a period, including the stall.
    pub every: Duration,
}

/// Serves until the process ends. Returns only on failure.
///
/// # Errors
/// When it cannot listen on the address.
pub fn serve(listen: SocketAddr, behaviour: Behaviour) -> std::io::Result<()> {
    // For accurate wake-ups; the threads that this one starts inherit it.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let listener = TcpListener::bind(listen)?;
    let queue = Arc::new(Queue::new(behaviour));
    for connection in listener.incoming() {
        let (Ok(connection), queue) = (connection, Arc::clone(&queue)) else { continue };
        std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
            // Fails when the client closes the connection.
            let _ = answer(connection, &queue);
        })?;
    }
    Ok(())
}

/// The one queue of all connections.
struct Queue {
    behaviour: Behaviour,
    watch: Stopwatch,
    state: Mutex<State>,
}

struct State {
    /// When each server becomes free, since the start.
    free_at: Vec<Duration>,
    random: ChaCha8Rng,
}

/// The answer to a request.
struct Planned {
    /// When its answer is due, since the start.
    due: Duration,
    fate: Fate,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Value,
    Error,
    Lost,
    Wrong,
}

impl Queue {
    fn new(behaviour: Behaviour) -> Self {
        let free_at = vec![Duration::ZERO; behaviour.servers];
        let random = ChaCha8Rng::seed_from_u64(behaviour.seed);
        Self { behaviour, watch: Stopwatch::start(), state: Mutex::new(State { free_at, random }) }
    }

    /// Plans the answer to a request that arrives now.
    fn arrive(&self) -> Planned {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.watch.elapsed();
        self.behaviour.arrive(&mut state, now)
    }
}

impl Behaviour {
    fn arrive(&self, state: &mut State, now: Duration) -> Planned {
        let service = match self.distribution {
            Distribution::Fixed => self.service,
            // 1 − u is never 0, whose logarithm is infinite.
            Distribution::Exponential => {
                self.service.mul_f64(-(1.0 - state.random.random::<f64>()).ln())
            }
        };
        let fate = self.fate(&mut state.random);
        let first_free = state.free_at.iter_mut().min();
        let free = first_free.as_ref().map_or(now, |free| **free);
        let due = self.after_stall(now.max(free)) + service;
        if let Some(free) = first_free {
            *free = due;
        }
        Planned { due, fate }
    }

    fn fate(&self, random: &mut ChaCha8Rng) -> Fate {
        let shares =
            [(self.errors, Fate::Error), (self.lost, Fate::Lost), (self.wrong, Fate::Wrong)];
        if shares.iter().all(|(share, _)| *share <= 0.0) {
            return Fate::Value;
        }
        let mut left = random.random::<f64>();
        let mut fates = shares.into_iter();
        let found = fates.find(|(share, _)| {
            left -= share;
            left < 0.0
        });
        found.map_or(Fate::Value, |(_, fate)| fate)
    }

    /// The first moment from `moment` on at which a service may begin.
    fn after_stall(&self, moment: Duration) -> Duration {
        let Some(Stall { length, every }) = self.stall else { return moment };
        let in_period = moment.as_nanos() % every.as_nanos().max(1);
        let left = every.as_nanos().saturating_sub(in_period);
        if left > length.as_nanos() {
            return moment;
        }
        moment + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

/// The maximum size of a request.
const MAX_REQUEST_BYTES: usize = 16 << 10;

/// Answers the requests of a connection, one after another.
fn answer(mut connection: TcpStream, queue: &Queue) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let answers = Answers::new();
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Some((length, path)) = request(&received) else {
            let count = connection.read(&mut chunk)?;
            if count == 0 || received.len() > MAX_REQUEST_BYTES {
                return Ok(());
            }
            received.extend_from_slice(&chunk[..count]);
            continue;
        };
        let is_measured = path == MEASURED;
        received.drain(..length);
        if !is_measured {
            connection.write_all(&answers.ready)?;
            continue;
        }
        let planned = queue.arrive();
        std::thread::sleep(planned.due.saturating_sub(queue.watch.elapsed()));
        connection.write_all(match planned.fate {
            Fate::Value => &answers.value,
            Fate::Error => &answers.error,
            Fate::Wrong => &answers.wrong,
            Fate::Lost => return Ok(()),
        })?;
    }
}

/// The path with service times; every other path is answered at once.
const MEASURED: &str = "/cached-value";

/// The length of the first whole request, and its path.
fn request(bytes: &[u8]) -> Option<(usize, String)> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes).ok()? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return None,
    };
    Some((length, request.path?.to_owned()))
}

/// The answers, as bytes.
struct Answers {
    value: Vec<u8>,
    error: Vec<u8>,
    wrong: Vec<u8>,
    ready: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let answer = |status: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let mut wrong = stored_value();
        wrong[0] = !wrong[0];
        Self {
            value: answer("200 OK", &stored_value()),
            wrong: answer("200 OK", &wrong),
            error: answer("503 Service Unavailable", b"an error of the target's seed"),
            ready: answer("200 OK", b"ready"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn behaviour() -> Behaviour {
        Behaviour {
            service: 2 * MILLISECOND,
            distribution: Distribution::Fixed,
            servers: 1,
            stall: None,
            errors: 0.0,
            lost: 0.0,
            wrong: 0.0,
            seed: 1,
        }
    }

    /// When requests that arrive at these milliseconds are answered, in milliseconds.
    fn answered(behaviour: Behaviour, arrivals: &[u32]) -> Vec<u128> {
        let queue = Queue::new(behaviour);
        let mut state = queue.state.lock().unwrap();
        let due = |&at: &u32| behaviour.arrive(&mut state, at * MILLISECOND).due.as_millis();
        arrivals.iter().map(due).collect()
    }

    #[test]
    fn requests_wait_for_a_server_in_their_order() {
        assert_eq!(answered(behaviour(), &[0, 1, 10]), [2, 4, 12]);
        assert_eq!(answered(Behaviour { servers: 2, ..behaviour() }, &[0, 0, 0]), [2, 2, 4]);
        assert_eq!(answered(Behaviour { servers: 0, ..behaviour() }, &[0, 0, 0]), [2, 2, 2]);
    }

    #[test]
    fn in_a_stall_no_service_begins() {
        let stall = Some(Stall { length: 3 * MILLISECOND, every: 10 * MILLISECOND });
        // The stall begins at 7: requests that arrive or wait then are served at 10.
        assert_eq!(answered(Behaviour { stall, ..behaviour() }, &[5, 6, 8]), [7, 12, 14]);
    }

    #[test]
    fn random_values_follow_the_behaviour() {
        let random =
            Behaviour { distribution: Distribution::Exponential, servers: 0, ..behaviour() };
        let due = answered(random, &[0; 10_000]);
        let mean: u128 = due.iter().sum::<u128>() / 10_000;
        assert!((1..=2).contains(&mean), "{mean}");
        let queue = Queue::new(Behaviour { errors: 0.1, lost: 0.2, wrong: 0.3, ..behaviour() });
        let fates: Vec<Fate> = (0..10_000).map(|_| queue.arrive().fate).collect();
        for (fate, expected) in [(Fate::Error, 1000), (Fate::Lost, 2000), (Fate::Wrong, 3000)] {
            let found = fates.iter().filter(|&&one| one == fate).count();
            assert!(found.abs_diff(expected) < 200, "{fate:?}: {found}");
        }
    }

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        assert_eq!(request(b"GET /a HTTP/1.1\r\nhost: x\r\n"), None);
        assert_eq!(request(b"GET /a HTTP/1.1\r\n\r\nGET"), Some((19, "/a".to_owned())));
    }
}
