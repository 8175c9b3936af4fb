//! What a receiver says of a request that it took: how many items of it it refused, and why.

use crate::encode::{Field, Fields};

/// `partial_success` of an `Export…ServiceResponse`.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct PartialSuccess {
    /// Refused spans, or data points.
    pub(super) rejected: u64,
    /// For people; a warning where nothing was refused.
    pub(super) message: String,
}

/// A message is for people.
const LONGEST_MESSAGE: usize = 300;

/// Reads an answer's body, in whichever form it is, asked for or not: an object of JSON, or protobuf. What makes no sense says
/// nothing, since the status says that the request was taken.
pub(super) fn partial_success(body: &[u8]) -> PartialSuccess {
    // Protobuf may begin like an object of JSON after a line break, but does not go on like one.
    let mut answer = of_json(body).or_else(|| of_protobuf(body)).unwrap_or_default();
    answer.message.truncate(answer.message.floor_char_boundary(LONGEST_MESSAGE));
    answer.message = answer.message.replace(char::is_control, " ");
    answer
}

fn of_json(body: &[u8]) -> Option<PartialSuccess> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let partial = ["partialSuccess", "partial_success"].into_iter().find_map(|key| body.get(key))?;
    let rejected = ["rejectedSpans", "rejectedDataPoints", "rejected_spans", "rejected_data_points"];
    let rejected = rejected.into_iter().find_map(|key| partial.get(key));
    let rejected = rejected.and_then(|n| n.as_u64().or_else(|| n.as_str()?.parse().ok()));
    let message = ["errorMessage", "error_message"].into_iter().find_map(|key| partial.get(key)?.as_str());
    Some(PartialSuccess {
        rejected: rejected.unwrap_or_default(),
        message: message.unwrap_or_default().to_owned(),
    })
}

fn of_protobuf(body: &[u8]) -> Option<PartialSuccess> {
    let mut answer = PartialSuccess::default();
    for partial in Fields::of(body).filter_map(|(number, field)| field.bytes().filter(|_| number == 1)) {
        for (number, field) in Fields::of(partial) {
            match (number, field) {
                (1, Field::Number(rejected)) => answer.rejected = i64::try_from(rejected).ok()? as u64,
                (2, Field::Bytes(message)) => {
                    answer.message = String::from_utf8_lossy(message).into_owned();
                }
                _ => {}
            }
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read_and_what_is_neither_says_nothing() {
        let said = |rejected, message: &str| PartialSuccess { rejected, message: message.to_owned() };
        for (body, answer) in [
            (&b""[..], said(0, "")),
            (b"{}", said(0, "")),
            (b"\x0a\x00", said(0, "")),
            (b"\x0a\x06\x08\x03\x12\x02no", said(3, "no")),
            (b"\x0a\x05\x12\x03a\nb", said(0, "a b")),
            // With fields that nobody knows yet.
            (
                b"\x0a\x14\x19\x00\x00\x00\x00\x00\x00\x00\x00\x25\x00\x00\x00\x00\x08\xac\x02\x12\x01x",
                said(300, "x"),
            ),
            (b"{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"no\"}}", said(3, "no")),
            (b" {\"partialSuccess\":{\"rejectedDataPoints\":3}}", said(3, "")),
            (
                b"{\"accepted_spans\":2,\"partial_success\":{\"rejected_spans\":1,\"error_message\":\"x\"}}",
                said(1, "x"),
            ),
            (&[b"\x0a{\x08\x03\x12w", &[b'a'; 119][..]].concat(), said(3, &"a".repeat(119))),
            (b"\x0a\xff", said(0, "")),
            (b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", said(0, "")),
            (b"<html>", said(0, "")),
        ] {
            assert_eq!(partial_success(body), answer, "{body:?}");
        }
        let long = format!("{{\"partialSuccess\":{{\"errorMessage\":\"{}\"}}}}", "é".repeat(1000));
        assert_eq!(partial_success(long.as_bytes()).message.len(), LONGEST_MESSAGE);
    }

    proptest! {
        #[test]
        fn anything_is_an_answer(body: Vec<u8>) {
            partial_success(&body);
            partial_success(&[b"\x0a", &*body].concat());
            partial_success(&[b"{", &*body].concat());
        }
    }
}
