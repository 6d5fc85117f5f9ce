//! Reading a journal while another process writes it: each line once, without a lock.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use super::StoreError;
use super::journal::{Entry, parse, whole_bytes};
use crate::clock::UnixMillis;

/// A reader of a journal that grows.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// Bytes of the lines that have been read.
    bytes: u64,
    /// The number of lines that have been read.
    lines: usize,
    written: Option<UnixMillis>,
    /// The number of bytes to read at once.
    chunk: u64,
}

/// A journal can have hundreds of megabytes, with lines of some hundred kilobytes.
const CHUNK: u64 = 8 << 20;

impl Follower {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, bytes: 0, lines: 0, written: None, chunk: CHUNK }
    }

    /// Reads the next complete lines, one chunk at a time. Empty when there are none. A truncated last line is
    /// not returned: it is still being written, or its writer has died.
    ///
    /// # Errors
    /// When the journal cannot be read, or is damaged before its last line.
    pub fn news(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut bytes = self.unread().map_err(StoreError::io("read", &self.path))?;
        let mut whole = whole_bytes(&bytes);
        while whole == 0 && bytes.len() as u64 == self.chunk {
            // The line is longer than a chunk.
            self.chunk *= 2;
            bytes = self.unread().map_err(StoreError::io("read", &self.path))?;
            whole = whole_bytes(&bytes);
        }
        let mut entries = Vec::new();
        for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
            let number = self.lines + entries.len() + 1;
            entries.push(parse(line).map_err(|message| StoreError::Journal {
                path: self.path.clone(),
                line: number,
                message,
            })?);
        }
        self.bytes += whole as u64;
        self.lines += entries.len();
        Ok(entries)
    }

    /// The modification time of the journal at the last read.
    #[must_use]
    pub fn written(&self) -> Option<UnixMillis> {
        self.written
    }

    fn unread(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let about = file.metadata()?;
        let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.written =
            since.and_then(|since| u64::try_from(since.as_millis()).ok()).map(UnixMillis);
        let mut bytes = Vec::new();
        if about.len() > self.bytes {
            file.seek(SeekFrom::Start(self.bytes))?;
            file.take(self.chunk).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ContentHash;

    fn line(version: u32) -> String {
        let json =
            format!(r#"{{"report":{{"component":"redis","report":{{"version":"{version}"}}}}}}"#);
        format!("{} {json}\n", &ContentHash::of(json.as_bytes()).to_string()[..16])
    }

    #[test]
    fn each_line_is_returned_once_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut follower = Follower::of(path.clone());
        assert!(follower.news().is_err(), "there is no file yet");
        let (first, second, third) = (line(1), line(2), line(3));
        for (text, expected) in [
            (String::new(), 0),
            (first[..9].to_owned(), 0),
            (first.clone(), 1),
            (first.clone(), 0),
            (format!("{first}{second}{}", &third[..40]), 1),
            (format!("{first}{second}{third}"), 1),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(follower.news().unwrap().len(), expected, "{text}");
        }
        assert!(follower.written().is_some());
        let mut in_pieces = Follower { chunk: 8, ..Follower::of(path.clone()) };
        let counts: Vec<usize> =
            (0..4).map(|_| in_pieces.news().unwrap().len()).filter(|&lines| lines > 0).collect();
        assert_eq!(counts.iter().sum::<usize>(), 3, "{counts:?}");
        assert!(counts.len() > 1, "not all at once: {counts:?}");
        let damaged = third.replace("\"3\"", "\"4\"");
        std::fs::write(&path, format!("{first}{second}{third}{damaged}")).unwrap();
        assert_eq!(
            follower.news().unwrap().len(),
            0,
            "a last line with a wrong checksum is truncated"
        );
        std::fs::write(&path, format!("{first}{second}{third}{damaged}{first}")).unwrap();
        let message = follower.news().unwrap_err().to_string();
        assert!(message.contains("line 4"), "{message}");
    }
}
