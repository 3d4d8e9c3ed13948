//! The escaping of all results: no line moves a cursor or looks like something else, whatever a plugin or a runtime put
//! into it.
//!
//! In JSON and YAML, characters are escaped by the rules of the format, so that programs read the same value.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use holystone_core::text::{escaped, is_harmful};

use crate::args::OutputFormat;

/// A writer that escapes its input line by line. A flush writes the last line.
pub(crate) struct Lines<W> {
    out: W,
    escape: fn(&str) -> Cow<'_, str>,
    line: Vec<u8>,
}

impl<W: Write> Lines<W> {
    /// Creates a writer that escapes by the rules of this format.
    pub(crate) fn new(out: W, format: OutputFormat) -> Self {
        let escape = match format {
            OutputFormat::Table => escaped,
            OutputFormat::Json => json,
            OutputFormat::Yaml => yaml,
        };
        Self { out, escape, line: Vec::new() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        // Only text is written; anything else would be replaced here.
        let line = String::from_utf8_lossy(&self.line);
        self.out.write_all((self.escape)(&line).as_bytes())?;
        self.line.clear();
        Ok(())
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) => {
                    self.line.extend_from_slice(end);
                    self.end_line()?;
                    self.out.write_all(b"\n")?;
                }
                None => self.line.extend_from_slice(part),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end_line()?;
        self.out.flush()
    }
}

/// Escapes a line of JSON. Harmful characters only occur in strings, where JSON escapes them as units of UTF-16.
fn json(line: &str) -> Cow<'_, str> {
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Escapes a line of YAML. The YAML writer quotes and escapes only what breaks the format, and puts every value on one
/// line. A value with a harmful character is put into double quotes, where the character can be escaped.
fn yaml(line: &str) -> Cow<'_, str> {
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    let (head, value) = split(line);
    let quote = !value.starts_with('"');
    let mut out = String::from(head);
    out.extend(quote.then_some('"'));
    for character in value.chars() {
        match character {
            '"' | '\\' if quote => out.extend(['\\', character]),
            // Writing to a String cannot fail.
            harmful if is_harmful(harmful) => drop(write!(out, "\\U{:08X}", u32::from(harmful))),
            harmless => out.push(harmless),
        }
    }
    out.extend(quote.then_some('"'));
    Cow::Owned(out)
}

/// Splits a line of block style before the value: after dashes, and after the name of a field. No unquoted value has a
/// colon before a space.
fn split(line: &str) -> (&str, &str) {
    let mut value = line.trim_start_matches(' ');
    while let Some(item) = value.strip_prefix("- ") {
        value = item;
    }
    if !value.starts_with('"')
        && let Some((_, field)) = value.split_once(": ")
    {
        value = field;
    }
    line.split_at(line.len() - value.len())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Lines, OutputFormat};

    fn written(format: OutputFormat, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        for piece in pieces {
            lines.write_all(piece).unwrap();
        }
        lines.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn harmless_lines_pass_unchanged() {
        for format in [OutputFormat::Table, OutputFormat::Json, OutputFormat::Yaml] {
            assert_eq!(
                written(format, &[b"a: 1\n\n  \"gr\xc3", b"\xb6\xc3\x9fer\"\nend"]),
                "a: 1\n\n  \"größer\"\nend"
            );
        }
    }

    #[test]
    fn each_format_escapes_in_its_own_way() {
        let text = "  \"a\u{202e}b\u{e0041}\"\n".as_bytes();
        assert_eq!(written(OutputFormat::Table, &[text]), "  \"a\\u{202e}b\\u{e0041}\"\n");
        assert_eq!(written(OutputFormat::Json, &[text]), "  \"a\\u202eb\\udb40\\udc41\"\n");
        assert_eq!(written(OutputFormat::Yaml, &[text]), "  \"a\\U0000202Eb\\U000E0041\"\n");
    }

    #[test]
    fn yaml_values_are_quoted_where_they_need_to_be() {
        for (line, quoted) in [
            ("a\u{ad}b", "\"a\\U000000ADb\""),
            ("  - - a\u{ad}b", "  - - \"a\\U000000ADb\""),
            ("- name: a\\b\"\u{ad}: ", "- name: \"a\\\\b\\\"\\U000000AD: \""),
            ("name: \"b\\\\\u{ad}: c\"", "name: \"b\\\\\\U000000AD: c\""),
            ("- \"b: \u{ad}\"", "- \"b: \\U000000AD\""),
        ] {
            assert_eq!(written(OutputFormat::Yaml, &[line.as_bytes()]), quoted);
        }
    }
}
