//! Times, tables and goals: what the benchmarks print with.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::time::{Duration, Instant};

/// Several measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, time: Duration) {
        self.add_milliseconds(time.as_secs_f64() * 1e3);
    }

    /// Adds a measurement.
    pub(crate) fn add_milliseconds(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
        self.0.sort_by(f64::total_cmp);
    }

    /// Measures once.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(start.elapsed());
        result
    }

    /// The middle one, in milliseconds: what to expect.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The smallest, in milliseconds: what the machine's other work disturbed least.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The largest, in milliseconds: what to expect at worst.
    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Median and minimum.
    pub(crate) fn both(&self) -> String {
        format!("{} / {}", milliseconds(self.median()), milliseconds(self.min()))
    }
}

/// Milliseconds with as many decimals as mean something.
pub(crate) fn milliseconds(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Prints rows, the first being the head, in columns as wide as they need to be.
pub(crate) fn table(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    for row in rows {
        let cells = (0..columns).map(|column| {
            let (cell, width) = (row.get(column).map_or("", String::as_str), width(column).unwrap_or(0));
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("  {}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}

/// Prints a goal and whether it is met. Gives it back, too.
pub(crate) fn goal(what: &str, measured: f64, limit: f64, unit: &str) -> bool {
    let met = measured <= limit;
    let verdict = if met { "met" } else { "NOT MET" };
    println!("  {verdict:<8} {what}: {measured:.3} {unit}, goal <= {limit} {unit}");
    met
}

/// A row of a table.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: f64,
    /// The most that was resident at any time.
    pub(crate) peak: f64,
    /// Of what is resident, its own: heap, stacks, guests.
    pub(crate) own: f64,
    /// Of what is resident, what is backed by a file, which the kernel can take back.
    pub(crate) file: f64,
}

impl Memory {
    /// That of a live process; none once it has ended.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kilobytes / 1024.0)
        };
        let (resident, peak) = (field("VmRSS:")?, field("VmHWM:")?);
        Some(Self { resident, peak, own: field("RssAnon:")?, file: field("RssFile:")? })
    }
}
