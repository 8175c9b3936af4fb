//! Numbers as YAML's core schema writes them.

/// A whole number.
pub(super) fn whole(text: &str) -> Option<i128> {
    let (digits, radix) = digits(text)?;
    i128::from_str_radix(digits, radix).ok()
}

/// The digits of a whole number, and their base.
pub(super) fn digits(text: &str) -> Option<(&str, u32)> {
    let prefixed = [("0x", 16), ("0o", 8)].into_iter();
    let prefixed = prefixed.filter_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix))).next();
    match prefixed {
        // Rust would take a sign there.
        Some((digits, _)) if digits.starts_with(['+', '-']) => None,
        Some(prefixed) => Some(prefixed),
        None => Some((text, 10)),
    }
}

/// A number.
pub(super) fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        // Rust also reads `inf`, `nan` and `infinity`, which are text.
        _ if text.contains(|c: char| c.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_a_sign_or_a_base() {
        for (text, number) in [
            ("0", Some(0)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            ("010", Some(10)),
            ("0x1F", Some(31)),
            ("0o17", Some(15)),
            ("-170141183460469231731687303715884105728", Some(i128::MIN)),
            ("170141183460469231731687303715884105728", None),
            ("0x-5", None),
            ("0x+5", None),
            ("-0x5", None),
            ("0x", None),
            ("0b1", None),
            ("1_000", None),
            ("1e3", None),
            ("5.", None),
            (" 5", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
    }

    #[test]
    fn numbers_have_a_digit() {
        for (text, number) in [
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("+5", Some(5.0)),
            ("-1.5E-1", Some(-0.15)),
            ("-.inf", Some(f64::NEG_INFINITY)),
            ("+.Inf", Some(f64::INFINITY)),
            ("inf", None),
            ("infinity", None),
            ("nan", None),
            ("1_000", None),
            ("0x10", None),
            ("1,5", None),
            (".", None),
            ("e3", None),
            ("", None),
        ] {
            assert_eq!(float(text), number, "{text}");
        }
        assert!(float(".nan").is_some_and(f64::is_nan));
    }
}
