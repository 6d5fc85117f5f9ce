//! A dataset as JSON, for programs.

use serde_json::{Value, json};

use super::Report;
use super::summary::headline;

/// The version of the form.
const VERSION: u32 = 1;

/// What a dataset shows, as docs/report.schema.json describes it.
///
/// # Errors
/// When a figure is none that JSON can hold.
pub fn report_json(report: &Report) -> Result<String, serde_json::Error> {
    let manifest = &report.manifest;
    let mut value = serde_json::to_value(&report.analysis)?;
    let about: [(&str, Value); 12] = [
        ("version", json!(VERSION)),
        ("dataset", json!(report.dataset.to_string())),
        ("is_verified", json!(report.is_verified)),
        ("answer", json!(headline(report))),
        ("started", json!(manifest.started.to_string())),
        ("experiment", json!(manifest.experiment)),
        ("bundle", json!(manifest.bundle.id)),
        ("host", json!(manifest.host)),
        ("launcher", json!(manifest.launcher)),
        ("load_driver", json!(manifest.load_driver)),
        ("capacities", json!(manifest.capacities)),
        ("trials", json!(report.trials)),
    ];
    for (name, of) in about {
        value[name] = of;
    }
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}
