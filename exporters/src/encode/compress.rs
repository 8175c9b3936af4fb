//! Compression of what is sent.

use crate::Result;
use bytes::Bytes;
use serde::Deserialize;

/// How what is sent is compressed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As RFC 1952 has it.
    #[cfg(feature = "gzip")]
    Gzip,
    /// As RFC 8878 has it.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// What `Content-Encoding` calls it.
    pub const fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            #[cfg(feature = "gzip")]
            Self::Gzip => Some("gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some("zstd"),
        }
    }

    /// The compressed bytes.
    ///
    /// # Errors
    /// [`Encode`](crate::ErrorKind::Encode) where the compressor fails.
    pub fn compress(self, body: Bytes) -> Result<Bytes> {
        match self {
            Self::None => Ok(body),
            #[cfg(feature = "gzip")]
            Self::Gzip => gzip(&body),
            #[cfg(feature = "zstd")]
            Self::Zstd => {
                zstd::bulk::compress(&body, zstd::DEFAULT_COMPRESSION_LEVEL).map(Bytes::from).map_err(failed)
            }
        }
    }
}

#[cfg(feature = "gzip")]
fn gzip(body: &[u8]) -> Result<Bytes> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).map(Bytes::from).map_err(failed)
}

#[cfg(any(feature = "gzip", feature = "zstd"))]
fn failed(error: std::io::Error) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Encode, "the payload could not be compressed").with_source(error)
}
