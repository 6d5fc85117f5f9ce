//! What the loader can drive on this host, measured against a server that is no limit.
//!
//! One bad moment must not pass for a limit. A load that was driven on time proves a lower bound,
//! whatever else the host did. A limit is believed only when two measurements agree on it and both
//! pass the checks of a trial: the host was neither busy, nor slowed, nor swapping. Otherwise the limit
//! is unknown.

use super::flags::{is_disturbed, is_driven};
use super::load::own_cpu;
use crate::host::sample_host;
use crate::load::{CEILING_WINDOW, CeilingRequest, LoadDriver, LoadError, LoaderTarget};
use crate::model::Measurement;
use crate::stats::latency_figures;
use crate::units::CpuSet;

/// What was found out about the loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoaderLimit {
    /// It drove the rate that was asked for, on time.
    AtLeast(u32),
    /// It was offered more and drove this rate, in requests per second: two measurements agree.
    Measured(u32),
    /// The host was busy, slowed or swapping during so many measurements in a row.
    Disturbed(usize),
    /// No two of these rates agree, in requests per second.
    Disagreeing(Vec<u32>),
}

/// Two measurements agree when the lower is at least this share of the higher.
const MIN_AGREEMENT: f64 = 0.9;
/// How many disturbed measurements in a row end the attempt: the host does not become quiet soon.
const MAX_DISTURBED: usize = 2;
/// How many undisturbed measurements are made until two agree.
const MAX_MEASUREMENTS: usize = 4;

/// Measures whether the loader drives `request.enough_rps`, and if not, what it drives.
///
/// # Errors
/// When the server or the loader cannot be run.
pub async fn loader_limit(
    driver: &mut dyn LoadDriver,
    request: CeilingRequest<'_>,
) -> Result<LoaderLimit, LoadError> {
    let target = LoaderTarget::start(&request).await?;
    let found = repeat(request.enough_rps, async || drive(driver, &target, &request).await).await;
    target.stop().await?;
    found
}

/// How one measurement came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// The loader kept to its schedule and the answers came.
    Driven,
    /// It did not, and the host was quiet: it drove this rate.
    Undriven(u32),
    /// It did not, and the host disturbed it.
    Disturbed,
}

async fn repeat<E>(
    enough_rps: u32,
    mut attempt: impl AsyncFnMut() -> Result<Attempt, E>,
) -> Result<LoaderLimit, E> {
    let mut rates: Vec<u32> = Vec::new();
    let mut disturbed = 0;
    while disturbed < MAX_DISTURBED && rates.len() < MAX_MEASUREMENTS {
        match attempt().await? {
            Attempt::Driven => return Ok(LoaderLimit::AtLeast(enough_rps)),
            Attempt::Disturbed => disturbed += 1,
            Attempt::Undriven(rate) => {
                disturbed = 0;
                if let Some(&other) = rates.iter().find(|&&other| agree(other, rate)) {
                    // What it was seen to drive it can drive.
                    return Ok(LoaderLimit::Measured(rate.max(other)));
                }
                rates.push(rate);
            }
        }
    }
    Ok(if disturbed == 0 {
        LoaderLimit::Disagreeing(rates)
    } else {
        LoaderLimit::Disturbed(disturbed)
    })
}

fn agree(one: u32, other: u32) -> bool {
    f64::from(one.min(other)) >= f64::from(one.max(other)) * MIN_AGREEMENT
}

async fn drive(
    driver: &mut dyn LoadDriver,
    target: &LoaderTarget,
    request: &CeilingRequest<'_>,
) -> Result<Attempt, LoadError> {
    let cpus: CpuSet = request.loader.iter().chain(request.app.iter()).collect();
    let watch = tokio::spawn(sample_host(cpus.clone(), CEILING_WINDOW));
    let measured = target.drive(driver, request).await?;
    if is_driven(&measured, &latency_figures(&measured.latency)) {
        return Ok(Attempt::Driven);
    }
    let seen = watch.await.ok().flatten();
    let others = seen.map(|seen| seen.disturbance(request.loader, own_cpu(&measured)));
    let is_disturbed =
        others.is_some_and(|others| is_disturbed(others, CEILING_WINDOW, cpus.len()));
    Ok(if is_disturbed { Attempt::Disturbed } else { Attempt::Undriven(driven_rps(&measured)) })
}

/// The rate at which answers came.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of requests stay below 2^53, and `as` saturates"
)]
fn driven_rps(measured: &Measurement) -> u32 {
    (measured.counts.completed as f64 / CEILING_WINDOW.as_secs_f64()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What attempts that come out like this say, and how many of them are made.
    fn outcome(attempts: &[Attempt]) -> (LoaderLimit, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut made = 0;
        let attempt = async || {
            made += 1;
            Ok::<_, ()>(attempts[made - 1])
        };
        let limit = runtime.block_on(repeat(10_000, attempt)).unwrap();
        (limit, made)
    }

    #[test]
    fn a_limit_is_what_two_undisturbed_measurements_agree_on() {
        use Attempt::{Disturbed, Driven, Undriven};
        use LoaderLimit::{AtLeast, Disagreeing, Measured};
        for (attempts, limit, made) in [
            (&[Driven][..], AtLeast(10_000), 1),
            // One bad moment is no limit.
            (&[Undriven(487), Driven], AtLeast(10_000), 2),
            (&[Disturbed, Driven], AtLeast(10_000), 2),
            (&[Undriven(9000), Undriven(8100)], Measured(9000), 2),
            (&[Undriven(8100), Undriven(9000)], Measured(9000), 2),
            // 8099 is below nine tenths of 9000, and 8500 is near both.
            (&[Undriven(9000), Undriven(8099), Undriven(8500)], Measured(9000), 3),
            (&[Undriven(487), Undriven(6000), Undriven(6100)], Measured(6100), 3),
            (&[Undriven(9000), Disturbed, Undriven(9000)], Measured(9000), 3),
            (
                &[Undriven(100), Undriven(200), Undriven(400), Undriven(800)],
                Disagreeing(vec![100, 200, 400, 800]),
                4,
            ),
            (&[Disturbed, Disturbed], LoaderLimit::Disturbed(2), 2),
            (&[Undriven(500), Disturbed, Disturbed], LoaderLimit::Disturbed(2), 3),
        ] {
            assert_eq!(outcome(attempts), (limit, made), "{attempts:?}");
        }
    }
}
