//! What is not the same when an interrupted run goes on.

use std::collections::{BTreeMap, BTreeSet};

use super::{RunRequest, header};
use crate::store::{Difference, Header, PinnedBundle, PinnedComponent};

/// What is not the same now as when a run began: program, spec, order, components, and host.
#[must_use]
pub fn differences(before: &Header, request: &RunRequest<'_>) -> Vec<Difference> {
    let after = header(request);
    let mut differences = Vec::new();
    let mut compare = |what: String, before: &str, after: &str| {
        if before != after {
            let (before, after) = (before.to_owned(), after.to_owned());
            differences.push(Difference { what, before, after });
        }
    };
    compare("program".to_owned(), &before.writer, &after.writer);
    compare("launcher".to_owned(), &before.launcher, &after.launcher);
    compare("load driver".to_owned(), &before.load_driver, &after.load_driver);
    compare("order".to_owned(), &json(&before.order), &json(&after.order));
    for (what, before, after) in [
        ("spec", fields(&before.experiment), fields(&after.experiment)),
        ("host", fields(&before.host), fields(&after.host)),
        ("component", identities(&before.bundle), identities(&after.bundle)),
    ] {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let value = |of: &BTreeMap<String, String>| {
                of.get(name).cloned().unwrap_or_else(|| "none".to_owned())
            };
            compare(format!("{what}: {name}"), &value(&before), &value(&after));
        }
    }
    differences
}

fn json(data: &impl serde::Serialize) -> String {
    serde_json::to_string(data).expect("it is plain data")
}

/// The fields of plain data as text.
fn fields(data: &impl serde::Serialize) -> BTreeMap<String, String> {
    let value = serde_json::to_value(data).expect("it is plain data");
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

/// What each component of a bundle is, and whether it can be had.
fn identities(bundle: &PinnedBundle) -> BTreeMap<String, String> {
    let components = bundle.components.iter();
    let identity = |component: &PinnedComponent| match &component.unavailable {
        None => format!("identity {}", component.identity.short()),
        Some(unavailable) => unavailable.reason.clone(),
    };
    components.map(|component| (component.name.to_string(), identity(component))).collect()
}
