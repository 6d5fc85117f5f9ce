//! Waiting for a planned moment, more precisely than the timer of the runtime, which counts milliseconds.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::assignment::Pacing;
use crate::clock::Stopwatch;

/// How long before a planned moment a thread that spins wakes up: longer than a wake-up usually takes.
const SPIN: Duration = Duration::from_micros(60);

/// Waits for moments that count from the start of a stopwatch.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    watch: Stopwatch,
    spin: Duration,
    /// The time in which there was nothing else to do.
    polled: Cell<Duration>,
    /// How often a connection was looked after.
    activity: Rc<Cell<u64>>,
}

/// The timer of a pacer. It takes a file descriptor before connections take the others.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "unsound for types that give up their descriptor; an OwnedFd keeps it"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self(timer))
    }
}

impl Pacer {
    pub fn new(timer: Timer, pacing: Pacing, watch: Stopwatch, activity: Rc<Cell<u64>>) -> Self {
        let spin = if pacing == Pacing::Spin { SPIN } else { Duration::ZERO };
        Self { timer: timer.0, watch, spin, polled: Cell::default(), activity }
    }

    /// Waits until a moment. Returns the time.
    pub async fn wait_until(&self, moment: Duration) -> io::Result<Duration> {
        loop {
            let now = self.watch.elapsed();
            if now >= moment {
                return Ok(now);
            }
            let left = moment - now;
            if left > self.spin {
                self.sleep(left - self.spin).await?;
            } else {
                let before = self.activity.get();
                // The runtime looks after its connections meanwhile.
                tokio::task::yield_now().await;
                if self.activity.get() == before {
                    self.polled.set(self.polled.get() + (self.watch.elapsed() - now));
                }
            }
        }
    }

    /// The time in which the thread only polled the clock.
    pub fn polled(&self) -> Duration {
        self.polled.get()
    }

    async fn sleep(&self, span: Duration) -> io::Result<()> {
        let once = |nanos| Timespec { tv_sec: 0, tv_nsec: nanos };
        let value = Timespec::try_from(span).map_err(io::Error::other)?;
        let timer = Itimerspec { it_interval: once(0), it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &timer)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
            if let Ok(expired) = read {
                return expired.map(drop);
            }
        }
    }
}
