//! Offering one load to a stack, while its parts and the host are watched.

use std::time::Duration;

use super::{Runner, StackContext};
use crate::host::sample_host;
use crate::launch::RunningStack;
use crate::load::LoadRequest;
use crate::model::{
    ANSWER_STATUS, Failure, Measurement, Part, Profile, Stage, Trial, VALUE_BYTES, stored_value,
    with_causes,
};
use crate::units::Nanos;

impl Runner<'_, '_> {
    /// Offers the load of a trial to a stack.
    pub(super) async fn load(
        &mut self,
        context: &StackContext<'_>,
        trial: &Trial,
        live: &mut dyn RunningStack,
        duration: Duration,
        stage: Stage,
    ) -> Result<Measurement, Failure> {
        let url = live.url().to_owned();
        let body = stored_value();
        let experiment = &self.request.plan.experiment;
        let request = LoadRequest {
            trial: trial.id,
            url: &url,
            connections: trial.case.concurrency,
            target_rps: trial.case.target_rps,
            // A stack is warmed up at a constant rate.
            profile: if stage == Stage::Load { experiment.profile } else { Profile::Constant },
            arrivals: experiment.arrivals,
            seed: arrival_seed(experiment.seed, trial, stage),
            duration,
            cpus: &context.placement.loader,
            answer_status: ANSWER_STATUS,
            answer_bytes: VALUE_BYTES as u64,
            answer_body: Some(&body),
            has_own_cpus: !context.placement.shared,
            scratch_dir: self.journal.dir(),
        };
        let cpus = context.placement.all();
        let reservation = self.request.reservation;
        let has_neighbour = || reservation.is_some_and(|own| !own.others().is_empty());
        let mut is_beside_another_run = has_neighbour();
        // To the deadline, and not to the end of what the loader has to write down.
        let watch = self.request.watches_host.then(|| tokio::spawn(sample_host(cpus, duration)));
        live.begin_sampling(duration);
        let has_room = trial.case.target_rps.as_f64() >= MIN_RPS_TO_COMPARE;
        if stage == Stage::Load && has_room && !self.request.driver.compares_bodies() {
            live.begin_comparing(duration);
        }
        let failed = |reason: String, live: &dyn RunningStack| Failure {
            stage,
            reason,
            log_tail: live.log_tail(),
        };
        // A part that is gone does not come back: the rest of the load would measure nothing.
        let driven = tokio::select! {
            driven = self.request.driver.drive(&request) => driven,
            reason = first_end(live) => return Err(failed(reason, live)),
        };
        if let Some(reason) = live.ended_part() {
            return Err(failed(reason, live));
        }
        let mut measurement = driven.map_err(|error| failed(with_causes(&error), live))?;
        let samples = live.end_sampling().await;
        measurement.resources.extend(samples);
        let own = own_cpu(&measurement);
        if let Some(watch) = watch {
            let seen = watch.await.ok().flatten();
            let loader = &context.placement.loader;
            measurement.disturbance = seen.map(|seen| seen.disturbance(loader, own));
        }
        is_beside_another_run |= has_neighbour();
        if is_beside_another_run {
            measurement.disturbance.get_or_insert_default().is_beside_another_run = true;
        }
        Ok(measurement)
    }
}

/// The seed of a trial's random arrivals: every trial has its own, and a warm-up another one.
fn arrival_seed(seed: u64, trial: &Trial, stage: Stage) -> u64 {
    let of_stage = u64::from(stage == Stage::Load);
    seed.wrapping_mul(1 << 33).wrapping_add(u64::from(trial.id.0) << 1).wrapping_add(of_stage)
}

/// CPU time of all parts.
pub(super) fn own_cpu(measurement: &Measurement) -> Nanos {
    let used = Part::ALL.iter().filter_map(|&part| measurement.usage(part));
    Nanos(used.map(|usage| usage.cpu.0).sum())
}

/// Waits until a part of a stack ends by itself. Returns which one, and how.
pub(super) async fn first_end(live: &mut dyn RunningStack) -> String {
    loop {
        if let Some(reason) = live.ended_part() {
            return reason;
        }
        tokio::time::sleep(LIFE_POLL).await;
    }
}

/// From this rate on one request more a second does not count.
const MIN_RPS_TO_COMPARE: f64 = 100.0;

/// How often the parts of a stack are looked at while a load goes on.
const LIFE_POLL: Duration = Duration::from_millis(200);
