//! Durations and sizes as people write them: `30s`, `100MB`.

use std::time::Duration;

/// What [`duration`] takes, for error messages.
pub(crate) const DURATION: &str = "a duration such as 500ms, 10s or 1m";
/// What [`size`] takes, for error messages.
pub(crate) const SIZE: &str = "a size such as 512B, 64kB, 100MB or 1GiB";

/// A number and its unit, or several: `500ms`, `1.5m`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, unit, after) = first(rest)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = after.trim_start();
    }
    (!total.is_zero()).then_some(total)
}

/// A number and its unit, in bytes: `kB`, `MB`, `GB` are powers of 1,000, `KiB`, `MiB`, `GiB` of 1,024.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, rest) = first(text.trim())?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let bytes = number * factor as f64;
    (rest.is_empty() && (1.0..1e18).contains(&bytes)).then_some(bytes as u64)
}

/// The first number and unit of `text`, and what comes after them.
fn first(text: &str) -> Option<(f64, &str, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(unit);
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    Some((number.parse().ok()?, unit, after))
}

macro_rules! unit_module {
    ($(#[$doc:meta])* $module:ident, $type:ty, $what:ident, $parse:ident, $name:literal) => {
        $(#[$doc])*
        pub mod $module {
            use serde::{Deserializer, de::{self, Visitor}};
            use std::fmt;

            pub(crate) const NAME: &str = $name;

            /// Reads one.
            ///
            /// # Errors
            /// The deserializer's, where the text is none.
            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Read;
                impl<'de> Visitor<'de> for Read {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(super::$what)
                    }
                    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<$type, D::Error> {
                        deserializer.deserialize_str(self)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        super::$parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(""), &self))
                    }
                }
                deserializer.deserialize_newtype_struct(NAME, Read)
            }

            /// The same for a setting that may be absent.
            pub mod option {
                /// Reads one, or nothing.
                ///
                /// # Errors
                /// The deserializer's, where there is something that is none.
                pub fn deserialize<'de, D: serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<Option<$type>, D::Error> {
                    #[derive(serde::Deserialize)]
                    #[serde(transparent)]
                    struct Present(#[serde(deserialize_with = "super::deserialize")] $type);
                    Ok(<Option<Present> as serde::Deserialize>::deserialize(deserializer)?.map(|present| present.0))
                }
            }
        }
    };
}

unit_module! {
    /// `#[serde(with = "exporters::duration")]` on a [`Duration`](std::time::Duration): `500ms`, `10s`, `1.5m`, `1h30m`.
    ///
    /// A setting whose name ends in `_seconds` or `_ms` takes a bare number, too.
    duration, std::time::Duration, DURATION, parse_duration, "exporters::Duration"
}
unit_module! {
    /// `#[serde(with = "exporters::size")]` on a number of bytes: `512B`, `64kB`, `100MB`, `1GiB`.
    ///
    /// A setting whose name ends in `_mb` takes a bare number, too.
    size, u64, SIZE, parse_size, "exporters::Size"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h 30m"), Some(Duration::from_secs(5400)));
        for wrong in
            ["", "10", "s", "0s", "-1s", "1w", "1e400s", "99999999999999999999h", "1s2", "1ss", "1..s"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("100MB"), Some(100_000_000));
        assert_eq!(parse_size("1.5 KiB"), Some(1536));
        for wrong in ["", "10", "MB", "0MB", "-1MB", "1TBs", "1MB1", "9999999999GB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
