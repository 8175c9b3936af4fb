//! The table at the end of a run: where the program spent its time.

use super::{current, exit};
use crate::{
    Data, ExponentialHistogram, Number, Point, ProfileMetrics, Resource,
    record::snapshot::{Collector, Whose},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Columns but the first, and the spaces before them.
const NUMBERS: usize = 75;
/// The width of the table.
const WIDTH: usize = 100;

/// What every profiled function did since the start, as a table of 100 columns without colours, sorted by self time.
///
/// ```
/// println!("{}", exporters::report());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    memory: bool,
}

/// One function.
#[derive(Clone, Debug, Default)]
struct Row {
    name: String,
    calls: u64,
    errors: u64,
    panics: u64,
    cancelled: u64,
    latency: ExponentialHistogram,
    allocated: u64,
    self_time: f64,
}

/// A report on everything recorded so far.
pub fn report() -> Report {
    exit::reported();
    let runtime = current().clone();
    match runtime {
        Some(runtime) => of(&runtime.peek_at_all()),
        None => of(&Collector::new(Arc::new(Resource::default()), Whose::All, false).drain()),
    }
}

/// A report on a snapshot's totals.
pub(super) fn of(metrics: &ProfileMetrics) -> Report {
    let mut rows = BTreeMap::<String, Row>::new();
    let mut memory = false;
    for metric in &metrics.metrics {
        match (&*metric.descriptor.name, &metric.data) {
            ("function.calls", Data::Sum(sum)) => each(&sum.points, &mut rows, |row, point| {
                let n = count(point.total);
                let text = |key| point.series.attributes.get_str(key);
                row.calls += n;
                match (text("result"), text("error.type")) {
                    (Some("error"), Some("panic")) => row.panics += n,
                    (Some("error"), _) => row.errors += n,
                    (Some("cancelled"), _) => row.cancelled += n,
                    _ => {}
                }
            }),
            ("function.calls.duration", Data::ExponentialHistogram(points)) => {
                each(points, &mut rows, |row, point| row.latency.merge(&point.total));
            }
            ("function.calls.self_time", Data::Sum(sum)) => {
                each(&sum.points, &mut rows, |row, point| row.self_time += point.total.as_f64());
            }
            ("function.calls.allocated", Data::Sum(sum)) => {
                memory = true;
                each(&sum.points, &mut rows, |row, point| row.allocated += count(point.total));
            }
            _ => {}
        }
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    leave_out_crate(&mut rows);
    rows.sort_by(|a, b| b.self_time.total_cmp(&a.self_time).then_with(|| b.calls.cmp(&a.calls)));
    Report { rows, memory }
}

/// Where all functions are of one crate, its name tells nothing, and takes room from theirs.
fn leave_out_crate(rows: &mut [Row]) {
    let of = |row: &Row| row.name.split_once("::").map(|(name, _)| name.to_owned());
    let Some(name) = rows.first().and_then(of) else { return };
    if rows.iter().all(|row| of(row).as_ref() == Some(&name)) {
        rows.iter_mut().for_each(|row| _ = row.name.drain(..name.len() + "::".len()));
    }
}

fn each<T>(points: &[Point<T>], rows: &mut BTreeMap<String, Row>, mut add: impl FnMut(&mut Row, &Point<T>)) {
    for point in points {
        let text = |key| point.series.attributes.get_str(key).unwrap_or_default();
        let name = format!("{}::{}", text("module"), text("function"));
        let row = rows.entry(name).or_insert_with_key(|name| Row { name: name.clone(), ..Row::default() });
        add(row, point);
    }
}

fn count(number: Number) -> u64 {
    match number {
        Number::U64(n) => n,
        other => other.as_f64() as u64,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = WIDTH - NUMBERS;
        let longest = self.rows.iter().map(|row| columns(&row.name)).max().unwrap_or(0);
        let first = longest.clamp("function".len(), first);
        writeln!(
            f,
            "{:first$} {:>8} {:>5} {:>5} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>4}",
            "function",
            "calls",
            "error",
            "panic",
            "cancel",
            "mean",
            "p50",
            "p95",
            "p99",
            "max",
            "alloc",
            "self",
            "%"
        )?;
        let total: f64 = self.rows.iter().map(|row| row.self_time).sum();
        for row in &self.rows {
            let quantile = |q| row.latency.quantile(q).map_or_else(|| "-".to_owned(), time);
            let share =
                if total > 0.0 { format!("{:.1}", row.self_time / total * 100.0) } else { "-".to_owned() };
            let allocated = if self.memory { bytes(row.allocated) } else { "-".to_owned() };
            writeln!(
                f,
                "{} {:>8} {:>5} {:>5} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>4}",
                fitted(&row.name, first),
                whole(row.calls, 8),
                whole(row.errors, 5),
                whole(row.panics, 5),
                whole(row.cancelled, 6),
                row.latency.mean().map_or_else(|| "-".to_owned(), time),
                quantile(0.5),
                quantile(0.95),
                quantile(0.99),
                row.latency.max.map_or_else(|| "-".to_owned(), time),
                allocated,
                time(row.self_time),
                if share.len() > 4 { "100".to_owned() } else { share },
            )?;
        }
        Ok(())
    }
}

/// A name in so many columns: where it is too long the end of it, since the beginning of a path tells less.
fn fitted(name: &str, width: usize) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let used = columns(&name);
    if used <= width {
        return name + &" ".repeat(width - used);
    }
    let mut left = used;
    let end = name.chars().skip_while(|c| {
        let skipped = left >= width;
        left -= if skipped { columns_of(*c) } else { 0 };
        skipped
    });
    let end: String = end.collect();
    format!("…{end}{}", " ".repeat(width.saturating_sub(1 + columns(&end))))
}

/// The columns that a terminal gives `text`.
fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Two for East Asian characters and emoji, none for what is drawn over the character before.
fn columns_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
        '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' => 2,
        '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// A count: every digit where they fit, nothing for none.
fn whole(n: u64, width: usize) -> String {
    match n {
        0 => "-".to_owned(),
        _ if n.to_string().len() <= width => n.to_string(),
        _ => short(n as f64, &[("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15), ("E", 1e18)]),
    }
}

/// Seconds, with three digits at most.
fn time(seconds: f64) -> String {
    short(seconds, &[("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("ks", 1e3), ("Ms", 1e6)])
}

fn bytes(n: u64) -> String {
    short(n as f64, &[("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("PB", 1e15)])
}

fn short(value: f64, units: &[(&str, f64)]) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    // 999.5 of a unit would be printed as 1000.
    let fits = units.iter().find(|(_, size)| value / size < 999.5).or(units.last());
    let (unit, size) = *fits.unwrap_or(&("", 1.0));
    let scaled = value / size;
    let digits = if scaled < 9.95 && unit != "B" { 1 } else { 0 };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_columns() {
        for seconds in [0.0, 1e-10, 9.99e-7, 9.994e-4, 0.9996, 59.9, 86400.0, 1e7] {
            assert!(time(seconds).chars().count() <= 5, "{}", time(seconds));
        }
        assert_eq!(time(0.0012), "1.2ms");
        assert_eq!(time(0.9996), "1.0s");
        assert_eq!(whole(12_345_678, 8), "12345678");
        assert_eq!(whole(123_456_789, 8), "123M");
    }

    #[test]
    fn names_take_as_many_columns_as_there_are() {
        assert_eq!(fitted("shop::checkout::charge", 10), "…t::charge");
        assert_eq!(fitted("charge", 8), "charge  ");
        assert_eq!(fitted("a\nb", 3), "a b");
        for name in
            ["shop::checkout::charge", "程序::函数::名称", "a🚀🚀🚀🚀🚀b", "e\u{301}te\u{301}::e\u{301}"]
        {
            for width in 8..20 {
                assert_eq!(columns(&fitted(name, width)), width, "{name}");
            }
        }
    }

    #[test]
    fn the_one_crate_that_all_share_goes_unsaid() {
        let rows = |names: [&str; 2]| names.map(|name| Row { name: name.to_owned(), ..Row::default() });
        let names = |rows: [Row; 2]| rows.map(|row| row.name);
        let mut one = rows(["shop::checkout::charge", "shop::main"]);
        leave_out_crate(&mut one);
        assert_eq!(names(one), ["checkout::charge", "main"]);
        let mut two = rows(["shop::charge", "bank::charge"]);
        leave_out_crate(&mut two);
        assert_eq!(names(two), ["shop::charge", "bank::charge"]);
    }
}
