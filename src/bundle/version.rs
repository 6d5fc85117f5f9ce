//! The version that a program reports in the environment of a run: a name on `PATH` can be a shim that
//! selects a version by environment and folder.

use std::collections::BTreeMap;
use std::io;

use crate::model::{Component, ProcessTemplate, fill};
use crate::process;

/// The version that a program reports.
pub(super) fn reported(template: &ProcessTemplate) -> io::Result<String> {
    let filled = |text: &String| fill(text, |name| Some(sample(name).to_owned()));
    let env = template.env.iter().map(|(name, text)| Ok((name.clone(), filled(text)?)));
    let env = env.collect::<Result<BTreeMap<_, _>, String>>().map_err(io::Error::other)?;
    let args = template.version.as_deref().unwrap_or_default();
    process::first_line(&template.program, args, &env, &template.dir)
}

/// Checks that a component's program reports the pinned version.
pub(super) fn check(component: &Component) -> Result<(), String> {
    let process = component.process.as_ref().filter(|process| process.version.is_some());
    let (Some(process), Some(pinned)) = (process, &component.version) else { return Ok(()) };
    match reported(process) {
        Ok(found) if found == *pinned => Ok(()),
        Ok(found) => Err(format!(
            "its version in the environment of a run is `{found}`: expected `{pinned}`"
        )),
        Err(error) => Err(format!("it does not report its version: {error}")),
    }
}

/// A sample value for a placeholder.
fn sample(placeholder: &str) -> &'static str {
    match placeholder {
        "host" | "store_host" => "127.0.0.1",
        _ => "1",
    }
}
