use super::*;
use crate::{
    Attributes, Buckets, Data, Descriptor, ExponentialHistogram, KeyValue, Metric, Number as Count, Point,
    Resource, Scope, Series, Sum, mapping::NAMED,
};
use proptest::prelude::*;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Calls in an interval of a second: by function, the calls that went well, those that did not, and how long each took.
fn snapshot(calls: &[(&'static str, u64, u64, f64)]) -> ProfileMetrics {
    let series = |pairs: &[(&'static str, &'static str)]| {
        let attributes: Attributes = pairs.iter().map(|(key, text)| KeyValue::new(*key, *text)).collect();
        Arc::new(Series { scope: Arc::<Scope>::default(), attributes, start: SystemTime::UNIX_EPOCH })
    };
    let mut points = Vec::new();
    let mut durations = Vec::new();
    for (function, ok, error, seconds) in calls {
        let place = [("function", *function), ("module", "shop::checkout")];
        for (result, count) in [("ok", *ok), ("error", *error)] {
            let [total, change] = [count + 1000, count].map(Count::U64);
            let series = series(&[&place[..], &[("result", result)]].concat());
            points.push(Point { series, total, change, exemplars: Vec::new() });
        }
        let count = ok + error;
        let histogram = ExponentialHistogram {
            scale: 3,
            positive: Buckets { offset: (seconds.log2() * 8.0).ceil() as i32, counts: vec![count] },
            sum: seconds * count as f64,
            max: (count > 0).then_some(*seconds),
            ..ExponentialHistogram::default()
        };
        durations.push(Point {
            series: series(&place),
            total: histogram.clone(),
            change: histogram,
            exemplars: Vec::new(),
        });
    }
    let metric = |name: &'static str, data| Metric {
        descriptor: Arc::new(Descriptor { name: name.into(), ..Descriptor::default() }),
        data,
    };
    let attributes = [KeyValue::new("service.name", "shop"), KeyValue::new("process.pid", 17)];
    let start = SystemTime::UNIX_EPOCH;
    ProfileMetrics {
        resource: Arc::new(Resource { attributes: attributes.into_iter().collect() }),
        interval: start..start + Duration::from_secs(1),
        metrics: vec![
            metric("function.calls", Data::Sum(Sum { monotonic: true, points })),
            metric("function.calls.duration", Data::ExponentialHistogram(durations)),
        ],
        ended: Vec::new(),
    }
}

fn read(text: &str) -> Expression {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn it_holds_where_it_should() {
    let metrics = snapshot(&[("charge", 5, 5, 0.2), ("refund", 90, 0, 0.01), ("idle", 0, 0, 1.0)]);
    for (text, expected) in [
        ("error_rate == 0.05", true),
        ("error_rate != 0.05", false),
        ("calls_per_second >= 100 and calls_per_second <= 100", true),
        ("calls_per_second > 100 or calls_per_second < 100", false),
        ("total_calls == 6100", true),
        ("100 < max_latency_ms", true),
        ("p50_latency_ms < p99_latency_ms", true),
        ("1 > 2", false),
        ("-1 < -0.5 and 1e3 == 1000", true),
        // One function.
        ("error_rate == 0.5 and function == \"charge\"", true),
        ("function == 'checkout::charge' and error_rate == 0.5", true),
        ("function == 'shop::checkout::charge' and avg_latency_ms > 199 and avg_latency_ms < 201", true),
        ("function == 'other::charge' and error_rate == 0.5", false),
        ("function == 'refund' and error_rate > 0", false),
        ("function == 'refund' and (error_rate > 0 or calls_per_second == 90)", true),
        ("function == 'refund' and not error_rate > 0", true),
        ("function == 'refund' and (error_rate > 0 or function == 'charge' and error_rate > 0)", true),
        ("function == 'refund' and calls_per_second == 90 or error_rate > 0.06", true),
        ("function == 'refund' and error_rate > 0.01 or error_rate > 0.06", false),
        ("function == 'charge'", true),
        ("not function == 'charge'", false),
        ("not function == 'none' and calls_per_second == 100", true),
        // What has not been measured.
        ("function == 'idle' and avg_latency_ms > 100", false),
        ("function == 'idle' and not avg_latency_ms > 100", false),
        ("not (function == 'idle' and avg_latency_ms > 100)", false),
        ("function == 'idle' and calls_per_second == 0", true),
        ("messages_per_second > 0", false),
        ("not messages_per_second > 0", false),
        ("messages_per_second > 0 or error_rate > 0", true),
        ("not (messages_per_second > 0 or error_rate > 0)", false),
        ("messages_per_second > 0 and error_rate < 0", false),
        ("not (messages_per_second > 0 and error_rate < 0)", true),
        // The resource.
        ("service.name == 'shop' and process.pid == '17'", true),
        ("service.name != 'shop'", false),
        ("deployment.environment.name == 'x' or deployment.environment.name != 'x'", false),
        // What binds how.
        ("1 > 2 and 1 > 2 or 2 > 1", true),
        ("2 > 1 or 1 > 2 and 1 > 2", true),
        ("(2 > 1 or 1 > 2) and 1 > 2", false),
        ("not 1 > 2 and 2 > 1", true),
        ("not not 2 > 1", true),
    ] {
        assert_eq!(read(text).holds(&metrics), expected, "{text}");
        assert_eq!(read(&read(text).to_string()), read(text), "{text}");
    }
}

#[test]
fn every_statistic_can_be_compared_and_what_is_not_there_is_not_known() {
    let nothing = ProfileMetrics { metrics: Vec::new(), ..snapshot(&[]) };
    for named in NAMED {
        let value = named.value(&nothing);
        let [at_least, not] =
            ["", "not "].map(|not| read(&format!("{not}{} > -1", named.name)).holds(&nothing));
        assert_eq!((at_least, not), (value.is_some(), false), "{}", named.name);
    }
}

#[test]
fn it_is_printed_as_people_write_it() {
    for (text, printed) in [
        ("  error_rate>0.05   and(function=='a')", "error_rate > 0.05 and function == \"a\""),
        ("(1<2 and 2<3) and ((3<4))", "1 < 2 and 2 < 3 and 3 < 4"),
        ("(1<2 or 2<3) and not(3<4 and 4<5)", "(1 < 2 or 2 < 3) and not (3 < 4 and 4 < 5)"),
        (r#"service.name != 'a"\'\\b'"#, r#"service.name != "a\"'\\b""#),
        ("1e300 > 1e-7", "1e300 > 1e-7"),
    ] {
        assert_eq!(read(text).to_string(), printed);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_column_and_without_its_text() {
    let deep = format!("{}1 < 2{}", "(".repeat(33), ")".repeat(33));
    let nots = "not ".repeat(100_000 / 32);
    for (text, expected) in [
        ("", "column 1: expected a number or a name, found the end"),
        ("avg_latency_ms > )", "column 18: expected a number or a name, found `)`"),
        ("avg_latency > 5", "column 1: there is no statistic of this name; did you mean `avg_latency_ms`?"),
        ("hunter2 > 5", "column 1: there is no statistic of this name"),
        ("5 > and", "column 5: expected a number or a name, found `and`"),
        ("é == 'ü' and", "column 1: there is no statistic of this name"),
        ("service.name == 'hünter2' and", "column 30: expected a number or a name, found the end"),
        ("error_rate", "column 11: expected `<`, `<=`, `>`, `>=`, `==` or `!=`, found the end"),
        ("error_rate > 'hunter2'", "column 14: expected a number or a name, found text"),
        (
            "error_rate > 1 AND 1 < 2",
            "column 16: expected `and`, `or` or the end, found a name; did you mean `and`?",
        ),
        ("(error_rate > 1", "column 16: expected `and`, `or` or `)`, found the end"),
        ("error_rate = 1", "column 12: to compare is written `==`"),
        ("error_rate > 1 && 1 < 2", "column 16: `and` is written as a word"),
        ("!(1 < 2)", "column 1: `not` is written as a word"),
        ("error_rate > 5%", "column 15: this character has no meaning outside of text"),
        (
            "p95_latency_ms > 100ms",
            "column 18: this is no number; it has no unit, which the statistic's name says",
        ),
        ("1 < 1e999", "column 5: the number is too large"),
        ("function == hunter2", "column 13: expected text in quotes, found a name"),
        ("function != 'a'", "column 10: a function is compared by `==`; before that may stand `not`"),
        ("function == 'a", "column 13: the text has no end; a ' is missing"),
        (r"function == 'a\n'", r"column 15: a `\` stands before a quote or another `\`"),
        ("service.name > 'a'", "column 14: an attribute is compared by `==` or `!=`"),
        (
            "function.calls > 1",
            "column 1: this is a metric; a condition compares statistics, such as `error_rate`",
        ),
        (
            "function == 'a' and (function == 'b' and 1 < 2)",
            "column 21: a conjunction is about one function; join those about several by `or`",
        ),
        (
            "1 < 2 and (function == 'a' or function == 'b')",
            "column 1: a choice of functions narrows nothing; write `function == .. and ..` for each, joined by `or`",
        ),
        (&deep, "column 34: parentheses and `not` are more than 32 deep"),
        (nots.get(..4000).unwrap_or_default(), "column 133: parentheses and `not` are more than 32 deep"),
        (&" ".repeat(5000), "the expression is longer than 4096 bytes"),
    ] {
        let error = text.parse::<Expression>().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::ConfigInvalid, expected), "{text}");
    }
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        any_number().prop_map(Number::Literal),
        (0..NAMED.len()).prop_map(|at| Number::Statistic(&NAMED[at])),
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    prop_oneof![POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, (-1000..1000i32).prop_map(f64::from)]
        .prop_filter("it is a number", |number| number.is_finite())
}

fn comparison() -> impl Strategy<Value = Comparison> {
    (0..Comparison::ALL.len()).prop_map(|at| Comparison::ALL[at].1)
}

/// A tree as reading makes them.
fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        (number(), comparison(), number()).prop_map(|(left, sign, right)| Node::Numbers(left, sign, right)),
        "\\PC{0,9}".prop_map(Node::Function),
        ("[a-z_é]{1,4}\\.[a-z.]{1,4}", any::<bool>(), ".{0,9}")
            .prop_map(|(name, equal, text)| Node::Attribute(name, equal, text)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 2..4);
        let is_function = |part: &Node| part.function().is_some();
        prop_oneof![
            several().prop_map(|parts| {
                let flat = |part| match part {
                    Node::Or(parts) => parts,
                    part => vec![part],
                };
                Node::Or(parts.into_iter().flat_map(flat).collect())
            }),
            several().prop_filter_map("one function, and no choice of any", move |parts| {
                let flat = |part| match part {
                    Node::And(parts) => parts,
                    part => vec![part],
                };
                let parts: Vec<Node> = parts.into_iter().flat_map(flat).collect();
                let choice = |part: &Node| matches!(part, Node::Or(or) if or.iter().any(is_function));
                let one = parts.iter().filter(|part| is_function(part)).count() < 2;
                (one && !parts.iter().any(choice)).then_some(Node::And(parts))
            }),
            inner.prop_map(|part| Node::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(node in node()) {
        let expression = Expression(node);
        let printed = expression.to_string();
        prop_assume!(printed.len() <= 4096);
        prop_assert_eq!(&read(&printed), &expression, "{}", printed);
    }

    #[test]
    fn reading_never_panics(text in ".{0,60}", words in proptest::collection::vec(0usize..16, 0..30)) {
        const WORDS: [&str; 16] = [
            "error_rate", "function", "service.name", "and", "or", "not", "(", ")", "==", "!=", "<", ">=", "5", "-.5e", "'a\\'é'", "\"",
        ];
        let words = words.iter().map(|at| WORDS[*at]).collect::<Vec<_>>().join(" ");
        for text in [text.clone(), words.clone(), format!("{words}{text}{words}")] {
            if let Ok(expression) = text.parse::<Expression>() {
                prop_assert_eq!(&read(&expression.to_string()), &expression);
                expression.holds(&snapshot(&[("a", 1, 1, 0.1)]));
            }
        }
    }
}
