//! TLS: whom we trust, who we are, and a provider of our own that no other crate can swap.

use crate::{Error, ErrorKind, Result, named_file};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use rustls_platform_verifier::Verifier;
use serde::Deserialize;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Whom to trust, and how to show who we are, over `https`. All files are PEM; they are read when an exporter is made.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities to trust, and no others. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, with those between it and its authority. Default: none.
    pub client_cert_file: Option<PathBuf>,
    /// The private key of our certificate.
    pub client_key_file: Option<PathBuf>,
}

impl TlsConfig {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where nothing is encrypted, nobody is trusted, and the system's authorities need not be read.
pub(super) fn without_tls() -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// # Errors
/// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a file that cannot be read or holds something else, and where the system has
/// no authorities.
pub(super) fn client_config(config: &TlsConfig) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match &config.ca_file {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(system(provider)?)),
    };
    let mut tls = match (&config.client_cert_file, &config.client_key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("tls.client_cert_file", certificate)?;
            let private = open(key).and_then(PrivateKeyDer::from_pem_reader);
            let private = private.map_err(|error| unreadable("tls.client_key_file", key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|_| {
                wrong("`tls.client_cert_file` and `tls.client_key_file` do not belong together, or are of a kind that is not supported")
            })?
        }
        _ => return Err(wrong("of `tls.client_cert_file` and `tls.client_key_file`, set both or none")),
    };
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn system(provider: Arc<CryptoProvider>) -> Result<Verifier> {
    Verifier::new(provider).map_err(|_| {
        wrong(
            "the system has no authorities to trust: install them (`ca-certificates`), or set `tls.ca_file`",
        )
    })
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.ca_file", file)? {
        roots.add(certificate).map_err(|_| not_pem("tls.ca_file", file))?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = open(file).and_then(|open| CertificateDer::pem_reader_iter(open).collect());
    match all {
        Ok(all) if all.is_empty() => Err(not_pem(setting, file)),
        Ok(all) => Ok(all),
        Err(error) => Err(unreadable(setting, file, &error)),
    }
}

fn open(file: &Path) -> Result<fs::File, pem::Error> {
    named_file::open(file).map_err(pem::Error::Io)
}

/// Never what is in the file.
fn unreadable(setting: &'static str, file: &Path, error: &pem::Error) -> Error {
    match error {
        pem::Error::Io(error) => wrong("a file of certificates or keys cannot be read")
            .with_context("setting", setting)
            .with_context("file", file.display())
            .with_context("reason", named_file::reason(error)),
        _ => not_pem(setting, file),
    }
}

fn not_pem(setting: &'static str, file: &Path) -> Error {
    wrong("a file does not hold what it should, as PEM (`-----BEGIN …`)")
        .with_context("setting", setting)
        .with_context("file", file.display())
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

fn unusable(error: rustls::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "TLS cannot be used").with_source(error)
}
