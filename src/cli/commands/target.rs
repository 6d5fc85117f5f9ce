//! `perf-api target`: become a server of known behaviour.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::app::AppError;
use crate::load::{Behaviour, Distribution, Stall, serve};
use crate::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long, default_value = "0s")]
    service: HumanDuration,
    #[arg(long, value_enum, default_value_t = ServiceTimes::Fixed)]
    distribution: ServiceTimes,
    #[arg(long, default_value_t = 0)]
    servers: usize,
    #[arg(long, requires = "stall_every")]
    stall: Option<HumanDuration>,
    #[arg(long, requires = "stall")]
    stall_every: Option<HumanDuration>,
    #[arg(long, default_value_t = 0.0)]
    errors: f64,
    #[arg(long, default_value_t = 0.0)]
    lost: f64,
    #[arg(long, default_value_t = 0.0)]
    wrong: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceTimes {
    Fixed,
    Exponential,
}

impl From<&Args> for Behaviour {
    fn from(args: &Args) -> Self {
        let stall = args.stall.zip(args.stall_every);
        Self {
            service: args.service.0,
            distribution: match args.distribution {
                ServiceTimes::Fixed => Distribution::Fixed,
                ServiceTimes::Exponential => Distribution::Exponential,
            },
            servers: args.servers,
            stall: stall.map(|(length, every)| Stall { length: length.0, every: every.0 }),
            errors: args.errors,
            lost: args.lost,
            wrong: args.wrong,
            seed: args.seed,
        }
    }
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let failed = |error| AppError::new(format!("cannot serve at {}: {error}", args.listen));
    serve(args.listen, args.into()).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
