//! What the loader can drive on this host: measured before a run, as far as it is not known.

use std::collections::BTreeMap;
use std::path::Path;

use super::loader_floors::{Floor, Floors, Setting, keep};
use crate::app::AppError;
use crate::app::event::Observer;
use crate::clock::UnixMillis;
use crate::load::{CeilingRequest, LoadDriver};
use crate::model::{Ceiling, Fingerprint, Placement, Plan, rules};
use crate::run::{Event, LoaderLimit, Placements, driven_rps, loader_limit};
use crate::units::{CpuSet, Rps};

/// What is asked for: the loads of a plan, on the CPUs of its stacks.
pub(in crate::app) struct Wanted<'run> {
    pub plan: &'run Plan,
    pub placements: &'run Placements,
    pub host: &'run Fingerprint,
    pub floors: Option<&'run Path>,
    pub now: UnixMillis,
}

/// The ceiling for each pair of CPU sets that loader and app have in a plan, as far as it is known.
pub(in crate::app) async fn ceilings(
    wanted: &Wanted<'_>,
    driver: &mut dyn LoadDriver,
    observer: &mut dyn Observer,
) -> Result<BTreeMap<(CpuSet, CpuSet), Ceiling>, AppError> {
    let &Wanted { plan, placements, host, floors, now } = wanted;
    let kept = Floors::read(floors, now);
    let highest = plan.experiment.qps.iter().copied().max().unwrap_or(Rps::MIN);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and no loader drives as much"
    )]
    let enough_rps = (highest.as_f64() / rules::MAX_CEILING_SHARE).ceil() as u32;
    let mut found = BTreeMap::new();
    for (_, Placement { loader, app, .. }) in placements.iter() {
        let cpus = (loader.clone(), app.clone());
        if found.contains_key(&cpus) {
            continue;
        }
        let setting = setting(plan, host, &driver.name(), &cpus);
        let floor_rps = kept.rps(&setting);
        let limit = match floor_rps {
            Some(rps) if rps >= enough_rps => LoaderLimit::AtLeast(rps),
            _ => {
                observer.note("measuring what the loader can drive here");
                measured(&setting, enough_rps, driver).await?
            }
        };
        if let LoaderLimit::AtLeast(rps) = limit
            && Some(rps) != floor_rps
        {
            keep(floors, vec![Floor { setting, rps, at: now }], now);
        }
        if let Some(reason) = unknown(&limit) {
            observer.note(&format!(
                "what the loader can drive here is unknown: {reason}; no trial is flagged because of it"
            ));
        }
        found.insert(cpus, ceiling(&limit, floor_rps));
    }
    Ok(found.into_iter().filter_map(|(cpus, ceiling)| Some((cpus, ceiling?))).collect())
}

/// What a measurement and the highest rate that was driven before say together.
fn ceiling(limit: &LoaderLimit, floor_rps: Option<u32>) -> Option<Ceiling> {
    let floor = floor_rps.map(|rps| Ceiling { rps, is_bound: true });
    match *limit {
        LoaderLimit::AtLeast(rps) => Some(Ceiling { rps, is_bound: true }),
        // What was driven before refutes a limit below it.
        LoaderLimit::Measured(rps) if floor_rps.is_none_or(|floor| floor <= rps) => {
            Some(Ceiling { rps, is_bound: false })
        }
        LoaderLimit::Measured(_) | LoaderLimit::Disturbed(_) | LoaderLimit::Disagreeing(_) => floor,
    }
}

/// Why a limit is unknown.
fn unknown(limit: &LoaderLimit) -> Option<String> {
    match limit {
        LoaderLimit::AtLeast(_) | LoaderLimit::Measured(_) => None,
        LoaderLimit::Disturbed(count) => {
            Some(format!("the host was busy in {count} measurements in a row"))
        }
        LoaderLimit::Disagreeing(rates) => {
            let rates: Vec<String> = rates.iter().map(|rate| format!("{rate}/s")).collect();
            Some(format!("the measurements do not agree ({})", rates.join(", ")))
        }
    }
}

/// What the trials of a run show of the loader, kept for later runs.
#[derive(Debug)]
pub(in crate::app) struct Driven<'run> {
    plan: &'run Plan,
    host: Fingerprint,
    driver: String,
    rates: BTreeMap<(CpuSet, CpuSet), u32>,
}

impl<'run> Driven<'run> {
    pub(in crate::app) fn new(
        plan: &'run Plan,
        host: &Fingerprint,
        driver: &dyn LoadDriver,
    ) -> Self {
        let (host, driver) = (host.clone(), driver.name());
        Self { plan, host, driver, rates: BTreeMap::new() }
    }

    /// Adds what a trial that is over proves.
    pub(in crate::app) fn on_event(&mut self, event: &Event<'_>) {
        let (Event::Done(record) | Event::Repeated(record)) = event else { return };
        // One with fewer connections than the setting has proves nothing for it.
        if record.trial.case.concurrency == connections(self.plan)
            && let Some(rps) = driven_rps(record)
        {
            let cpus = (record.placement.loader.clone(), record.placement.app.clone());
            let rate = self.rates.entry(cpus).or_default();
            *rate = rps.max(*rate);
        }
    }

    pub(in crate::app) fn keep(&self, floors: Option<&Path>, now: UnixMillis) {
        let floor = |(cpus, &rps): (&(CpuSet, CpuSet), &u32)| Floor {
            setting: setting(self.plan, &self.host, &self.driver, cpus),
            rps,
            at: now,
        };
        keep(floors, self.rates.iter().map(floor).collect(), now);
    }
}

fn connections(plan: &Plan) -> u32 {
    plan.experiment.concurrency.iter().copied().max().unwrap_or(1)
}

fn setting(
    plan: &Plan,
    host: &Fingerprint,
    driver: &str,
    (loader, app): &(CpuSet, CpuSet),
) -> Setting {
    Setting {
        host: host.class(),
        driver: driver.to_owned(),
        connections: connections(plan),
        loader: loader.clone(),
        app: app.clone(),
    }
}

async fn measured(
    setting: &Setting,
    enough_rps: u32,
    driver: &mut dyn LoadDriver,
) -> Result<LoaderLimit, AppError> {
    let dir = tempfile::tempdir()
        .map_err(|error| AppError::new(format!("cannot make a temporary folder: {error}")))?;
    let request = CeilingRequest {
        loader: &setting.loader,
        app: &setting.app,
        connections: setting.connections,
        enough_rps,
        scratch_dir: dir.path(),
    };
    loader_limit(driver, request).await.map_err(|error| {
        AppError::new(format!(
            "cannot measure what the loader can drive: {}",
            crate::model::with_causes(&error)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_what_was_driven_is_no_limit_and_an_unknown_one_is_none() {
        let bound = |rps| Some(Ceiling { rps, is_bound: true });
        let limit = |rps| Some(Ceiling { rps, is_bound: false });
        for (measured, floor, expected) in [
            (LoaderLimit::AtLeast(900), None, bound(900)),
            (LoaderLimit::AtLeast(900), Some(500), bound(900)),
            (LoaderLimit::Measured(487), None, limit(487)),
            (LoaderLimit::Measured(487), Some(487), limit(487)),
            (LoaderLimit::Measured(487), Some(488), bound(488)),
            (LoaderLimit::Disturbed(2), None, None),
            (LoaderLimit::Disturbed(2), Some(500), bound(500)),
            (LoaderLimit::Disagreeing(vec![100, 500]), None, None),
        ] {
            assert_eq!(ceiling(&measured, floor), expected, "{measured:?} {floor:?}");
        }
    }
}
