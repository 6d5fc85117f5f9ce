//! Text that more than one trade reads or writes.

/// What may stand between braces in arguments and environment.
pub const PLACEHOLDERS: [&str; 9] = [
    "host",
    "port",
    "workers",
    "store_host",
    "store_port",
    "connections",
    "key",
    "cpus",
    "memory_mib",
];

/// Fills the placeholders of a template: each `{name}` becomes what `value` gives for it.
///
/// Braces around anything but lower-case letters and `_` stay as they are, so that JSON may
/// stand in an argument.
///
/// # Errors
/// A placeholder that `value` does not know, with those that there are.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];
        let name = rest[1..].split_once('}').map(|(name, _)| name);
        let is_name = |name: &&str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        let Some(name) = name.filter(is_name) else {
            filled.push('{');
            rest = &rest[1..];
            continue;
        };
        let value = value(name).ok_or_else(|| {
            format!("`{{{name}}}` is no placeholder; there are: {}", PLACEHOLDERS.join(", "))
        })?;
        filled.push_str(&value);
        rest = &rest[name.len() + 2..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Values as text, with a separator between them: `1, 2, 4`.
#[must_use]
pub fn joined(values: &[impl ToString], separator: &str) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

/// The line of a text, counted from 1, that holds the byte at `offset`.
#[must_use]
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}

/// The most characters of a component's text that are shown on a line.
pub const MAX_LINE_CHARS: usize = 300;

/// Text of others on one line: control characters are escaped, and what is longer than `max_chars`
/// ends in `…`.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == max_chars {
            line.push('…');
            break;
        }
        // U+FFFD stands for bytes that are no text.
        match c.is_control() || is_format(c) {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

/// Whether a character changes the direction of text, or breaks a line.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An error and what caused it, in one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        // A transparent error repeats the words of its cause.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_bounded_line_without_control_characters() {
        assert_eq!(one_line("a\nb\u{1b}[2Jc", 300), "a\\nb\\u{1b}[2Jc");
        assert_eq!(one_line(&"ä".repeat(9), 8), "ä".repeat(8) + "…");
        assert_eq!(one_line(&"ä".repeat(8), 8), "ä".repeat(8));
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        let port = |name: &str| (name == "port").then(|| "6379".to_owned());
        assert_eq!(fill("--port={port}", port).unwrap(), "--port=6379");
        assert_eq!(fill("{port}{port}", port).unwrap(), "63796379");
        assert_eq!(fill(r#"{"a": {}} {"#, port).unwrap(), r#"{"a": {}} {"#);
        let error = fill("{prot}", port).unwrap_err();
        assert!(error.contains("`{prot}` is no placeholder; there are: host, port"), "{error}");
    }

    #[test]
    fn text_of_others_is_escaped_and_cut_to_one_line() {
        assert_eq!(one_line("a\nb\t\u{1b}[31mc\u{202e}", 100), r"a\nb\t\u{1b}[31mc\u{202e}");
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(one_line("äbcd", 3), "äbc…");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([0, 1, 2, 3, 99].map(|offset| line_at("a\nb\n", offset)), [1, 1, 2, 2, 3]);
    }
}
