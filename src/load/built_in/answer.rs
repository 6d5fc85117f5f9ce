//! Why a request failed, and the comparison of answers with what was expected.

use super::assignment::Expected;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// There was no connection for it.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection ended before the answer was complete.
    #[error("connection closed before the answer was complete")]
    Closed,
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
    /// What came is not HTTP.
    #[error("invalid HTTP: {0}")]
    Invalid(String),
    /// The answer has another status.
    #[error("status {0}")]
    Status(u16),
    /// The body has another length.
    #[error("wrong length")]
    Length,
    /// The body has the length and other bytes.
    #[error("wrong body")]
    Body,
}

/// How much longer than expected a body is read, so that its connection can be used again.
const MAX_EXCESS_BYTES: u64 = 64 << 10;

/// The comparison of one answer, as its parts arrive.
#[derive(Debug)]
pub(super) struct Check<'load> {
    expected: &'load Expected,
    status: u16,
    length: u64,
    is_same: bool,
}

impl<'load> Check<'load> {
    pub fn new(expected: &'load Expected, status: u16) -> Self {
        Self { expected, status, length: 0, is_same: true }
    }

    /// Takes the next bytes of the body. Returns whether more of it should be read.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        if let Some(body) = &self.expected.body {
            let start = usize::try_from(self.length).unwrap_or(usize::MAX);
            let own = body.get(start..).and_then(|rest| rest.get(..bytes.len()));
            self.is_same &= own == Some(bytes);
        }
        self.length += bytes.len() as u64;
        self.length <= self.expected.length.saturating_add(MAX_EXCESS_BYTES)
    }

    /// Whether the bytes of the body were compared.
    pub fn is_compared(&self) -> bool {
        self.expected.body.is_some() && self.status == self.expected.status
    }

    /// What the whole answer is.
    pub fn finish(&self) -> Result<(), Failure> {
        if self.status != self.expected.status {
            return Err(Failure::Status(self.status));
        }
        if self.length != self.expected.length {
            return Err(Failure::Length);
        }
        if self.is_same { Ok(()) } else { Err(Failure::Body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, parts: &[&[u8]]) -> Result<(), Failure> {
        let body = Some(b"abcdef".to_vec());
        let expected = Expected { status: 200, length: 6, body };
        let mut check = Check::new(&expected, status);
        let is_read = parts.iter().all(|part| check.add(part));
        assert!(is_read);
        check.finish()
    }

    #[test]
    fn an_answer_fails_by_its_first_difference() {
        assert_eq!(answered(200, &[b"abc", b"", b"def"]), Ok(()));
        assert_eq!(answered(503, &[b"abcdef"]), Err(Failure::Status(503)));
        assert_eq!(answered(200, &[b"abcde"]), Err(Failure::Length));
        assert_eq!(answered(200, &[b"abcdef", b"g"]), Err(Failure::Length));
        assert_eq!(answered(200, &[b"abc", b"deF"]), Err(Failure::Body));
        assert_eq!(answered(200, &[]), Err(Failure::Length));
    }

    #[test]
    fn an_endless_body_is_not_read_to_its_end() {
        let expected = Expected { status: 200, length: 6, body: None };
        let mut check = Check::new(&expected, 200);
        let parts = (0..).take_while(|_| check.add(&[0; 4096])).count();
        assert_eq!(parts, 16);
    }
}
