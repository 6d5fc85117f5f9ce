//! Comparisons: the default margin, and the error rates of verdicts.

/// The change that matters, as a share, where nobody asked for another.
pub const DEFAULT_MARGIN: f64 = 0.05;
/// The chance of a false alarm that a comparison accepts; intervals have the level 1 − α.
pub const ALPHA: f64 = 0.05;
/// The level of intervals.
pub const CONFIDENCE_LEVEL: f64 = 1.0 - ALPHA;
/// The chance with which the smallest detectable change is detected.
pub const POWER: f64 = 0.8;
