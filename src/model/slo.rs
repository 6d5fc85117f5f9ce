//! The limits that a load has to keep, such as `p99<50ms,errors<0.1%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{QUANTILES, Quantile};
use crate::units::{HumanDuration, Nanos};

/// Limits that hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slo {
    /// As it was given.
    text: String,
    /// Each of them.
    pub limits: Vec<Limit>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A latency figure is below a time.
    Latency {
        /// The figure, as [`QUANTILES`] names it.
        figure: &'static str,
        /// The time.
        below: Nanos,
    },
    /// The share of failed requests is below so many in a million.
    Errors {
        /// How many.
        below_ppm: u64,
    },
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let limits = text.split(',').map(limit).collect::<Result<_, _>>();
        let limits = limits
            .map_err(|wrong| format!("`{}`: {wrong}: expected {}", text.escape_debug(), form()))?;
        Ok(Self { text: text.to_owned(), limits })
    }
}

/// What limits look like, and what may be limited.
fn form() -> String {
    let figures: Vec<String> = QUANTILES.iter().map(Quantile::label).collect();
    format!(
        "limits separated by commas, such as `p99<50ms,errors<0.1%`, each of them one of {} below a latency or errors below a share from 0.0001% to 100%",
        figures.join(", ")
    )
}

fn limit(text: &str) -> Result<Limit, String> {
    let shown = text.trim().escape_debug();
    let (figure, below) = text.split_once('<').ok_or_else(|| format!("`{shown}` has no `<`"))?;
    let (figure, below) = (figure.trim(), below.trim());
    if below.starts_with('=') {
        return Err(format!("`{shown}` has a `<=`, and a limit is written with `<`"));
    }
    if figure == "errors" {
        let share = below.strip_suffix('%').and_then(|share| share.trim().parse::<f64>().ok());
        // A share is kept in parts per million.
        let share = share.filter(|share| (0.0001..=100.0).contains(share));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        return share
            .map(|share| Limit::Errors { below_ppm: (share * 10_000.0).round() as u64 })
            .ok_or_else(|| {
                format!("`{}` is not a share above zero with its `%`", below.escape_debug())
            });
    }
    let named = figure.replace('.', "_");
    let known = QUANTILES.iter().map(|one| one.name).find(|name| *name == named);
    let figure = known.ok_or_else(|| format!("`{}` cannot be limited", figure.escape_debug()))?;
    let latency: Option<HumanDuration> = below.parse().ok();
    let latency = latency.filter(|latency| !latency.0.is_zero()).ok_or_else(|| {
        format!("`{}` is not a latency above zero with its unit", below.escape_debug())
    })?;
    Ok(Limit::Latency { figure, below: latency.0.into() })
}

impl Serialize for Slo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Slo {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_parsed_and_wrong_ones_are_refused() {
        let slo: Slo = "p99<50ms, p99.9 < 1s,errors<0.1%".parse().unwrap();
        let latency = |figure, below| Limit::Latency { figure, below: Nanos(below) };
        let wanted = [
            latency("p99", 50_000_000),
            latency("p99_9", 1_000_000_000),
            Limit::Errors { below_ppm: 1000 },
        ];
        assert_eq!(slo.limits, wanted);
        let wrong = [
            "",
            "p99",
            "p98<1s",
            "p99<50",
            "p99<0s",
            "p99<=50ms",
            "p99>50ms",
            "errors<2",
            "errors<200%",
            "errors<0%",
            "p99<1s,errors<=0.1%",
        ];
        let errors = wrong.map(|text| text.parse::<Slo>().unwrap_err());
        insta::assert_snapshot!(errors.join("\n"));
    }
}
