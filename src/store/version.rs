//! The version of the dataset format.

/// The version of the tables and the manifest that is written, and the newest that is read.
pub const SCHEMA_VERSION: u32 = 5;
