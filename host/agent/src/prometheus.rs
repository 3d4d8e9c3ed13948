//! Metrics in the text format of Prometheus.

use std::fmt::Write as _;

use jiff::Timestamp;

/// A page of metrics by family, in the order in which the families were added; a family without values is left out.
#[derive(Default)]
pub struct Page {
    families: Vec<(String, String, String)>,
}

impl Page {
    /// Adds a family without values.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let head = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.families.push((name.to_owned(), head, String::new()));
    }

    /// Adds a value to a family that was added before.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let Some((_, _, lines)) = self.families.iter_mut().find(|(family, ..)| family == name) else { return };
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name}{labels} {value}");
    }

    /// Returns the text of the page.
    pub fn text(self) -> String {
        let filled = self.families.into_iter().filter(|(.., lines)| !lines.is_empty());
        filled.map(|(_, head, lines)| head + &lines).collect()
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Converts a whole number to a value.
#[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
pub fn count(value: u64) -> f64 {
    value as f64
}

/// Converts a time to seconds since 1970.
pub fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// Reads the resident memory of this process in bytes, where the system reports it.
pub fn resident_bytes() -> Option<f64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(count(pages.saturating_mul(rustix::param::page_size() as u64)))
}
