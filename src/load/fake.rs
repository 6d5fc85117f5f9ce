//! A simulated load: a fluid queue with a capacity for each app and worker.
//!
//! It is deterministic for each trial, fast at any size, and has the shapes of real measurements: plateaus,
//! hockey sticks and censored tails.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::tally::{offered, waited_at_deadline};
use super::{LoadDriver, LoadError, LoadRequest, Recorder};
use crate::clock::Clock;
use crate::model::{
    Counts, Disturbance, Measurement, Part, ResourceSample, TimelineLatency, TimelineSecond,
};
use crate::units::Nanos;

/// Computes the answers of a server of known capacity.
#[derive(Debug)]
pub struct FakeLoad {
    clock: Clock,
    seed: u64,
    slowdown: f64,
    is_busy: bool,
}

impl FakeLoad {
    /// A driver that advances `clock` by each load and adds noise from `seed`.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, seed, slowdown: 1.0, is_busy: false }
    }

    /// Multiplies all latencies by `slowdown`.
    #[must_use]
    pub fn slowed(self, slowdown: f64) -> Self {
        Self { slowdown, ..self }
    }

    /// Simulates other processes on the host's CPUs.
    #[must_use]
    pub fn on_a_busy_host(self) -> Self {
        Self { is_busy: true, ..self }
    }
}

/// Latencies that are drawn for each second.
const DRAWS: u64 = 200;
/// How many CPUs other processes use on a busy host: as many as the computed host has.
const BUSY_CPUS: u32 = 16;

#[async_trait]
impl LoadDriver for FakeLoad {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError> {
        self.clock.advance(request.duration);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(request.trial.0));
        let mut measurement = simulate(request, self.slowdown, &mut rng);
        if self.is_busy {
            let foreign = Nanos::from(request.duration * BUSY_CPUS);
            measurement.disturbance = Some(Disturbance { foreign, ..Disturbance::default() });
        }
        Ok(measurement)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up numbers of a moderate size"
)]
fn simulate(request: &LoadRequest<'_>, slowdown: f64, rng: &mut ChaCha8Rng) -> Measurement {
    let capacity = capacity_rps(request.url) * (1.0 + 0.02 * (rng.random::<f64>() - 0.5));
    let target = request.target_rps.as_f64();
    let planned = offered(request);
    let seconds = request.duration.as_secs().max(1);
    let mut recorder = Recorder::default();
    let mut timeline = Vec::new();
    let mut completed = 0;
    for second in 0..seconds {
        // The last second has what is left of a load that is within capacity.
        let is_last = second + 1 == seconds && target <= capacity;
        let goal = (target.min(capacity) * request.duration.as_secs_f64() / seconds as f64).round();
        let left = planned - completed;
        let count = if is_last { left } else { left.min(goal as u64) };
        let mut latencies = Vec::new();
        for draw in 0..DRAWS {
            // Draws share the second's answers; the first ones take the remainder.
            let share = count / DRAWS + u64::from(draw < count % DRAWS);
            let at = second as f64 + draw as f64 / DRAWS as f64;
            // What is answered at a time was planned when as many had been offered.
            let backlog = at * (1.0 - capacity / target).max(0.0);
            let busy = (target / capacity).min(0.98);
            let service = 0.4e-3 * (1.0 + busy / (1.0 - busy) * rng.random::<f64>());
            let own = service - 0.3e-3 * rng.random::<f64>().ln();
            let latency = Nanos::from_secs_f64(backlog + slowdown * own);
            recorder.completed(latency, share);
            latencies.push(latency);
        }
        completed += count;
        latencies.sort_unstable();
        let at = |percent: usize| latencies[latencies.len() * percent / 100];
        timeline.push(TimelineSecond {
            second: u32::try_from(second).unwrap_or(u32::MAX),
            planned: planned / seconds,
            completed: count,
            failed: 0,
            latency: Some(TimelineLatency { p50: at(50), p95: at(95), p99: at(99), max: at(99) }),
        });
    }
    for index in completed..planned {
        recorder.censored(waited_at_deadline(request, index), 1);
    }
    let censored = planned - completed;
    let counts = Counts {
        planned,
        sent: completed + censored.min(u64::from(request.connections)),
        completed,
        censored,
        ..Counts::default()
    };
    Measurement {
        counts,
        latency: recorder.finish(),
        timeline,
        resources: loader_usage(request.duration),
        ..Measurement::default()
    }
}

/// What a server holds, from the fake launcher's `fake://app/store/workers`.
fn capacity_rps(url: &str) -> f64 {
    let mut parts = url.trim_start_matches("fake://").split('/');
    let per_worker = match parts.next() {
        Some("express") => 5_200.0,
        Some("fastapi") => 2_900.0,
        _ => 4_000.0,
    };
    let store = if parts.next() == Some("redis") { 11_000.0 } else { 30_000.0 };
    let workers: f64 = parts.next().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    f64::min(per_worker * workers.powf(0.93), store)
}

fn loader_usage(duration: Duration) -> Vec<ResourceSample> {
    let sample = |second: u64| ResourceSample {
        part: Part::Loader,
        offset: Nanos(second * 1_000_000_000),
        cpu: Nanos(second * 300_000_000),
        memory_bytes: 40 << 20,
        throttled: None,
    };
    (0..=duration.as_secs()).map(sample).collect()
}
