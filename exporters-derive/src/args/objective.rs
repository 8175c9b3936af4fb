//! `slo(latency = "250ms", target = 99.9, name = "…")`.

use proc_macro2::{Span, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Result, Token};

use crate::errors::Errors;
use crate::nearest;

/// An objective: `target` percent of the calls end well, within `latency` nanoseconds if that is not 0.
#[derive(Clone)]
pub(crate) struct Objective {
    pub(crate) name: Option<LitStr>,
    pub(crate) target: f64,
    pub(crate) latency: u64,
}

const KNOWN: &[&str] = &["latency", "target", "name"];

/// Reads what is between the parentheses of `slo(..)`; `at` is where to complain of what is missing.
pub(super) fn parse(at: Span, input: ParseStream<'_>, errors: &mut Errors) -> Option<Objective> {
    let mut read = Read::default();
    while !input.is_empty() {
        let one = read.setting(input);
        errors.keep(one);
        // After a mistake, go on behind the next comma.
        while !input.is_empty() && !input.peek(Token![,]) {
            input.parse::<TokenTree>().ok()?;
        }
        input.parse::<Option<Token![,]>>().ok()?;
    }
    if !read.seen.contains(&"target") {
        errors.push(Error::new(at, "`slo` needs a target in percent, such as `slo(target = 99.9)`"));
    }
    Some(Objective { name: read.name, target: read.target?, latency: read.latency.unwrap_or_default() })
}

#[derive(Default)]
struct Read {
    seen: Vec<&'static str>,
    name: Option<LitStr>,
    target: Option<f64>,
    latency: Option<u64>,
}

impl Read {
    fn setting(&mut self, input: ParseStream<'_>) -> Result<()> {
        let key = input.call(Ident::parse_any)?;
        let Some(word) = KNOWN.iter().find(|known| key == **known) else {
            let hint = nearest::hint(&key.to_string(), KNOWN);
            let message = format!("`slo` has no `{key}`, only `latency`, `target` and `name`{hint}");
            return Err(Error::new(key.span(), message));
        };
        if self.seen.contains(word) {
            return Err(Error::new(key.span(), format!("`{word}` is given twice; remove one")));
        }
        self.seen.push(word);
        if !input.peek(Token![=]) {
            return Err(Error::new(key.span(), "`slo` is written `slo(latency = \"250ms\", target = 99.9)`"));
        }
        input.parse::<Token![=]>()?;
        let value: Expr = input.parse()?;
        match *word {
            "latency" => self.latency = Some(duration(&value)?),
            "target" => self.target = Some(percentage(&value)?),
            _ => self.name = Some(string(&value)?),
        }
        Ok(())
    }
}

fn string(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        _ => Err(Error::new(value.span(), "expected a string literal, such as `name = \"checkout\"`")),
    }
}

fn percentage(value: &Expr) -> Result<f64> {
    let number = match value {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse::<f64>().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<f64>().ok(),
        _ => None,
    };
    number.filter(|number| *number > 0.0 && *number <= 100.0).ok_or_else(|| {
        Error::new(
            value.span(),
            "the target is a percentage above 0 and at most 100, such as `target = 99.9`",
        )
    })
}

fn duration(value: &Expr) -> Result<u64> {
    let text = match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    };
    text.as_deref().and_then(nanoseconds).ok_or_else(|| {
        Error::new(
            value.span(),
            "the latency is a number above 0 with a unit (ns, us, ms, s, m or h), such as `latency = \"250ms\"`",
        )
    })
}

/// The nanoseconds in `"1.5s"`; `None` unless it is a whole number of them, above 0 and below 2^64.
fn nanoseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let scale: u64 = match unit.trim_start() {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let below = u128::from(scale).checked_mul(fraction.parse().ok()?)?;
    let ten = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if below % ten != 0 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    whole.checked_add(u64::try_from(below / ten).ok()?).filter(|total| *total > 0)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("250ms", Some(250_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("2us", Some(2_000)),
            ("2 µs", Some(2_000)),
            ("1m", Some(60_000_000_000)),
            ("1h", Some(3_600_000_000_000)),
            ("7ns", Some(7)),
            ("0.5ns", None),
            ("0ms", None),
            ("250", None),
            ("ms", None),
            ("-1s", None),
            ("1.s", None),
            ("1.2.3s", None),
            ("5 parsecs", None),
            ("99999999999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
