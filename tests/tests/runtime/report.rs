//! The table at the end: plain, within 100 columns whatever functions are called, the longest first.

use super::{LONG, alone};
use exporters::{Profiler, profiled};
use std::time::{Duration, Instant};

fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {}
}

#[profiled(
    name = "a_name_that_is_so_long_that_no_table_of_a_hundred_columns_could_ever_show_all_of_it_beside_the_figures"
)]
fn long() {
    spin(Duration::from_millis(3));
}

#[profiled(name = "größenänderungsbestätigungsnachrichtenübermittlungsvorgängeüberprüfungÄÖÜ")]
fn german() {
    spin(Duration::from_micros(40));
}

#[profiled(name = "每一个函数的名称都可以用任何语言书写而且可以非常非常长以至于表格放不下")]
fn chinese() {
    spin(Duration::from_millis(1));
}

#[profiled(name = "🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀🚀")]
fn rockets() {
    spin(Duration::from_micros(200));
}

#[profiled(name = "two\nlines\x1b[31m")]
fn control() {}

#[profiled]
fn never() {}

/// How many columns a terminal uses: East Asian characters and emoji take two.
fn columns(line: &str) -> usize {
    line.chars()
        .map(|c| {
            if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{9fff}' | '\u{1f300}'..='\u{1faff}') {
                2
            } else {
                1
            }
        })
        .sum()
}

/// What the table says of a time, in seconds.
fn seconds(text: &str) -> f64 {
    let units = [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("ks", 1e3), ("Ms", 1e6), ("s", 1.0)];
    let unit =
        units.iter().find_map(|(unit, size)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * size));
    unit.unwrap_or_else(|| text.parse().unwrap())
}

#[test]
fn plain_narrow_and_sorted() {
    let _alone = alone();
    let profiler = Profiler::builder().start().unwrap();
    for _ in 0..3 {
        long();
        german();
        chinese();
        rockets();
        control();
    }
    let table = exporters::report().to_string();
    let _ = profiler.shutdown(LONG);
    let lines: Vec<&str> = table.lines().collect();
    for line in &lines {
        assert!(columns(line) <= 100 && !line.contains(char::is_control), "{}: {line}", columns(line));
        // The figures stand below each other.
        assert_eq!(columns(line), columns(lines[0]), "{table}");
    }
    assert!(lines[0].starts_with("function") && table.contains('…') && table.contains("never"), "{table}");
    // The column before the last is self time.
    let own: Vec<f64> =
        lines[1..].iter().map(|line| seconds(line.split_whitespace().nth_back(1).unwrap())).collect();
    assert!(own.len() > 6 && own.is_sorted_by(|a, b| a >= b), "{table}");
    // Each figure is there: calls of what was called three times.
    let row = lines.iter().find(|line| line.contains("ÄÖÜ")).unwrap_or_else(|| panic!("{table}"));
    assert_eq!(row.split_whitespace().nth(1), Some("3"), "{row}");
}
