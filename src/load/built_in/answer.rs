//! Why a request failed, and the comparison of answers with what was expected.

use super::assignment::Expected;
use crate::model::WrongAnswer;
use crate::units::Nanos;

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
    /// The handshake failed, or what came after it is not TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// What came is not HTTP.
    #[error("invalid HTTP: {0}")]
    Invalid(String),
    /// The answer has another status.
    #[error("status {0}")]
    Status(u16),
    /// The body is of another type.
    #[error("wrong content type")]
    ContentType,
    /// The body has another length.
    #[error("wrong length")]
    Length,
    /// The body has the length and other bytes.
    #[error("wrong body")]
    Body,
}

/// `connection refused`, without the number of the error.
pub(super) fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// How much longer than expected a body is read, so that its connection can be used again.
const MAX_EXCESS_BYTES: u64 = 64 << 10;

/// The bytes of a wrong body that are kept as an example.
const MAX_EXAMPLE_BYTES: usize = 200;

/// Wrong answers that are kept as examples.
const MAX_EXAMPLES: usize = 3;

/// The comparison of one answer, as its parts arrive.
#[derive(Debug)]
pub(super) struct Check<'load> {
    expected: &'load Expected,
    status: u16,
    is_type_right: bool,
    length: u64,
    is_same: bool,
    start: [u8; MAX_EXAMPLE_BYTES],
}

impl<'load> Check<'load> {
    /// Begins with the head of an answer: its status and its content type, if it has one.
    pub fn new(expected: &'load Expected, status: u16, content_type: Option<&[u8]>) -> Self {
        let is_type_right = expected.content_type.as_ref().is_none_or(|expected| {
            let own = content_type.map(media_type);
            own.is_some_and(|own| own.eq_ignore_ascii_case(media_type(expected.as_bytes())))
        });
        let start = [0; MAX_EXAMPLE_BYTES];
        Self { expected, status, is_type_right, length: 0, is_same: true, start }
    }

    /// Takes the next bytes of the body. Returns whether more of it should be read.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let start = usize::try_from(self.length).unwrap_or(usize::MAX);
        if let Some(room) = self.start.get_mut(start..) {
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
        }
        if let Some(body) = &self.expected.body {
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
        if !self.is_type_right {
            return Err(Failure::ContentType);
        }
        if self.length != self.expected.length {
            return Err(Failure::Length);
        }
        if self.is_same { Ok(()) } else { Err(Failure::Body) }
    }

    /// The answer as an example of a failure.
    pub fn example(&self, failure: &Failure) -> WrongAnswer {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX).min(MAX_EXAMPLE_BYTES);
        let body = self.start[..length].escape_ascii().to_string();
        WrongAnswer { failure: failure.to_string(), status: self.status, body }
    }
}

/// `text/html` of `text/html; charset=utf-8`.
fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The first wrong answers, each with the moment at which it ended.
#[derive(Debug, Default)]
pub(super) struct Examples(Vec<(Nanos, WrongAnswer)>);

impl Examples {
    /// Keeps an answer if it is one of the first.
    pub fn add(&mut self, ended: Nanos, answer: impl FnOnce() -> WrongAnswer) {
        if self.0.len() < MAX_EXAMPLES {
            self.0.push((ended, answer()));
        }
    }

    /// Keeps the first of these and of those of another thread.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by_key(|(ended, _)| *ended);
        self.0.truncate(MAX_EXAMPLES);
    }

    pub fn finish(self) -> Vec<WrongAnswer> {
        self.0.into_iter().map(|(_, answer)| answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected { status: 200, length: 6, body: Some(b"abcdef".to_vec()), content_type: None }
    }

    fn answered(status: u16, parts: &[&[u8]]) -> Result<(), Failure> {
        let expected = expected();
        let mut check = Check::new(&expected, status, None);
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
        let expected = Expected { body: None, ..expected() };
        let mut check = Check::new(&expected, 200, None);
        let parts = (0..).take_while(|_| check.add(&[0; 4096])).count();
        assert_eq!(parts, 16);
    }

    #[test]
    fn a_content_type_is_compared_without_case_and_parameters() {
        let checked = |wanted: &str, status, own: Option<&str>| {
            let expected = Expected { content_type: Some(wanted.to_owned()), ..expected() };
            let mut check = Check::new(&expected, status, own.map(str::as_bytes));
            check.add(b"abcdef");
            check.finish()
        };
        let right = ["text/html", "TEXT/Html", "text/html; charset=utf-8", " text/html ;a=b"];
        for own in right {
            assert_eq!(checked("text/html", 200, Some(own)), Ok(()), "{own}");
            assert_eq!(checked("Text/HTML; q=1", 200, Some(own)), Ok(()), "{own}");
        }
        for own in [Some("text/htm"), Some("text/html2"), Some("text"), Some(""), None] {
            assert_eq!(checked("text/html", 200, own), Err(Failure::ContentType), "{own:?}");
        }
        assert_eq!(checked("text/html", 500, None), Err(Failure::Status(500)));
        assert_eq!(Failure::ContentType.to_string(), "wrong content type");
    }

    #[test]
    fn an_example_has_the_start_of_the_body() {
        let expected = expected();
        let example = |parts: &[&[u8]]| {
            let mut check = Check::new(&expected, 200, None);
            assert!(parts.iter().all(|part| check.add(part)));
            check.example(&Failure::Length)
        };
        let body = r#"a\xff\n\"b"#.to_owned();
        let first = WrongAnswer { failure: "wrong length".to_owned(), status: 200, body };
        assert_eq!(example(&[b"a\xff", b"", b"\n\"b"]), first);
        assert_eq!(example(&[]).body, "");
        let long = example(&[&[b'x'; 150], &[b'y'; 150]]).body;
        assert_eq!(long, format!("{}{}", "x".repeat(150), "y".repeat(50)));
    }

    #[test]
    fn the_first_examples_of_all_threads_are_kept() {
        let thread = |ends: &[u64]| {
            let mut examples = Examples::default();
            for &end in ends {
                let answer =
                    WrongAnswer { failure: String::new(), status: 0, body: end.to_string() };
                examples.add(Nanos(end), || answer);
            }
            examples
        };
        let mut all = thread(&[2, 5, 6, 7]);
        all.merge(thread(&[3, 8]));
        all.merge(thread(&[1]));
        let bodies: Vec<String> = all.finish().into_iter().map(|answer| answer.body).collect();
        assert_eq!(bodies, ["1", "2", "3"]);
    }
}
