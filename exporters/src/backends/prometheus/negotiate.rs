//! What the client asked for: the format by `Accept`, compression by `Accept-Encoding`.

/// A format of the page.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Length-delimited protobuf: the only one that carries native histograms.
    Protobuf,
}

impl Format {
    /// The `Content-Type` of pages in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// The format that an `Accept` header prefers; text where there is none, or none that is known.
    pub fn negotiate(accept: Option<&str>) -> Self {
        Self::best(accept, |_| true)
    }

    /// The preferred format of those that are `possible`.
    pub(super) fn best(accept: Option<&str>, possible: impl Fn(Self) -> bool) -> Self {
        let ranges = accept.unwrap_or_default().split(',').map(Range::parse);
        let known = ranges.filter_map(|range| Some((range.format().filter(|f| possible(*f))?, range.q)));
        // The first of those with the same q.
        known
            .filter(|(_, q)| *q > 0.0)
            .reduce(|best, next| if next.1 > best.1 { next } else { best })
            .map_or(Self::Text, |(format, _)| format)
    }
}

/// Whether a response may be compressed with gzip.
pub(super) fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let ranges = || accept_encoding.unwrap_or_default().split(',').map(Range::parse);
    let q = |name: &str| ranges().find(|range| range.name.eq_ignore_ascii_case(name)).map(|range| range.q);
    q("gzip").or_else(|| q("*")).is_some_and(|q| q > 0.0)
}

/// One element of a header that ranks what the client takes.
struct Range<'a> {
    name: &'a str,
    parameters: &'a str,
    q: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut range = Self { name: name.trim(), parameters, q: 1.0 };
        if let Some(q) = range.parameter("q") {
            range.q = q.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
        }
        range
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    }

    fn format(&self) -> Option<Format> {
        let is = |name: &str| self.name.eq_ignore_ascii_case(name);
        let version = |wanted: &str| self.parameter("version").is_none_or(|version| version == wanted);
        if is("application/openmetrics-text") && version("1.0.0") {
            Some(Format::OpenMetrics)
        } else if is("application/vnd.google.protobuf")
            && self.parameter("proto") == Some("io.prometheus.client.MetricFamily")
            && self.parameter("encoding") == Some("delimited")
        {
            Some(Format::Protobuf)
        } else if (is("text/plain") && version("0.0.4")) || is("text/*") || is("*/*") {
            Some(Format::Text)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_q_wins_and_then_the_first() {
        let protobuf =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        // What Prometheus 2.42 sends with and without native histograms, and Prometheus 3.
        let cases = [
            (format!("{protobuf},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Format::Protobuf),
            ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1".into(), Format::OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1".into(), Format::OpenMetrics),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8".into(), Format::Text),
            (format!("text/plain;q=0.5, {protobuf};q=0.4"), Format::Text),
            (format!("text/plain, {protobuf}"), Format::Text),
            ("Application/OpenMetrics-Text; Version=1.0.0; Q=0.1, text/plain;q=0".into(), Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1".into(), Format::Text),
            ("application/vnd.google.protobuf".into(), Format::Text),
            ("application/openmetrics-text;q=nonsense".into(), Format::Text),
            (",;;=,q=1;;".into(), Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::negotiate(Some(&accept)), format, "{accept}");
        }
        assert_eq!(Format::negotiate(None), Format::Text);
        let text_only = |format| format != Format::Protobuf;
        let accept = format!("{protobuf},application/openmetrics-text;q=0.8,text/plain;q=0.5");
        assert_eq!(Format::best(Some(&accept), text_only), Format::OpenMetrics);
    }

    #[test]
    fn gzip_only_where_it_is_accepted() {
        for (header, accepted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(Some(header)), accepted, "{header}");
        }
        assert!(!accepts_gzip(None));
    }
}
