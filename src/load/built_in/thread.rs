//! One thread of the loader: it releases its requests when they are due and gives each to a free connection.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::answer::Failure;
use super::assignment::{Assignment, Expected, Pool};
use super::connection::{Connection, Target};
use super::pacer::{Pacer, Timer};
use super::record::{Answered, Record};
use super::schedule::Due;
use crate::clock::Stopwatch;
use crate::units::Nanos;

/// After so many releases without a pause, connections are served.
const MAX_RELEASES: u32 = 32;

/// The share of a load that one thread has.
#[derive(Debug)]
pub(super) struct Share<'load> {
    pub load: &'load Assignment,
    pub target: Target,
    /// This thread, of so many.
    pub thread: u64,
    pub threads: u64,
    /// The most connections of this thread.
    pub connections: usize,
}

/// What the release of requests and the connections of a thread have in common.
struct Lane {
    target: Target,
    expected: Expected,
    is_kept_alive: bool,
    watch: Stopwatch,
    /// Due requests that no connection has taken up.
    waiting: RefCell<VecDeque<Due>>,
    /// Free workers, the one that has been free for longest first.
    free: RefCell<VecDeque<Rc<Slot>>>,
    /// What each worker has in flight.
    in_flight: RefCell<Vec<Option<Due>>>,
    record: RefCell<Record>,
    /// Notified when the last request in flight is over.
    idle: Notify,
    is_closing: Cell<bool>,
}

/// The place where a free worker gets its next request.
struct Slot {
    worker: usize,
    due: Cell<Option<Due>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn give(&self, due: Due) {
        self.due.set(Some(due));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn take(&self) -> Due {
        std::future::poll_fn(|context| match self.due.take() {
            Some(due) => Poll::Ready(due),
            None => {
                *self.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Lane {
    fn now(&self) -> Nanos {
        self.watch.elapsed().into()
    }

    /// A free worker takes up a request; otherwise the request waits. Returns whether one did.
    fn release(&self, due: Due, now: Nanos) -> bool {
        self.record.borrow_mut().released(due, now);
        let free = self.free.borrow_mut().pop_front();
        match &free {
            Some(slot) => {
                self.in_flight.borrow_mut()[slot.worker] = Some(due);
                slot.give(due);
            }
            None => self.waiting.borrow_mut().push_back(due),
        }
        free.is_some()
    }

    /// A request is too late to be sent.
    fn leave(&self, due: Due, now: Nanos) {
        self.is_closing.set(true);
        self.record.borrow_mut().released(due, now);
        self.waiting.borrow_mut().push_back(due);
    }

    /// The next request of a worker.
    async fn next(&self, slot: &Rc<Slot>) -> Due {
        let waiting =
            if self.is_closing.get() { None } else { self.waiting.borrow_mut().pop_front() };
        match waiting {
            Some(due) => {
                self.in_flight.borrow_mut()[slot.worker] = Some(due);
                due
            }
            None => {
                self.free.borrow_mut().push_back(Rc::clone(slot));
                slot.take().await
            }
        }
    }

    fn has_requests_in_flight(&self) -> bool {
        self.in_flight.borrow().iter().any(Option::is_some)
    }
}

/// Sends requests over one connection at a time, one after another.
async fn work(lane: Rc<Lane>, worker: usize, mut connection: Option<Connection>) {
    let slot = Rc::new(Slot { worker, due: Cell::default(), waker: RefCell::default() });
    loop {
        let due = lane.next(&slot).await;
        let outcome = exchange(&lane, &mut connection).await;
        let ended = lane.now();
        lane.in_flight.borrow_mut()[worker] = None;
        let mut record = lane.record.borrow_mut();
        match outcome {
            Ok(Sent { sent, begun }) => record.completed(Answered { due, sent, begun, ended }),
            Err(failure) => record.failed(failure.to_string(), ended),
        }
        drop(record);
        if lane.is_closing.get() && !lane.has_requests_in_flight() {
            lane.idle.notify_one();
        }
        if !lane.is_kept_alive {
            connection = None;
        }
    }
}

/// Counts how often a worker is looked after.
async fn counted(worker: impl Future<Output = ()>, activity: Rc<Cell<u64>>) {
    let mut worker = pin!(worker);
    std::future::poll_fn(|context| {
        activity.set(activity.get() + 1);
        worker.as_mut().poll(context)
    })
    .await;
}

/// When a request was sent, and when the head of its answer had arrived.
struct Sent {
    sent: Nanos,
    begun: Nanos,
}

/// One request and its answer.
async fn exchange(lane: &Lane, connection: &mut Option<Connection>) -> Result<Sent, Failure> {
    // The server may have closed a connection that was free: that is no failure of a request.
    let is_usable = match connection {
        Some(open) => open.is_ready().await,
        None => false,
    };
    if !is_usable {
        *connection = None;
    }
    let open = match connection {
        Some(open) => open,
        None => {
            let opened = Connection::open(&lane.target).await?;
            lane.record.borrow_mut().openings.add(opened.opening());
            connection.insert(opened)
        }
    };
    let sent = lane.now();
    lane.record.borrow_mut().sent(sent);
    let mut begun = sent;
    let answered = open.exchange(&lane.target, &lane.expected, || begun = lane.now()).await;
    let ended = lane.now();
    let mut record = lane.record.borrow_mut();
    record.ended(ended);
    match answered {
        Ok(check) => {
            if check.is_compared() {
                record.compared();
            }
            let finished = check.finish().map(|()| Sent { sent, begun });
            finished.inspect_err(|failure| record.wrong.add(ended, || check.example(failure)))
        }
        Err(failure) => {
            *connection = None;
            Err(failure)
        }
    }
}

impl Share<'_> {
    /// Opens the connections of a fixed pool. One that cannot be opened is opened with its first request.
    pub async fn connect(&self) -> Vec<Option<Connection>> {
        let count = if self.load.connections.pool == Pool::Fixed { self.connections } else { 0 };
        let opening = (0..count).map(|_| async { Connection::open(&self.target).await.ok() });
        let all = futures::future::join_all(opening);
        // A server that does not accept must not delay the load.
        match tokio::time::timeout(MAX_CONNECTING, all).await {
            Ok(connections) => connections,
            Err(_) => (0..count).map(|_| None).collect(),
        }
    }

    /// Offers the load. The watch was started at its first planned moment.
    pub async fn offer(
        &self,
        watch: Stopwatch,
        timer: Timer,
        connections: Vec<Option<Connection>>,
    ) -> io::Result<Record> {
        let load = self.load;
        let lane = Rc::new(Lane {
            target: self.target.clone(),
            expected: load.expected.clone(),
            is_kept_alive: load.connections.is_kept_alive,
            watch,
            waiting: RefCell::default(),
            free: RefCell::default(),
            in_flight: RefCell::new(vec![None; self.connections]),
            record: RefCell::new(Record::new(load.schedule.duration)),
            idle: Notify::new(),
            is_closing: Cell::new(false),
        });
        let workers = LocalSet::new();
        let (started, activity) = (Cell::new(0), Rc::new(Cell::new(0)));
        let start = |connection| {
            let worker = work(Rc::clone(&lane), started.get(), connection);
            workers.spawn_local(counted(worker, Rc::clone(&activity)));
            started.set(started.get() + 1);
        };
        for opened in connections.iter().flatten() {
            lane.record.borrow_mut().openings.add(opened.opening());
        }
        connections.into_iter().for_each(start);
        let pacer = Pacer::new(timer, load.pacing, watch, Rc::clone(&activity));
        let release = async {
            let end = Duration::from_nanos(load.schedule.duration.0);
            let mut releases = 0;
            for due in load.schedule.of_thread(self.thread, self.threads) {
                let planned = Duration::from_nanos(due.planned.0);
                let now = pacer.wait_until(planned).await?;
                if now > end + MAX_LATE {
                    lane.leave(due, now.into());
                    continue;
                }
                if !lane.release(due, now.into()) && started.get() < self.connections {
                    start(None);
                }
                releases += 1;
                if releases % MAX_RELEASES == 0 {
                    tokio::task::yield_now().await;
                }
            }
            pacer.wait_until(end).await
        };
        workers.run_until(release).await?;
        lane.is_closing.set(true);
        let limit = Duration::from_nanos(load.drain_limit.0);
        if lane.has_requests_in_flight() {
            let drained = tokio::time::timeout(limit, lane.idle.notified());
            // What is in flight after that is unfinished.
            let _ = workers.run_until(drained).await;
        }
        drop(workers);
        let now = lane.now();
        let mut record = lane.record.replace(Record::new(Nanos(0)));
        record.polled(pacer.polled().into());
        record.openings.set_places(started.get() as u64);
        if lane.has_requests_in_flight() {
            record.cut_off();
        }
        for due in lane.in_flight.borrow().iter().flatten() {
            record.unfinished(Nanos(now.0.saturating_sub(due.planned.0)));
        }
        for due in lane.waiting.borrow().iter() {
            record.unfinished(Nanos(load.schedule.duration.0.saturating_sub(due.planned.0)));
        }
        Ok(record)
    }
}

/// A loader that is later than this at the end of its window sends no more requests.
const MAX_LATE: Duration = Duration::from_secs(1);
/// The longest that a load waits for its pool of connections.
const MAX_CONNECTING: Duration = Duration::from_secs(2);
