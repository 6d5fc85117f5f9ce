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

/// The line of a text, counted from 1, that holds the byte at `offset`.
#[must_use]
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
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
    fn placeholders_are_filled_and_other_braces_stay() {
        let port = |name: &str| (name == "port").then(|| "6379".to_owned());
        assert_eq!(fill("--port={port}", port).unwrap(), "--port=6379");
        assert_eq!(fill("{port}{port}", port).unwrap(), "63796379");
        assert_eq!(fill(r#"{"a": {}} {"#, port).unwrap(), r#"{"a": {}} {"#);
        let error = fill("{prot}", port).unwrap_err();
        assert!(error.contains("`{prot}` is no placeholder; there are: host, port"), "{error}");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([0, 1, 2, 3, 99].map(|offset| line_at("a\nb\n", offset)), [1, 1, 2, 2, 3]);
    }
}
