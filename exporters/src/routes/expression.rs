//! `Expression`: a condition over the statistics of a snapshot, as text: `error_rate > 0.05 and function == "checkout::charge"`.

mod parse;

use crate::{Error, ErrorKind, ProfileMetrics, Result, mapping::Named};
use serde::{Deserialize, Deserializer, de};
use std::{cmp::Ordering, fmt, str::FromStr};

/// A condition over the statistics of a snapshot.
///
/// ```
/// use exporters::Expression;
///
/// let slow: Expression = "p95_latency_ms > 250 and function == 'checkout::charge' or error_rate >= 0.05".parse()?;
/// assert!(!slow.holds(&exporters::test().snapshot()));
/// let error = "p95_latency > 250".parse::<Expression>().unwrap_err();
/// assert!(error.to_string().contains("column 1: there is no statistic of this name; did you mean `p95_latency_ms`?"));
/// # Ok::<(), exporters::Error>(())
/// ```
///
/// # What there is
///
/// - **Statistics**: the names that a [mapping](crate::Mapping) takes, such as `avg_latency_ms`, `error_rate` (0 to 1),
///   `calls_per_second`, `concurrent_calls`, `messages_per_second`; what is counted, such as `total_calls`, is counted since the
///   start. They are compared with numbers, or with each other, by `<`, `<=`, `>`, `>=`, `==` and `!=`.
/// - **`function == "…"`** holds where such a function is profiled, and narrows to it the statistics of calls that are
///   compared in the same conjunction: in what `and` joins with it, there also within parentheses and `not`, unless a function of their
///   own is named there. A conjunction names one function at most; the name is as
///   [`ProfileMetrics::function`] takes it. Statistics of log messages are of the whole program.
/// - **Attributes of the resource**, which have a dot in their name, such as `service.name` and `deployment.environment.name`, are
///   compared with text by `==` and `!=`.
/// - **`not`**, which binds tightest, **`and`**, **`or`**, and parentheses, up to 32 deep.
/// - **Text** stands in `"` or `'`, with `\` before one of these that is a part of it, and before `\`. **Numbers** have no unit; the
///   names of the statistics say it.
///
/// # What has not been measured
///
/// A comparison with what has not been measured, or with an attribute that there is not, is not known, and so is its
/// opposite: with no call in the interval neither `avg_latency_ms > 100` nor `not avg_latency_ms > 100` holds. What is not
/// known makes a conjunction unknown unless a part of it is false, and a disjunction unless a part of it is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// At least two, none of which is one.
    Or(Vec<Node>),
    /// At least two, none of which is one.
    And(Vec<Node>),
    Not(Box<Node>),
    Function(String),
    Numbers(Number, Comparison, Number),
    /// An attribute of the resource, whether it is to be equal, and the text.
    Attribute(String, bool, String),
}

#[derive(Clone, Copy, Debug)]
enum Number {
    Literal(f64),
    Statistic(&'static Named),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Equal,
    Unequal,
}

impl Expression {
    /// Whether it holds of a snapshot; not where it is [not known](Self#what-has-not-been-measured).
    pub fn holds(&self, metrics: &ProfileMetrics) -> bool {
        self.0.holds(metrics, metrics) == Some(true)
    }
}

impl Node {
    /// `None` where it is not known. `metrics` may be those of one function.
    fn holds(&self, metrics: &ProfileMetrics, whole: &ProfileMetrics) -> Option<bool> {
        match self {
            Self::Or(parts) => disjunction(parts.iter().map(|part| part.holds(metrics, whole))),
            Self::And(parts) => {
                let narrow = parts.iter().find_map(Self::function).map(|name| whole.function(name).alone());
                let metrics = narrow.as_ref().unwrap_or(metrics);
                let contrary = |known: Option<bool>| known.map(|holds| !holds);
                contrary(disjunction(parts.iter().map(|part| contrary(part.holds(metrics, whole)))))
            }
            Self::Not(part) => part.holds(metrics, whole).map(|holds| !holds),
            Self::Function(name) => Some(whole.function(name).is_there()),
            Self::Numbers(left, comparison, right) => {
                Some(comparison.holds(left.value(metrics)?.partial_cmp(&right.value(metrics)?)?))
            }
            Self::Attribute(name, equal, text) => {
                let value = whole.resource.attributes.get(name)?;
                Some((value.to_string() == *text) == *equal)
            }
        }
    }

    fn function(&self) -> Option<&str> {
        match self {
            Self::Function(name) => Some(name),
            _ => None,
        }
    }
}

/// Whether any holds: known where one does, or all are known.
fn disjunction(mut parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let known = parts.try_fold(Some(false), |known, part| match part {
        Some(true) => None,
        Some(false) => Some(known),
        None => Some(None),
    });
    known.unwrap_or(Some(true))
}

impl Number {
    fn value(self, metrics: &ProfileMetrics) -> Option<f64> {
        match self {
            Self::Literal(number) => Some(number),
            Self::Statistic(named) => named.value(metrics),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(one), Self::Literal(other)) => one == other,
            (Self::Statistic(one), Self::Statistic(other)) => one.name == other.name,
            _ => false,
        }
    }
}

impl Comparison {
    /// The longer ones first, since a shorter one may be their beginning.
    const ALL: [(&'static str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::MoreOrEqual),
        ("==", Self::Equal),
        ("!=", Self::Unequal),
        ("<", Self::Less),
        (">", Self::More),
    ];

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::More => ordering.is_gt(),
            Self::MoreOrEqual => ordering.is_ge(),
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
        }
    }
}

impl FromStr for Expression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse::parse(text).map(Self).map_err(|message| Error::new(ErrorKind::ConfigInvalid, message))
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse::parse(&text).map(Self).map_err(de::Error::custom)
    }
}

/// As it can be read again.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            parts.iter().enumerate().try_for_each(|(at, part)| {
                let word = if at == 0 { "" } else { word };
                match part {
                    Self::Or(_) => write!(f, "{word}({part})"),
                    _ => write!(f, "{word}{part}"),
                }
            })
        };
        match self {
            Self::Or(parts) => join(f, parts, " or "),
            Self::And(parts) => join(f, parts, " and "),
            Self::Not(part) => match **part {
                Self::Or(_) | Self::And(_) => write!(f, "not ({part})"),
                _ => write!(f, "not {part}"),
            },
            Self::Function(name) => write!(f, "function == {}", Quoted(name)),
            Self::Numbers(left, comparison, right) => write!(f, "{left} {comparison} {right}"),
            Self::Attribute(name, equal, text) => {
                let sign = if *equal { "==" } else { "!=" };
                write!(f, "{name} {sign} {}", Quoted(text))
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As `Debug` has it a large one is short.
            Self::Literal(number) if number.abs() >= 1e15 => write!(f, "{number:?}"),
            Self::Literal(number) if *number != 0.0 && number.abs() < 1e-5 => write!(f, "{number:?}"),
            Self::Literal(number) => number.fmt(f),
            Self::Statistic(named) => f.write_str(named.name),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Self::ALL.iter().find(|(_, comparison)| comparison == self);
        f.write_str(sign.map_or("", |(sign, _)| sign))
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests;
