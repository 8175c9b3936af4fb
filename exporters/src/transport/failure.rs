//! Why there is no answer: the errors of the HTTP client in our words, and nothing in them that may be secret.

use crate::{Error, ErrorKind};
use rustls::{AlertDescription as Alert, CertificateError as Wrong};
use std::{error::Error as StdError, io, time::Duration};

/// A reason is for people; parts of it may come from the other side.
const LONGEST_REASON: usize = 200;

/// How the other side ends a connection whose certificate, ours, it does not accept.
const REFUSALS: [Alert; 8] = [
    Alert::AccessDenied,
    Alert::BadCertificate,
    Alert::CertificateExpired,
    Alert::CertificateRequired,
    Alert::CertificateRevoked,
    Alert::CertificateUnknown,
    Alert::UnknownCA,
    Alert::UnsupportedCertificate,
];
const CERTIFICATE: &str = "the backend does not accept our certificate: see `tls.client_cert_file`";

/// nginx, where it wants another certificate of us, or any, says so by a page. Other servers end the connection.
pub(super) fn certificate_refused(status: u16, page: &[u8]) -> Option<Error> {
    const SAID: &[u8] = b"SSL certificate";
    let said = status == 400 && page.windows(SAID.len()).any(|part| part == SAID);
    said.then(|| Error::new(ErrorKind::Unavailable, CERTIFICATE).with_context("status", status))
}

/// The whole exchange took too long.
pub(super) fn timed_out(timeout: Duration) -> Error {
    let message = "there was no complete answer in time: see `timeout`";
    Error::new(ErrorKind::Timeout, message).with_context("timeout", format_args!("{timeout:?}"))
}

/// All of these may be over soon: a certificate is renewed, a name comes back, so nothing is given up for them.
pub(super) fn failure(error: reqwest::Error, connect_timeout: Duration) -> Error {
    // A URL may hold a secret.
    let error = error.without_url();
    let connecting = error.is_connect();
    if error.is_timeout() && connecting {
        let message = "there was no connection in time: see `connect_timeout`";
        return Error::new(ErrorKind::Unavailable, message)
            .with_context("connect_timeout", format_args!("{connect_timeout:?}"));
    }
    let reason = chain(&error).last().map(ToString::to_string).unwrap_or_default();
    let (kind, message) = match chain(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        _ if error.is_timeout() => (ErrorKind::Timeout, "the connection timed out"),
        _ if error.is_builder() => {
            (ErrorKind::ConfigInvalid, "this is no request that can be sent: see `endpoint`")
        }
        Some(tls) => (ErrorKind::Unavailable, tls_message(tls)),
        None if is_refusal(&reason) => (ErrorKind::Unavailable, CERTIFICATE),
        None if error.is_dns() => {
            (ErrorKind::Unavailable, "the host of the endpoint, or of the proxy, is not found")
        }
        None if connecting => (ErrorKind::Unavailable, "there is no connection; nothing was sent"),
        None => (ErrorKind::Unavailable, "the connection broke, or what came was not an answer"),
    };
    Error::new(kind, message).with_context("reason", shortened(reason))
}

fn tls_message(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. } => {
                "the backend's certificate is out of date, or our clock is wrong; nothing was sent"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "the backend's certificate is for another host, so nothing was sent: see `endpoint`"
            }
            _ => {
                "the backend's certificate is not one to trust, so nothing was sent: if its authority is a private one, \
                 name that in `tls.ca_file`"
            }
        },
        rustls::Error::AlertReceived(alert) if REFUSALS.contains(alert) => CERTIFICATE,
        rustls::Error::InvalidMessage(_) => "the other side does not speak TLS: is this port for https?",
        _ => "the encrypted connection failed",
    }
}

/// HTTP/2 leaves no more than the text of what broke a connection.
fn is_refusal(reason: &str) -> bool {
    REFUSALS.iter().any(|alert| reason == rustls::Error::AlertReceived(*alert).to_string())
}

/// The error and its causes. An `io::Error` that holds another gives only that one's cause as its own.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    fn next<'a>(cause: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        let cause = *cause;
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as _).or_else(|| cause.source())
    }
    std::iter::successors(Some(error as _), next)
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_REASON {
        text.truncate(text.floor_char_boundary(LONGEST_REASON));
        text.push('…');
    }
    text
}
