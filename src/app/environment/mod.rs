//! Where a run takes place: the host, its CPUs, what starts stacks and what loads them. Each is found once
//! per run and passed on.

mod backend;
pub(super) mod ceilings;
mod docker_sockets;
mod loader_floors;
mod preflight;
mod reservation;

use std::collections::BTreeMap;

pub(super) use backend::{Backend, BackendRequest, has_images};
pub(super) use docker_sockets::hosts;
pub(super) use loader_floors::{Floor, Floors, Setting, forget};
pub(super) use preflight::{check_room, examine_host, host_checks, prepare};
pub(super) use reservation::{lock, reserve};

use self::ceilings::{Driven, Wanted};
use super::AppError;
use super::event::Observer;
use super::settings::{Fake, HostSettings};
use crate::clock::{Clock, UnixMillis};
use crate::host::{Topology, fingerprint};
use crate::id::RunId;
use crate::launch::{FakeLauncher, Launcher, ProcessLauncher};
use crate::load::{self, FakeLoad, LoadDriver};
use crate::model::{Ceiling, Fingerprint, Loader, Plan};
use crate::run::Placements;
use crate::units::CpuSet;

/// What a run is measured on: this host, or an imaginary one.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The CPUs that can be divided.
    pub topology: Topology,
    /// What the host is.
    pub host: Fingerprint,
}

impl Machine {
    /// This host, or the imaginary one of runs that are computed.
    pub(super) fn detect(fake: Option<&Fake>) -> Result<Self, AppError> {
        if fake.is_some() {
            let (topology, host) = crate::host::imaginary();
            return Ok(Self { topology, host });
        }
        let topology = Topology::detect()?;
        Ok(Self { host: fingerprint(&topology)?, topology })
    }
}

/// The environment of a run: the real one, or a computed one.
pub(super) struct Environment {
    pub clock: Clock,
    pub host: Fingerprint,
    pub launcher: Box<dyn Launcher>,
    pub driver: Box<dyn LoadDriver>,
    pub is_fake: bool,
}

/// When a computed run begins: 2026-01-01 00:00 UTC.
const FAKE_START: UnixMillis = UnixMillis(1_767_225_600_000);

impl Environment {
    pub(super) fn new(
        backend: &Backend,
        machine: &Machine,
        loader: Loader,
        seed: u64,
    ) -> Result<Self, AppError> {
        let host = machine.host.clone();
        let launcher: Box<dyn Launcher> = match backend {
            Backend::Fake(fake) => return Ok(Self::fake(fake, host, seed)),
            Backend::Processes => Box::new(ProcessLauncher),
            Backend::Containers(engine) => Box::new(engine.launcher()?),
        };
        let driver = load::driver(loader);
        Ok(Self { clock: Clock::System, host, launcher, driver, is_fake: false })
    }

    fn fake(fake: &Fake, host: Fingerprint, seed: u64) -> Self {
        let clock = match fake.has_fixed_clock {
            true => Clock::Fixed(FAKE_START),
            false => Clock::simulated(FAKE_START),
        };
        let driver = FakeLoad::new(clock.clone(), seed).slowed(fake.slowdown);
        Self {
            host,
            launcher: Box::new(FakeLauncher::new(clock.clone()).breaking(&fake.broken)),
            driver: Box::new(if fake.is_busy { driver.on_a_busy_host() } else { driver }),
            clock,
            is_fake: true,
        }
    }

    /// What the loader can drive, by the CPUs of loader and app.
    pub(super) async fn ceilings(
        &mut self,
        plan: &Plan,
        placements: &Placements,
        settings: &HostSettings,
        observer: &mut dyn Observer,
    ) -> Result<BTreeMap<(CpuSet, CpuSet), Ceiling>, AppError> {
        if self.is_fake || !settings.measures_ceilings {
            return Ok(BTreeMap::new());
        }
        let floors = settings.loader_floors.as_deref();
        let wanted = Wanted { plan, placements, host: &self.host, floors, now: self.clock.now() };
        ceilings::ceilings(&wanted, self.driver.as_mut(), observer).await
    }

    /// What the trials of a run will show of the loader.
    pub(super) fn driven<'run>(&self, plan: &'run Plan) -> Driven<'run> {
        Driven::new(plan, &self.host, self.driver.as_ref())
    }

    /// A name for a run that begins now.
    pub(super) fn run_id(&self) -> RunId {
        let time = self.clock.now().to_utc().map(|time| time.format("%Y%m%d-%H%M%S").to_string());
        let pid = if self.is_fake { 0 } else { std::process::id() };
        RunId(format!("{}-{pid}", time.unwrap_or_default()))
    }
}
