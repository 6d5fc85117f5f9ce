//! What a person wants to see at once: in the browser.

use std::path::Path;

use super::output::note;
use crate::model::with_causes;
use crate::process::start_detached;

/// The program that opens an address or a file as its person chose.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Opens an address or a file in the browser. Where nothing opens it, that is told and no more.
pub(super) fn open_in_browser(target: &str) {
    if let Err(error) = start_detached(Path::new(OPENER), target) {
        note(&format!("{target} is not opened: {}", with_causes(&error)));
    }
}
