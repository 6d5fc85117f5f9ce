//! Logs of bounded size: the head and the tail of what a component writes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are kept of the beginning, and at least of the end, of a log.
const KEPT_BYTES: u64 = 1 << 20;
/// The longest log line that is shown, in bytes. Longer lines are truncated.
pub const MAX_LINE_BYTES: usize = 1024;
/// Bytes at the end of a log that are searched for its last lines.
const SEARCHED_BYTES: u64 = 1 << 16;

/// A log that keeps its first and its last bytes.
///
/// The head is the file itself. Later output goes to `FILE.tail`, which becomes `FILE.tail.old` when it is
/// full: together these hold the last [`KEPT_BYTES`] and no more than twice as much.
#[derive(Debug)]
pub struct BoundedLog {
    path: PathBuf,
    file: File,
    /// Bytes that still fit into `file`.
    room: u64,
}

impl BoundedLog {
    /// Creates an empty log, and removes an earlier one of this name.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        for part in parts(path).into_iter().skip(1) {
            // A tail that does not exist needs no removal.
            let _ = std::fs::remove_file(part);
        }
        Ok(Self { path: path.to_owned(), file: File::create(path)?, room: KEPT_BYTES })
    }

    /// Appends output. Bytes that cannot be written are dropped, so that the writer never blocks.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room == 0 && self.rotate().is_err() {
                return;
            }
            let room = usize::try_from(self.room).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let _ = self.file.write_all(now);
            self.room -= now.len() as u64;
            bytes = later;
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let [_, old, tail] = parts(&self.path);
        if tail.exists() {
            std::fs::rename(&tail, old)?;
        }
        self.file = File::create(tail)?;
        self.room = KEPT_BYTES;
        Ok(())
    }
}

/// The files of a log, the oldest first.
fn parts(path: &Path) -> [PathBuf; 3] {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    [path.to_owned(), with(".tail.old"), with(".tail")]
}

/// The last `count` lines of a log, each truncated to [`MAX_LINE_BYTES`]. Empty when the log cannot be
/// read.
#[must_use]
pub fn log_tail(path: &Path, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut is_whole = true;
    for part in parts(path).into_iter().rev() {
        let wanted = SEARCHED_BYTES.saturating_sub(bytes.len() as u64);
        let Ok((end, has_more)) = end_of(&part, wanted) else { continue };
        bytes.splice(0..0, end);
        is_whole = !has_more;
    }
    last_lines(&bytes, count, is_whole)
}

/// The last lines of some output, as [`log_tail`] shows them. `is_whole` is false when bytes are missing
/// before it.
pub(super) fn last_lines(bytes: &[u8], count: usize, is_whole: bool) -> Vec<String> {
    if bytes.is_empty() {
        return vec![];
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let first = lines.len().saturating_sub(count);
    let shown = lines[first..].iter().enumerate().map(|(index, line)| {
        let starts_mid_line = first + index == 0 && !is_whole;
        truncated(line.strip_suffix(b"\r").unwrap_or(line), starts_mid_line)
    });
    shown.collect()
}

/// The last bytes of a file, at most `wanted`, and whether it has more before them.
fn end_of(path: &Path, wanted: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(wanted);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(wanted).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

/// A line for display, truncated to [`MAX_LINE_BYTES`].
fn truncated(line: &[u8], starts_mid_line: bool) -> String {
    let mark = if starts_mid_line { "[…] " } else { "" };
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE_BYTES)]);
    match line.len().saturating_sub(MAX_LINE_BYTES) {
        0 => format!("{mark}{text}"),
        cut => format!("{mark}{text} [… {cut} bytes or more truncated]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: impl IntoIterator<Item = Vec<u8>>) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.log");
        let mut log = BoundedLog::create(&path).unwrap();
        pieces.into_iter().for_each(|piece| log.append(&piece));
        (dir, path)
    }

    #[test]
    fn the_last_lines_are_read_as_they_were_written() {
        let (_dir, path) = written([b"one\ntwo\r\nth".to_vec(), b"ree\n".to_vec()]);
        assert_eq!(log_tail(&path, 2), ["two", "three"]);
        assert_eq!(log_tail(&path, 9), ["one", "two", "three"]);
        assert_eq!(log_tail(&written([]).1, 9), Vec::<String>::new());
        assert_eq!(log_tail(Path::new("/nowhere"), 9), Vec::<String>::new());
    }

    #[test]
    fn a_long_line_is_truncated_with_a_mark() {
        let (_dir, path) = written([b"start\n".to_vec(), vec![b'x'; 3_000], b"\nend\n".to_vec()]);
        let shown = log_tail(&path, 3);
        let truncated = format!("{} [… 1976 bytes or more truncated]", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(shown, ["start", &truncated, "end"]);
        // Longer than the searched bytes: its start is not found.
        let (_dir, path) = written([vec![b'y'; 3 << 20]]);
        let [line] = &log_tail(&path, 3)[..] else { panic!() };
        assert!(line.starts_with("[…] y") && line.ends_with("truncated]"), "{line}");
        assert!(line.len() < MAX_LINE_BYTES + 100);
    }

    #[test]
    fn a_log_without_end_keeps_its_head_and_its_tail() {
        let lines = (0..1_000_000).map(|number| format!("line {number}\n").into_bytes());
        let (dir, path) = written(lines);
        let kept = dir.path().read_dir().unwrap().flatten();
        let bytes: u64 = kept.map(|file| file.metadata().unwrap().len()).sum();
        assert!((2 * KEPT_BYTES..=3 * KEPT_BYTES).contains(&bytes), "{bytes}");
        assert!(std::fs::read(&path).unwrap().starts_with(b"line 0\nline 1\n"));
        assert_eq!(log_tail(&path, 2), ["line 999998", "line 999999"]);
        // The search goes on where one file ends and the next begins.
        let whole = log_tail(&path, 5_000);
        assert!(whole.windows(2).skip(1).all(|pair| pair[0] < pair[1]), "{whole:?}");
    }
}
