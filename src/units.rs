//! Quantities with their units.
//!
//! Foundation layer: knows nothing of benchmarks. Column names that leave Rust carry the unit as a
//! suffix (`_ns`, `_bytes`, `_rps`); inside Rust these types carry it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The span of `seconds`; negative and non-finite values become zero.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and 584 years of nanoseconds fit"
    )]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as u64)
    }

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The span in seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits hold 104 days exactly")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<Duration> for Nanos {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Three significant digits in a suitable unit: `812 ns`, `1.20 ms`, `3.39 s`.
impl fmt::Display for Nanos {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = self.unit();
        let value = self.0 as f64 / size;
        f.pad(&format!("{value:.*} {unit}", decimals(value, size)))
    }
}

impl Nanos {
    /// A suitable unit for a span, with its size in nanoseconds.
    fn unit(self) -> (f64, &'static str) {
        match self.0 {
            0..1_000 => (1.0, "ns"),
            1_000..1_000_000 => (1e3, "µs"),
            1_000_000..1_000_000_000 => (1e6, "ms"),
            _ => (1e9, "s"),
        }
    }

    /// The interval from this span to a longer one, in the unit of the longer one: `8.20–9.60 ms`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub fn up_to(self, high: Self) -> String {
        let (size, unit) = high.unit();
        let [low, high] = [self, high].map(|span| span.0 as f64 / size);
        let digits = decimals(high, size);
        format!("{low:.digits$}–{high:.digits$} {unit}")
    }
}

/// The number of decimals that gives three significant digits. `unit` is in nanoseconds.
fn decimals(value: f64, unit: f64) -> usize {
    match value {
        _ if unit <= 1.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    }
}

/// A rate in requests per second, in whole thousandths from [`Rps::MIN`] to [`Rps::MAX`].
///
/// As a JSON or TOML number it is an integer when it is whole, so that the canonical bytes of whole
/// rates do not depend on this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rps {
    milli: u64,
}

impl Rps {
    /// The lowest rate, 0.1/s.
    pub const MIN: Self = Self { milli: 100 };
    /// The highest rate, ten million a second.
    pub const MAX: Self = Self { milli: 10_000_000_000 };

    /// The rate in thousandths of a request per second, clamped to the allowed range.
    #[must_use]
    pub fn from_milli(milli: u64) -> Self {
        Self { milli: milli.clamp(Self::MIN.milli, Self::MAX.milli) }
    }

    /// A rate in whole requests per second, clamped to the allowed range.
    #[must_use]
    pub fn whole(rate: u32) -> Self {
        Self::from_milli(u64::from(rate) * 1000)
    }

    /// In thousandths of a request per second.
    #[must_use]
    pub fn milli(self) -> u64 {
        self.milli
    }

    /// The whole number of requests per second; `None` for a fraction.
    #[must_use]
    pub fn as_whole(self) -> Option<u64> {
        self.milli.is_multiple_of(1000).then_some(self.milli / 1000)
    }

    /// The nearest `f64`, which prints as the same decimal text.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 10^10")]
    pub fn as_f64(self) -> f64 {
        self.milli as f64 / 1000.0
    }

    /// The planned moment of the request with this index, counted from the start of the schedule.
    #[must_use]
    pub fn planned_at(self, index: u64) -> Nanos {
        let nanos = u128::from(index) * NANOS_IN_1000_SECONDS / u128::from(self.milli);
        Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The number of requests that are planned before the end of a load of this length.
    #[must_use]
    pub fn offered(self, duration: Duration) -> u64 {
        let requests =
            (duration.as_nanos() * u128::from(self.milli)).div_ceil(NANOS_IN_1000_SECONDS);
        u64::try_from(requests).unwrap_or(u64::MAX)
    }

    /// The index of the last request that is planned at or before a moment.
    #[must_use]
    pub fn place_at(self, moment: Nanos) -> u64 {
        let place = u128::from(moment.0) * u128::from(self.milli) / NANOS_IN_1000_SECONDS;
        u64::try_from(place).unwrap_or(u64::MAX)
    }

    /// The shortest duration, in whole seconds, in which at least so many requests are offered.
    #[must_use]
    pub fn seconds_for(self, requests: u64) -> Duration {
        let seconds = (u128::from(requests) * 1000).div_ceil(u128::from(self.milli));
        Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
    }
}

/// Nanoseconds, and a rate in thousandths, multiply to requests times this.
const NANOS_IN_1000_SECONDS: u128 = 1_000_000_000_000;

/// `0.5`, `1000`.
impl fmt::Display for Rps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self.as_whole() {
            Some(whole) => whole.to_string(),
            None => self.as_f64().to_string(),
        })
    }
}

/// Reads `0.5`, `1000`, `1_000`, `2.5k`, `1M` and `1e3`.
impl FromStr for Rps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = format!(
            "expected requests per second from {} to {}, such as `0.5`, `1000`, `1_000`, `2.5k` or `1e3`",
            Self::MIN,
            Self::MAX
        );
        let shown = text.escape_debug();
        let (number, unit) = match text.trim() {
            number if number.ends_with(['k', 'K']) => (&number[..number.len() - 1], 1e6),
            number if number.ends_with('M') => (&number[..number.len() - 1], 1e9),
            number => (number, 1e3),
        };
        // `f64` also parses `inf` and `nan`.
        let is_number = |c: char| c.is_ascii_digit() || "._eE+-".contains(c);
        let milli = number.replace('_', "").parse::<f64>().map(|number| number * unit);
        let milli = milli.ok().filter(|_| number.chars().all(is_number));
        let milli = milli.ok_or_else(|| format!("`{shown}` is not a rate: {form}"))?;
        #[expect(clippy::cast_precision_loss, reason = "at most 10^10")]
        let allowed = Self::MIN.milli as f64..=Self::MAX.milli as f64;
        if !allowed.contains(&milli) {
            return Err(format!("`{shown}` is out of range: {form}"));
        }
        // Decimal fractions are not exact: 1.005 times 1000 is 1004.9999999999999.
        if (milli - milli.round()).abs() > MAX_DECIMAL_ERROR {
            return Err(format!("`{shown}` has more than three decimals: {form}"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 100 to 10^10"
        )]
        Ok(Self { milli: milli.round() as u64 })
    }
}

/// The largest rounding error of a decimal fraction, in thousandths.
const MAX_DECIMAL_ERROR: f64 = 1e-5;

impl From<Rps> for f64 {
    fn from(rate: Rps) -> Self {
        rate.as_f64()
    }
}

impl TryFrom<f64> for Rps {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, Self::Error> {
        rate.to_string().parse()
    }
}

impl Serialize for Rps {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_whole() {
            Some(whole) => serializer.serialize_u64(whole),
            None => serializer.serialize_f64(self.as_f64()),
        }
    }
}

impl<'de> Deserialize<'de> for Rps {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// A duration as it is written in a spec or a flag: `20s`, `1m 30s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl HumanDuration {
    /// Reads a duration and checks its range.
    ///
    /// # Errors
    /// A message with the allowed range and an accepted example.
    pub fn within(text: &str, allowed: &RangeInclusive<Duration>) -> Result<Self, String> {
        let seconds = text.trim().parse().map(Duration::from_secs).ok();
        let examples = [seconds, Some(Duration::from_secs(5))].into_iter().flatten();
        let example = examples.into_iter().find(|one| allowed.contains(one));
        let form = format!(
            "expected a duration from {} to {}, such as `{}`",
            Self(*allowed.start()),
            Self(*allowed.end()),
            Self(example.unwrap_or(*allowed.start()))
        );
        let shown = text.escape_debug();
        let duration = humantime::parse_duration(text)
            .map_err(|_| format!("`{shown}` is not a duration: {form}"))?;
        match allowed.contains(&duration) {
            true => Ok(Self(duration)),
            false => Err(format!("`{shown}` is out of range: {form}")),
        }
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            format!(
                "`{}` is not a duration: expected a number with its unit, such as `20s`, `1m 30s` or `500ms`",
                text.escape_debug()
            )
        })
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A share as a percentage without its unit, with at most three decimals and no trailing zeros.
#[must_use]
pub fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A set of logical CPUs, written as Linux does: `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// How many CPUs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Whether the two sets share no CPU.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, end)) if *end + 1 == cpu => *end = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let text: Vec<String> = ranges
            .iter()
            .map(|(start, end)| match start == end {
                true => start.to_string(),
                false => format!("{start}-{end}"),
            })
            .collect();
        f.pad(&text.join(","))
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is not a CPU list: expected numbers and ranges, such as `0-3,8`");
        let mut cpus = BTreeSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (start, end) = part.split_once('-').unwrap_or((part, part));
            let start: usize = start.trim().parse().map_err(|_| wrong())?;
            let end: usize = end.trim().parse().map_err(|_| wrong())?;
            if end < start || end > MAX_CPUS {
                return Err(wrong());
            }
            cpus.extend(start..=end);
        }
        Ok(Self(cpus))
    }
}

/// Above the maximum of Linux (`NR_CPUS` is at most 8,192). It bounds the memory that an invalid list can
/// take.
const MAX_CPUS: usize = 65_535;

impl Serialize for CpuSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_interval_has_one_unit() {
        let text = |low, high| Nanos(low).up_to(Nanos(high));
        assert_eq!(text(8_200_000, 9_600_000), "8.20–9.60 ms");
        assert_eq!(text(812_000, 1_200_000), "0.81–1.20 ms");
        assert_eq!(text(9_600_000, 10_200_000), "9.6–10.2 ms");
        assert_eq!(text(7, 812), "7–812 ns");
    }

    #[test]
    fn spans_read_as_people_say_them() {
        let said: Vec<String> = [7, 812, 1_200, 45_600, 1_204_000, 3_390_000_000]
            .map(|ns| Nanos(ns).to_string())
            .into();
        assert_eq!(said, ["7 ns", "812 ns", "1.20 µs", "45.6 µs", "1.20 ms", "3.39 s"]);
    }

    #[test]
    fn a_percentage_has_no_digits_that_nobody_wrote() {
        let shares = [0.0, 0.0015, 0.01, 0.05, 0.07, 0.14, 0.55, 1.0 - 0.9, 1.0, 10.0];
        let expected = ["0", "0.15", "1", "5", "7", "14", "55", "10", "100", "1000"];
        assert_eq!(shares.map(percent), expected);
    }

    #[test]
    fn a_duration_without_a_unit_is_refused_with_an_example_that_is_accepted() {
        let error = "20".parse::<HumanDuration>().unwrap_err();
        assert!(error.contains("such as `20s`"), "{error}");
        let range = |from, to| Duration::from_secs(from)..=Duration::from_secs(to);
        for (text, allowed) in [
            ("5", range(1, 3600)),
            ("0", range(1, 3600)),
            ("500ms", range(1, 3600)),
            ("2h", range(1, 3600)),
            ("x", range(60, 3600)),
            ("99999999999999999999", range(0, 3600)),
        ] {
            let error = HumanDuration::within(text, &allowed).unwrap_err();
            let example = error.split('`').rev().nth(1).unwrap();
            assert!(HumanDuration::within(example, &allowed).is_ok(), "{error}");
        }
        let error = HumanDuration::within("5", &range(1, 3600)).unwrap_err();
        let expected = "`5` is not a duration: expected a duration from 1s to 1h, such as `5s`";
        assert_eq!(error, expected);
    }

    #[test]
    fn rates_are_read_in_every_form_and_written_in_one() {
        for (text, milli, written) in [
            ("0.1", 100, "0.1"),
            ("0.5", 500, "0.5"),
            ("1.005", 1005, "1.005"),
            ("1", 1000, "1"),
            ("1.0", 1000, "1"),
            ("1_000", 1_000_000, "1000"),
            ("1k", 1_000_000, "1000"),
            ("2.5k", 2_500_000, "2500"),
            ("1e3", 1_000_000, "1000"),
            ("5e-1", 500, "0.5"),
            ("1M", 1_000_000_000, "1000000"),
            ("10000000", 10_000_000_000, "10000000"),
        ] {
            let rate: Rps = text.parse().unwrap();
            assert_eq!((rate.milli(), rate.to_string().as_str()), (milli, written), "{text}");
            let json = serde_json::to_string(&rate).unwrap();
            assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), (written, rate));
        }
    }

    #[test]
    fn a_rate_is_refused_with_the_form_and_the_range() {
        let refused = [
            ("", "is not a rate"),
            ("k", "is not a rate"),
            ("_", "is not a rate"),
            ("inf", "is not a rate"),
            ("nan", "is not a rate"),
            ("1/s", "is not a rate"),
            ("1kk", "is not a rate"),
            ("0", "is out of range"),
            ("-1", "is out of range"),
            ("0.09", "is out of range"),
            ("10000001", "is out of range"),
            ("1e400", "is out of range"),
            ("0.3333", "has more than three decimals"),
        ];
        let form = "expected requests per second from 0.1 to 10000000, such as `0.5`, `1000`, `1_000`, `2.5k` or `1e3`";
        for (text, wrong) in refused {
            let error = text.parse::<Rps>().unwrap_err();
            assert_eq!(error, format!("`{text}` {wrong}: {form}"));
        }
    }

    #[test]
    fn a_rate_plans_its_requests_at_equal_distances() {
        let rate: Rps = "0.5".parse().unwrap();
        let times: Vec<u64> = (0..3).map(|index| rate.planned_at(index).0).collect();
        assert_eq!(times, [0, 2_000_000_000, 4_000_000_000]);
        assert_eq!([3, 4, 5].map(|s| rate.offered(Duration::from_secs(s))), [2, 2, 3]);
        assert_eq!(rate.place_at(Nanos(3_999_999_999)), 1);
        assert_eq!(rate.place_at(Nanos(4_000_000_000)), 2);
        assert_eq!(Rps::MIN.seconds_for(1), Duration::from_secs(10));
        assert_eq!(Rps::whole(300).seconds_for(1000), Duration::from_secs(4));
        // Whole rates are planned as they were before there were others.
        assert_eq!(Rps::whole(3).planned_at(2), Nanos(666_666_666));
        assert_eq!(Rps::whole(1000).offered(Duration::from_millis(2500)), 2500);
    }

    #[test]
    fn a_backward_or_huge_cpu_range_is_refused() {
        for text in ["3-1", "0-99999999999", "a", "1-", "-1"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rates_survive_a_round_trip(milli in 100_u64..=10_000_000_000) {
            let rate = Rps::from_milli(milli);
            prop_assert_eq!(rate.to_string().parse::<Rps>().unwrap(), rate);
            prop_assert_eq!(Rps::try_from(rate.as_f64()).unwrap(), rate);
            let json = serde_json::to_string(&rate).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rps>(&json).unwrap(), rate);
        }

        #[test]
        fn cpu_lists_survive_a_round_trip(cpus in proptest::collection::btree_set(0_usize..512, 0..40)) {
            let set: CpuSet = cpus.into_iter().collect();
            prop_assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        }
    }
}
