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
        (
            "component",
            identities(&before.bundle, &after.bundle),
            identities(&after.bundle, &after.bundle),
        ),
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

/// What each component of a bundle is, and whether it can be had. One that is the same as in `current`, as far
/// as both were recorded, has the identity that it has there.
fn identities(bundle: &PinnedBundle, current: &PinnedBundle) -> BTreeMap<String, String> {
    let components = bundle.components.iter();
    let identity = |component: &PinnedComponent| match &component.unavailable {
        None => {
            let mut others = current.components.iter();
            let same = others.find(|one| one.name == component.name && one.is_same(component));
            format!("identity {}", same.unwrap_or(component).identity.short())
        }
        Some(unavailable) => unavailable.reason.clone(),
    };
    components.map(|component| (component.name.to_string(), identity(component))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_the_same_where_only_the_record_of_installed_files_is_new() {
        let bundle = |facts: &[(&str, &str)], digit: &str| -> PinnedBundle {
            let facts: BTreeMap<&str, &str> = facts.iter().copied().collect();
            let component = serde_json::json!({
                "name": "app", "kind": "app", "title": "", "version": null, "unavailable": null,
                "identity": digit.repeat(64), "facts": facts,
            });
            let bundle = serde_json::json!({
                "id": digit.repeat(64), "provider": "make", "components": [component],
            });
            serde_json::from_value(bundle).unwrap()
        };
        let before = bundle(&[("program", "1")], "a");
        let after = bundle(&[("program", "1"), ("installed", "nothing")], "b");
        let replaced = bundle(&[("program", "1"), ("installed .venv", "2")], "c");
        assert_eq!(identities(&before, &after), identities(&after, &after));
        assert_ne!(identities(&after, &replaced), identities(&replaced, &replaced));
    }
}
