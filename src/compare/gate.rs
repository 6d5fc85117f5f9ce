//! Differences between two datasets apart from the figures, and whether they were intended.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Side;
use crate::model::{Fingerprint, Flag, Order, joined};
use crate::store::{Manifest, PinnedComponent};

/// Whether a difference was intended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// It may explain a change and was not intended.
    Suspicious,
    /// It is what is compared.
    Expected,
    /// It affects no figure.
    Harmless,
}

impl Class {
    /// The name of the class.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspicious => "suspicious",
            Self::Expected => "expected",
            Self::Harmless => "harmless",
        }
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// Whether it was intended.
    pub class: Class,
    /// What it is, such as `host: kernel`.
    pub what: String,
    /// What it is before.
    pub before: String,
    /// What it is after.
    pub after: String,
}

/// Whether nothing suspicious was noted.
#[must_use]
pub fn is_comparable(noted: &[Noted]) -> bool {
    noted.iter().all(|one| one.class != Class::Suspicious)
}

/// Whether two hosts are of one class: the same processor, as many CPUs, about as much memory.
#[must_use]
pub fn same_host_class(one: &Fingerprint, other: &Fingerprint) -> bool {
    host_class(one) == host_class(other)
}

/// All differences, the suspicious first.
#[must_use]
pub fn noted(before: &Side, after: &Side) -> Vec<Noted> {
    let mut noted = Vec::new();
    let (one, other) = (&before.manifest, &after.manifest);
    for (class, before, after) in [
        (Class::Suspicious, how(before), how(after)),
        (Class::Harmless, details(one), details(other)),
        (Class::Suspicious, host_class(&one.host), host_class(&other.host)),
        (Class::Suspicious, system(one), system(other)),
        (Class::Expected, differing(one, other), components(other)),
        (Class::Suspicious, self_reports(one, other, true), self_reports(other, one, true)),
        (Class::Expected, self_reports(one, other, false), self_reports(other, one, false)),
    ] {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let value = |of: &BTreeMap<String, String>| {
                of.get(name).cloned().unwrap_or_else(|| "none".to_owned())
            };
            let (before, after) = (value(&before), value(&after));
            if before != after {
                noted.push(Noted { class, what: name.clone(), before, after });
            }
        }
    }
    noted.sort_by_key(|one| one.class);
    noted
}

/// Whether an app and a store are the same on both sides: the stack can then have changed only by chance,
/// or with the host.
pub(super) fn unchanged(before: &Manifest, after: &Manifest, names: [&str; 2]) -> bool {
    let (before, after) = (differing(before, after), components(after));
    names.iter().all(|name| {
        let name = format!("component: {name}");
        before.get(&name) == after.get(&name)
    })
}

type Fields = BTreeMap<String, String>;

fn fields<const N: usize>(fields: [(&str, String); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The method of measurement.
fn how(side: &Side) -> Fields {
    let manifest = &side.manifest;
    let experiment = &manifest.experiment;
    let always = [Flag::CpusShared, Flag::PathPublished];
    let flags = always.into_iter().filter(|flag| {
        let carry = side.samples.iter().filter(|sample| sample.flags.contains(flag)).count();
        carry * 2 > side.samples.len()
    });
    let differences = manifest.accepted_differences.iter();
    let differences = differences.map(|one| format!("{} {} → {}", one.what, one.before, one.after));
    fields([
        ("spec: apps", joined(&experiment.apps, ", ")),
        ("spec: stores", joined(&experiment.stores, ", ")),
        ("spec: workers", joined(&experiment.workers, ", ")),
        ("spec: connections", joined(&experiment.concurrency, ", ")),
        ("spec: target rates", joined(&experiment.qps, ", ")),
        ("spec: duration", experiment.duration.to_string()),
        ("spec: warm-up", experiment.warm_up.to_string()),
        ("spec: profile", experiment.profile.as_str().to_owned()),
        ("spec: arrivals", experiment.arrivals.as_str().to_owned()),
        ("order", order(manifest.order).to_owned()),
        ("launcher", manifest.launcher.clone()),
        ("loader", manifest.load_driver.clone()),
        ("program", manifest.writer.clone()),
        ("schema", manifest.schema_version.to_string()),
        ("bundle: made by", manifest.bundle.provider.clone()),
        ("flags of most trials", flags.map(Flag::as_str).collect::<Vec<_>>().join(", ")),
        ("accepted after an interruption", differences.collect::<Vec<_>>().join("; ")),
    ])
}

fn order(order: Order) -> &'static str {
    match order {
        Order::RandomisedBlocks => "randomised blocks",
        Order::Blocked => "blocks in the order of the spec",
        Order::Sequential => "sequential",
        Order::Search => "a search",
    }
}

/// What changes only the amount of evidence.
fn details(manifest: &Manifest) -> Fields {
    let experiment = &manifest.experiment;
    fields([
        ("spec: name", experiment.name.clone()),
        ("spec: repetitions", experiment.repetitions.to_string()),
        ("spec: retries", experiment.retries.to_string()),
        ("spec: seed", experiment.seed.to_string()),
    ])
}

/// What defines a class of hosts. Clock rates are left out, in the name of the processor as well: the
/// same processor reports 10678 and 10681 MHz.
fn host_class(host: &Fingerprint) -> Fields {
    let is_unit = |word: &str| ["mhz", "ghz"].contains(&word.to_ascii_lowercase().as_str());
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    // `@ 2.60GHz` and `10678 MHz` alike.
    let spaced = host.cpu_model.replace('@', " ").replace("GHz", " GHz").replace("MHz", " MHz");
    let parts: Vec<&str> = spaced.split_whitespace().collect();
    let is_rate = |place: usize| {
        let has_unit = parts.get(place + 1).is_some_and(|next| is_unit(next));
        is_unit(parts[place]) || is_number(parts[place]) && has_unit
    };
    let kept = (0..parts.len()).filter(|place| !is_rate(*place));
    let model: Vec<&str> = kept.map(|place| parts[place]).collect();
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let gibibytes = (host.memory_bytes as f64 / f64::from(1_u32 << 30)).round();
    fields([
        ("host: CPU", model.join(" ")),
        ("host: CPUs", host.cpus.to_string()),
        ("host: cores", host.cores.to_string()),
        ("host: memory", format!("{gibibytes} GiB")),
        ("host: architecture", host.arch.clone()),
    ])
}

/// The host's system and settings. Its load at the start is not a setting: disturbed trials have their
/// own flags.
fn system(manifest: &Manifest) -> Fields {
    let mut fields = fields([
        ("host: system", manifest.host.os.clone()),
        ("host: kernel", manifest.host.kernel.clone()),
    ]);
    let is_engine = |name: &str| name == "docker" && manifest.launcher == "docker";
    let settings = manifest
        .checks
        .iter()
        .filter(|check| SETTINGS.contains(&check.name.as_str()) || is_engine(&check.name));
    fields.extend(settings.map(|check| {
        (format!("host: {}", check.name), format!("{} ({})", check.found, check.state.as_str()))
    }));
    fields
}

/// Checks of the host's settings. The other checks describe the moment.
const SETTINGS: [&str; 10] = [
    "smt",
    "cpu limit",
    "governor",
    "turbo",
    "idle states",
    "huge pages",
    "aslr",
    "virtualisation",
    "clock source",
    "mitigations",
];

/// The components that were measured.
fn used(manifest: &Manifest) -> impl Iterator<Item = &PinnedComponent> {
    let experiment = &manifest.experiment;
    let is_used = |one: &&PinnedComponent| {
        experiment.apps.contains(&one.name) || experiment.stores.contains(&one.name)
    };
    manifest.bundle.components.iter().filter(is_used)
}

/// The version and identity of each component that was measured.
fn components(manifest: &Manifest) -> Fields {
    used(manifest).map(|one| (format!("component: {}", one.name), one.label())).collect()
}

/// The same, with the label of the other dataset for components that are the same there as far as both
/// were recorded.
fn differing(manifest: &Manifest, other: &Manifest) -> Fields {
    let label = |one: &PinnedComponent| {
        let same = used(other).find(|there| there.name == one.name && there.is_same(one));
        (format!("component: {}", one.name), same.unwrap_or(one).label())
    };
    used(manifest).map(label).collect()
}

/// What components reported at run time: either those that are the same on both sides, or the others. The
/// same program may report something else on another host, such as the kernel's interface for I/O. Only
/// fields that both sides have are compared.
fn self_reports(manifest: &Manifest, other: &Manifest, are_same: bool) -> Fields {
    let mut fields = Fields::new();
    for one in used(manifest) {
        let there = used(other).find(|there| there.name == one.name);
        if there.is_none_or(|there| there.is_same(one) != are_same) {
            continue;
        }
        let [own, theirs] = [manifest, other].map(|manifest| reported(manifest, one.name.as_str()));
        for (field, values) in own.into_iter().filter(|(field, _)| theirs.contains_key(field)) {
            let values: Vec<&str> = values.into_iter().collect();
            fields.insert(format!("component: {} reports {field}", one.name), values.join(", "));
        }
    }
    fields
}

/// The values of each field of a component's reports.
fn reported<'a>(manifest: &'a Manifest, name: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let reports = manifest.reports.get(name).into_iter().flatten().flatten();
    // How many workers there are is a factor.
    for (field, value) in reports.filter(|(field, _)| *field != "workers") {
        values.entry(field).or_default().insert(value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cpu_model: &str, cpus: u32, memory_bytes: u64) -> Fingerprint {
        Fingerprint {
            cpu_model: cpu_model.to_owned(),
            cpus,
            cores: cpus,
            memory_bytes,
            os: "Debian".to_owned(),
            kernel: "6.1".to_owned(),
            arch: "x86_64".to_owned(),
        }
    }

    /// A side of the oldest dataset that there is.
    fn old_side() -> Side {
        let manifest = include_bytes!(
            "../../tests/fixtures/version-1/32eee67ad1bba445f1618e608548e34f7b23134fb9cc54b19555e9f0c2c17cc6/manifest.json"
        );
        let dataset = Manifest::id_of(manifest);
        Side { dataset, manifest: serde_json::from_slice(manifest).unwrap(), samples: vec![] }
    }

    /// The component of the app that was measured.
    fn app(side: &mut Side) -> &mut PinnedComponent {
        let name = side.manifest.experiment.apps[0].clone();
        side.manifest.bundle.components.iter_mut().find(|one| one.name == name).unwrap()
    }

    #[test]
    fn a_component_whose_installed_files_were_not_recorded_before_is_the_same() {
        let before = old_side();
        let mut after = old_side();
        let fact = |value: &str| ("installed .venv".to_owned(), value.to_owned());
        let identity = |digit: &str| serde_json::from_value(digit.repeat(64).into()).unwrap();
        app(&mut after).facts.extend([fact("a")]);
        app(&mut after).identity = identity("a");
        assert_eq!(noted(&before, &after), []);
        assert_eq!(noted(&after, &before), []);
        let name = after.manifest.experiment.apps[0].to_string();
        let store = after.manifest.experiment.stores[0].to_string();
        assert!(unchanged(&before.manifest, &after.manifest, [&name, &store]));

        let mut other = old_side();
        app(&mut other).facts.extend([fact("b")]);
        app(&mut other).identity = identity("b");
        let found = noted(&after, &other);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].class, &*found[0].what),
            (Class::Expected, &*format!("component: {name}"))
        );
        assert!(!unchanged(&after.manifest, &other.manifest, [&name, &store]));
    }

    #[test]
    fn the_same_component_that_reports_something_else_is_suspicious() {
        let report = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            vec![pairs.collect()]
        };
        let (mut before, mut after) = (old_side(), old_side());
        let name = app(&mut before).name.to_string();
        let what = format!("component: {name} reports multiplexing_api");
        for (side, api, workers) in [(&mut before, "io_uring", "1"), (&mut after, "epoll", "2")] {
            let pairs = [("multiplexing_api", api), ("workers", workers), (api, "only here")];
            side.manifest.reports.insert(name.clone(), report(&pairs));
        }
        let (io_uring, epoll) = ("io_uring".to_owned(), "epoll".to_owned());
        let difference = |class| Noted {
            class,
            what: what.clone(),
            before: io_uring.clone(),
            after: epoll.clone(),
        };
        assert_eq!(noted(&before, &after), [difference(Class::Suspicious)]);
        app(&mut after).facts.insert("program".to_owned(), "other".to_owned());
        app(&mut after).identity = serde_json::from_value("b".repeat(64).into()).unwrap();
        assert!(noted(&before, &after).contains(&difference(Class::Expected)));
    }

    #[test]
    fn a_clock_rate_makes_no_other_host() {
        let gibibyte = 1 << 30;
        let one = host("AMD EPYC 7763 @ 10678 MHz", 4, 16 * gibibyte);
        for alike in [
            host("AMD EPYC 7763 @ 10681 MHz", 4, 16 * gibibyte - 70_000_000),
            host("AMD EPYC 7763  @ 2.60GHz", 4, 16 * gibibyte),
            host("AMD EPYC 7763", 4, 16 * gibibyte),
        ] {
            assert!(same_host_class(&one, &alike), "{}", alike.cpu_model);
        }
        for other in [
            host("AMD EPYC 7713 @ 10678 MHz", 4, 16 * gibibyte),
            host("AMD EPYC 7763 @ 10678 MHz", 2, 16 * gibibyte),
            host("AMD EPYC 7763 @ 10678 MHz", 4, 32 * gibibyte),
        ] {
            assert!(!same_host_class(&one, &other), "{} {}", other.cpu_model, other.cpus);
        }
    }
}
