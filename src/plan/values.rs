//! The values of a spec or a flag, each with its place, and the errors that name it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use toml::Spanned;

use crate::model::{ComponentName, line_at};
use crate::units::{HumanDuration, Rps};

/// A spec file's name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name in error messages.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// An error in a spec: its place, and what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SpecError {
    /// `my.toml:3`, or the flag.
    pub(super) place: String,
    pub(super) message: String,
}

impl Source {
    pub(super) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.name, line_at(&self.text, offset))
    }
}

/// A number of a spec file as text, so that it is checked like a flag's value.
pub(super) struct NumberText(String);

impl fmt::Display for NumberText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NumberText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = NumberText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<NumberText, E> {
        Ok(NumberText(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<NumberText, E> {
        Ok(NumberText(value.to_string()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<NumberText, E> {
        Ok(NumberText(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<NumberText, E> {
        Ok(NumberText(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<NumberText, E> {
        Ok(NumberText(value.to_owned()))
    }
}

/// The values of one factor, each with its place in the spec or its flag.
pub(super) struct List {
    place: String,
    values: Vec<(String, String)>,
}

impl List {
    pub(super) fn from_flag(flag: &str, values: &[String]) -> Self {
        let placed = |value: &String| (value.clone(), flag.to_owned());
        Self { place: flag.to_owned(), values: values.iter().map(placed).collect() }
    }

    pub(super) fn from_spec<T: fmt::Display>(
        source: &Source,
        list: &Spanned<Vec<Spanned<T>>>,
    ) -> Self {
        let placed =
            |value: &Spanned<T>| (value.get_ref().to_string(), source.place(value.span().start));
        Self {
            place: source.place(list.span().start),
            values: list.get_ref().iter().map(placed).collect(),
        }
    }

    pub(super) fn from_spec_value<T: fmt::Display>(source: &Source, value: &Spanned<T>) -> Self {
        let place = source.place(value.span().start);
        Self { values: vec![(value.get_ref().to_string(), place.clone())], place }
    }

    /// Parses each value; at least one, without duplicates.
    pub(super) fn each<V: Ord + Clone>(
        &self,
        read: impl Fn(&str) -> Result<V, String>,
    ) -> Result<Vec<V>, SpecError> {
        let mut seen = BTreeSet::new();
        let mut values = Vec::new();
        for (given, place) in &self.values {
            let wrong = |message| SpecError { place: place.clone(), message };
            let value = read(given).map_err(wrong)?;
            if !seen.insert(value.clone()) {
                return Err(wrong(format!("`{}` is given twice", given.escape_debug())));
            }
            values.push(value);
        }
        if values.is_empty() {
            let message = "the list is empty: give at least one value".to_owned();
            return Err(SpecError { place: self.place.clone(), message });
        }
        Ok(values)
    }

    pub(super) fn single<V: Ord + Clone>(
        &self,
        read: impl Fn(&str) -> Result<V, String>,
    ) -> Result<V, SpecError> {
        let mut values = self.each(read)?;
        Ok(values.remove(0))
    }

    pub(super) fn components(
        &self,
        kind: &str,
        known: &[ComponentName],
    ) -> Result<Vec<ComponentName>, SpecError> {
        self.each(|text| {
            let found = known.iter().find(|name| name.as_str() == text);
            found.cloned().ok_or_else(|| {
                let text = text.escape_debug();
                let names: Vec<&str> = known.iter().map(ComponentName::as_str).collect();
                match names.is_empty() {
                    true => format!("`{text}` is not in the bundle: the bundle has no {kind}"),
                    false => {
                        format!("`{text}` is not one of the bundle's {kind}s: {}", names.join(", "))
                    }
                }
            })
        })
    }

    pub(super) fn duration(
        &self,
        allowed: RangeInclusive<Duration>,
    ) -> Result<HumanDuration, SpecError> {
        self.single(|text| HumanDuration::within(text, &allowed))
    }

    pub(super) fn rates(&self) -> Result<Vec<Rps>, SpecError> {
        self.each(str::parse)
    }

    pub(super) fn counts(&self, allowed: RangeInclusive<u32>) -> Result<Vec<u32>, SpecError> {
        self.each(|text| whole_number(text, &allowed))
    }

    pub(super) fn count(&self, allowed: RangeInclusive<u32>) -> Result<u32, SpecError> {
        self.single(|text| whole_number(text, &allowed))
    }

    pub(super) fn seed(&self) -> Result<u64, SpecError> {
        self.single(|text| whole_number(text, &(0..=MAX_SEED)))
    }
}

/// Parses a whole number; underscores between digits are ignored.
fn whole_number<T>(text: &str, allowed: &RangeInclusive<T>) -> Result<T, String>
where
    T: TryFrom<i128> + PartialOrd + fmt::Display,
{
    let form = format!("expected a whole number from {} to {}", allowed.start(), allowed.end());
    let shown = text.escape_debug();
    let number: i128 = text
        .trim()
        .replace('_', "")
        .parse()
        .map_err(|_| format!("`{shown}` is not a whole number: {form}"))?;
    let number = T::try_from(number).ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("`{shown}` is out of range: {form}"))
}

/// The largest integer that every JSON parser keeps exactly (RFC 8785 writes numbers as doubles).
const MAX_SEED: u64 = (1 << 53) - 1;
