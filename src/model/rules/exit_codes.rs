//! Exit codes.

/// How the program ends: the number that a script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// Wrong input, or a system that refuses.
    Error = 1,
    /// Arguments that are not understood.
    Usage = 2,
    /// At least one trial failed.
    TrialsFailed = 3,
    /// A verdict that `--fail-on` names.
    FailOn = 4,
    /// A dataset is not what its hashes say.
    Corrupt = 5,
    /// A file of a dataset is not there.
    Missing = 6,
    /// A dataset cannot be read.
    Unreadable = 7,
    /// A dataset was written by a newer version.
    TooNew = 8,
    /// A defect of this program.
    Defect = 70,
    /// A signal ended the command.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in ascending order.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Error,
        Self::Usage,
        Self::TrialsFailed,
        Self::FailOn,
        Self::Corrupt,
        Self::Missing,
        Self::Unreadable,
        Self::TooNew,
        Self::Defect,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// When the program ends so, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "wrong input, or the system refused",
            Self::Usage => "an unknown command, option or value",
            Self::TrialsFailed => "at least one trial failed, or, with --strict, is not ranked",
            Self::FailOn => "a comparison has a verdict that --fail-on names",
            Self::Corrupt => "a dataset differs from its hashes",
            Self::Missing => "a file of a dataset is missing",
            Self::Unreadable => "a dataset cannot be read",
            Self::TooNew => "a dataset was written by a newer version",
            Self::Defect => "a defect of this program",
            Self::Interrupted => "interrupted by a signal, such as Ctrl-C",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_its_table_once() {
        assert!(Exit::ALL.is_sorted(), "in the order of declaration");
    }
}
