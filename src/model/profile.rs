//! How the rate of a trial moves.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the rate of a trial moves, around the target rate of its case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The target rate from beginning to end. A soak is a long one.
    #[default]
    Constant,
    /// From a tenth of the target rate to the target rate, evenly.
    Ramp,
    /// Five equal steps, from a fifth of the target rate to the target rate.
    Steps,
    /// The target rate, three times as much for a fifth of the time, and the target rate again.
    Spike,
}

/// A part of a profile, in which the rate changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Its length, as a share of the trial's.
    pub length: f64,
    /// The rate at its beginning, as a multiple of the target rate.
    pub from: f64,
    /// The rate at its end.
    pub to: f64,
}

const fn phase(length: f64, from: f64, to: f64) -> Phase {
    Phase { length, from, to }
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Constant, Self::Ramp, Self::Steps, Self::Spike];

    /// Its name in specs and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Ramp => "ramp",
            Self::Steps => "steps",
            Self::Spike => "spike",
        }
    }

    /// Its phases, one after another. Their lengths add up to 1.
    #[must_use]
    pub fn phases(self) -> &'static [Phase] {
        const CONSTANT: [Phase; 1] = [phase(1.0, 1.0, 1.0)];
        const RAMP: [Phase; 1] = [phase(1.0, 0.1, 1.0)];
        const STEPS: [Phase; 5] = [
            phase(0.2, 0.2, 0.2),
            phase(0.2, 0.4, 0.4),
            phase(0.2, 0.6, 0.6),
            phase(0.2, 0.8, 0.8),
            phase(0.2, 1.0, 1.0),
        ];
        const SPIKE: [Phase; 3] =
            [phase(0.4, 1.0, 1.0), phase(0.2, 3.0, 3.0), phase(0.4, 1.0, 1.0)];
        match self {
            Self::Constant => &CONSTANT,
            Self::Ramp => &RAMP,
            Self::Steps => &STEPS,
            Self::Spike => &SPIKE,
        }
    }

    /// Its highest rate, as a multiple of the target rate.
    #[must_use]
    pub fn peak(self) -> f64 {
        self.phases().iter().map(|phase| phase.from.max(phase.to)).fold(0.0, f64::max)
    }

    /// Its mean rate, as a multiple of the target rate.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.phases().iter().map(|phase| phase.length * f64::midpoint(phase.from, phase.to)).sum()
    }

    /// Whether the rate never changes.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        *self == Self::Constant
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("`{}` is not a profile: expected one of {names}", text.escape_debug())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_last_as_long_as_the_trial() {
        for profile in Profile::ALL {
            let lengths: f64 = profile.phases().iter().map(|phase| phase.length).sum();
            assert!((lengths - 1.0).abs() < 1e-9, "{profile:?}");
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        assert_eq!(Profile::ALL.map(|profile| profile.peak()), [1.0, 1.0, 1.0, 3.0]);
        let means = Profile::ALL.map(|profile| (profile.mean() * 100.0).round());
        assert_eq!(means, [100.0, 55.0, 60.0, 140.0]);
    }
}
