//! W3C Trace Context, level 1: a span's identity as the headers `traceparent` and `tracestate`.

use super::SpanContext;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Of `tracestate`; what is larger is not passed on.
const MAX_MEMBERS: usize = 32;
const MAX_BYTES: usize = 512;
/// Bytes of `00-<32>-<16>-<2>`.
const LEN: usize = 55;
/// The one flag that level 1 knows.
const SAMPLED: u8 = 1;

impl SpanContext {
    /// Whether neither identity is zero.
    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads a `traceparent`; `None` if it is not exactly what W3C Trace Context asks for. Of versions to come only what is known
    /// is read.
    ///
    /// ```
    /// # use exporters::SpanContext;
    /// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let context = SpanContext::from_traceparent(text).unwrap();
    /// assert!(context.is_sampled());
    /// assert_eq!(context.to_traceparent(), text);
    /// ```
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let (head, rest) = text.as_bytes().split_at_checked(LEN)?;
        let &[a, b, b'-', ref ids @ .., b'-', c, d] = head else { return None };
        let ([version], [flags]) = (hex(&[a, b])?, hex(&[c, d])?);
        match version {
            0 if rest.is_empty() => {}
            1..=0xFE if rest.is_empty() || rest[0] == b'-' => {}
            _ => return None,
        }
        let (trace_id, span_id) = ids.split_at_checked(32)?;
        let (b'-', span_id) = span_id.split_first()? else { return None };
        let flags = if version == 0 { flags } else { flags & SAMPLED };
        let (trace_id, span_id) = (hex(trace_id)?, hex(span_id)?);
        Some(Self { trace_id, span_id, flags, trace_state: "".into() }).filter(Self::is_valid)
    }

    /// Writes a `traceparent` of version 00.
    pub fn to_traceparent(&self) -> String {
        let mut text = String::with_capacity(LEN);
        let mut write = |bytes: &[u8]| {
            bytes.iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
            text.push('-');
        };
        write(&[0]);
        write(&self.trace_id);
        write(&self.span_id);
        write(&[self.flags & SAMPLED]);
        text.pop();
        text
    }

    /// Takes over a `tracestate`, of one header or of several joined by commas, as it is. It is left out if it has more than 32
    /// members or 512 bytes, or is not what W3C Trace Context asks for.
    #[must_use]
    pub fn with_tracestate(mut self, text: &str) -> Self {
        let text = text.trim_matches([' ', '\t']);
        self.trace_state = if is_state(text) { text.to_owned().into() } else { "".into() };
        self
    }

    /// Reads the headers of a request; `None` without a `traceparent`, with a wrong one, or with several.
    ///
    /// ```
    /// # use exporters::SpanContext;
    /// let mut headers = http::HeaderMap::new();
    /// assert_eq!(SpanContext::extract(&headers), None);
    /// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    /// headers.insert("traceparent", http::HeaderValue::from_static(text));
    /// headers.insert("tracestate", http::HeaderValue::from_static("vendor=1"));
    /// assert_eq!(SpanContext::extract(&headers).unwrap().trace_state, "vendor=1");
    /// ```
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (parents.next(), parents.next()) else { return None };
        let parent = parent.to_str().ok()?.trim_matches([' ', '\t']);
        let context = Self::from_traceparent(parent)?;
        let states: Result<Vec<&str>, _> =
            headers.get_all(TRACESTATE).iter().map(HeaderValue::to_str).collect();
        Some(context.with_tracestate(&states.unwrap_or_default().join(",")))
    }

    /// Sets the headers of a request, in place of those that are there. Does nothing for a context that is not
    /// [valid](Self::is_valid).
    pub fn inject(&self, headers: &mut HeaderMap) {
        if !self.is_valid() {
            return;
        }
        if let Ok(parent) = HeaderValue::try_from(self.to_traceparent()) {
            headers.insert(TRACEPARENT, parent);
        }
        headers.remove(TRACESTATE);
        let state = Some(&*self.trace_state).filter(|state| !state.is_empty());
        if let Some(Ok(state)) = state.map(HeaderValue::try_from) {
            headers.insert(TRACESTATE, state);
        }
    }
}

/// Bytes from lower-case hexadecimal digits, exactly so many.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Whether it is a list of members with different keys, and not too long. Members may be empty.
fn is_state(text: &str) -> bool {
    let members: Vec<&str> =
        text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|m| !m.is_empty()).collect();
    let pairs: Option<Vec<_>> = members.iter().map(|member| member.split_once('=')).collect();
    let Some(pairs) = pairs else { return false };
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    let distinct = keys.windows(2).all(|pair| pair[0] != pair[1]);
    let valid = pairs.iter().all(|(key, value)| is_key(key) && is_value(value));
    text.len() <= MAX_BYTES && members.len() <= MAX_MEMBERS && distinct && valid
}

/// `vendor`, or `tenant@vendor`.
fn is_key(key: &str) -> bool {
    let allowed =
        |part: &str| part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    let lower = |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase());
    match key.split_once('@') {
        None => lower(key) && allowed(key) && key.len() <= 256,
        Some((tenant, vendor)) => {
            let begins = tenant.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
            let (tenant_fits, vendor_fits) = (tenant.len() <= 241, vendor.len() <= 14);
            begins && allowed(tenant) && tenant_fits && lower(vendor) && allowed(vendor) && vendor_fits
        }
    }
}

/// Printable, without a space at its end.
fn is_value(value: &str) -> bool {
    let printable = value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b',' && b != b'=');
    printable && (1..=256).contains(&value.len()) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parse(text: &str) -> Option<SpanContext> {
        SpanContext::from_traceparent(text)
    }

    #[test]
    fn what_level_1_refuses_is_refused() {
        assert!(parse(GOOD).is_some());
        let wrong = [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "00-é0f7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn versions_to_come_are_read_as_far_as_they_are_known() {
        let known = SpanContext { flags: 1, ..parse(GOOD).unwrap() };
        for rest in ["-ff", "-ff-", "-03-what-will-be"] {
            let text = format!("cc{}{rest}", &GOOD[2..GOOD.len() - 3]);
            assert_eq!(parse(&text), Some(known.clone()), "{text}");
        }
    }

    #[test]
    fn a_state_is_kept_as_it_is_or_dropped() {
        let kept = |state: &str| parse(GOOD).unwrap().with_tracestate(state).trace_state == state;
        let many = |n: usize| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = |n: usize| format!("a={},b={}", "x".repeat(256), "y".repeat(n - 261));
        for state in
            ["", "a=1", "a=1,b=2", "a=1 , b=2", "t3n@v=x", "a=1,,b=2", "a=q p", &many(32), &long(512)]
        {
            assert!(kept(state), "{state}");
        }
        let wrong =
            ["a", "A=1", "a=1,a=2", "1a=2", "a=b=c", "t@1v=x", "a=é", "=1", "a=", &many(33), &long(513)];
        for state in wrong {
            assert!(!kept(state), "{state}");
        }
    }

    #[test]
    fn headers_go_out_and_come_in() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        let context = SpanContext::extract(&headers).unwrap();
        assert_eq!(context.trace_state, "a=1,b=2");
        let mut out = HeaderMap::new();
        out.insert(TRACESTATE, HeaderValue::from_static("old=1"));
        SpanContext { trace_state: "".into(), ..context.clone() }.inject(&mut out);
        assert!(!out.contains_key(TRACESTATE));
        context.inject(&mut out);
        assert_eq!(SpanContext::extract(&out), Some(context));
        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(SpanContext::extract(&headers), None);
        let before = out.clone();
        SpanContext::default().inject(&mut out);
        assert_eq!(out, before);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) {
            let trace_state = "a=1".into();
            let context = SpanContext { trace_id, span_id, flags: sampled.into(), trace_state };
            let read = parse(&context.to_traceparent()).map(|read| read.with_tracestate("a=1"));
            prop_assert_eq!(read, Some(context.clone()).filter(SpanContext::is_valid));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}", state in ".{0,600}") {
            if let Some(context) = parse(&text) {
                prop_assert!(context.is_valid());
            }
            let kept = parse(GOOD).unwrap().with_tracestate(&state).trace_state;
            prop_assert!(kept.is_empty() || kept.len() <= MAX_BYTES);
        }
    }
}
