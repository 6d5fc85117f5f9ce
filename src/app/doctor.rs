//! Examines this host: what can disturb a measurement, and what to do about it.

use super::AppError;
use super::environment::{Floor, Floors, Machine, Setting, examine_host, forget, hosts};
use super::settings::HostSettings;
use crate::clock::Clock;
use crate::launch::connect;
use crate::load;
use crate::model::{Check, Loader, State};

/// What to examine.
#[derive(Clone, Debug)]
pub struct DoctorRequest {
    /// The most connections that the loader will open.
    pub connections: u32,
    /// Whether to forget what the loader was seen to drive.
    pub remeasure: bool,
    /// What the user's environment says.
    pub host: HostSettings,
}

/// Examines this host.
///
/// # Errors
/// When the host cannot be read.
pub async fn doctor(request: &DoctorRequest) -> Result<Vec<Check>, AppError> {
    let floors = request.host.loader_floors.as_deref();
    if request.remeasure {
        forget(floors)?;
    }
    let engine = connect(&hosts(&request.host.docker)).await.ok();
    let mut checks = examine_host(request.connections, engine.as_ref()).await?;
    let known = Floors::read(floors, Clock::System.now());
    checks.extend(loader_rates(&known)?);
    Ok(checks)
}

/// What the loader was seen to drive on this host, by connections and CPUs.
fn loader_rates(known: &Floors) -> Result<Vec<Check>, AppError> {
    let host = Machine::detect(None)?.host;
    let drivers = Loader::ALL.map(|loader| load::driver(loader).name());
    let known: Vec<(&String, &Floor)> = drivers
        .iter()
        .flat_map(|name| known.of_host(&host.class(), name).into_iter().map(move |one| (name, one)))
        .collect();
    let check = |state, found| Check {
        name: "loader rate".to_owned(),
        state,
        found,
        why: "above what the loader can drive, a trial measures the loader".to_owned(),
        fix: None,
    };
    if known.is_empty() {
        return Ok(vec![check(State::Unknown, "not known: the next run measures it".to_owned())]);
    }
    let found = |(driver, floor): &(&String, &Floor)| {
        let Setting { connections, loader, app, .. } = &floor.setting;
        let connections = counted_connections(*connections);
        format!(
            "{driver}: at least {} requests/s with {connections}, loader on CPUs {loader}, app on CPUs {app}",
            floor.rps
        )
    };
    Ok(known.iter().map(|one| check(State::Ok, found(one))).collect())
}

fn counted_connections(count: u32) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}
