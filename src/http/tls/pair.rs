//! A certificate and its key, read from their files and found to belong together.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::error::{Error, Kind, Result};

const CERTIFICATE: &str = "tls.certificate";
const KEY: &str = "tls.key";

/// A chain has some KiB; what is larger is another file.
const LIMIT: u64 = 1 << 20;

/// Where a certificate and its key lie, and what is offered with them.
#[derive(Debug, Clone)]
pub struct Files {
    /// PEM: the server's certificate, then those up to its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// What lies in the files.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    sum: [u8; 32],
}

/// What clients are shown.
pub(super) struct Pair {
    pub config: Arc<ServerConfig>,
    pub not_after: DateTime<Utc>,
    /// Of the contents that it was made from.
    pub sum: [u8; 32],
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents> {
        let certificate = read(&self.certificate, CERTIFICATE)?;
        let key = read(&self.key, KEY)?;
        let mut sum = Sha256::new();
        sum.update((certificate.len() as u64).to_be_bytes());
        sum.update(&certificate);
        sum.update(&key);
        let sum = sum.finalize().into();
        Ok(Contents { certificate, key, sum })
    }

    /// Says what is wrong with the files, if anything; `Kind::Forbidden` where this user may not read them.
    pub fn check(&self) -> Result<()> {
        self.read().and_then(|contents| self.pair(&contents)).map(|_| ())
    }

    /// The pair that the contents make, if they do.
    pub(super) fn pair(&self, contents: &Contents) -> Result<Pair> {
        let chain = self.chain(&contents.certificate)?;
        let not_after = self.not_after(&chain[0])?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                let what = format!("{}: no private key in it (expected one in PEM, not encrypted)", shown(&self.key));
                Error::gone(what).about(KEY)
            }
            error => Error::gone(format!("{}: malformed PEM", shown(&self.key))).because(error).about(KEY),
        })?;
        let config = self.config(chain, key)?;
        Ok(Pair { config: Arc::new(config), not_after, sum: contents.sum })
    }

    fn chain(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
        let file = shown(&self.certificate);
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        let chain =
            chain.map_err(|error| Error::gone(format!("{file}: malformed PEM")).because(error).about(CERTIFICATE))?;
        if chain.is_empty() {
            return Err(Error::gone(format!("{file}: no certificate in it (expected PEM)")).about(CERTIFICATE));
        }
        Ok(chain)
    }

    /// Of the server's own certificate: an authority's that has ended may stand in the file for old clients.
    fn not_after(&self, certificate: &CertificateDer<'_>) -> Result<DateTime<Utc>> {
        let malformed = || Error::gone(format!("{}: malformed certificate", shown(&self.certificate)));
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| malformed().because(error).about(CERTIFICATE))?;
        let seconds = parsed.validity().not_after.timestamp();
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| malformed().about(CERTIFICATE))
    }

    fn config(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("TLS cannot be set up").because(error))?
            .with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let (key, certificate) = (shown(&self.key), shown(&self.certificate));
                Error::gone(format!("{key}: not the key of the certificate in {certificate}")).about(KEY)
            }
            error => {
                let what = format!("{} and {} cannot be used", shown(&self.certificate), shown(&self.key));
                Error::gone(what).because(error).about("tls")
            }
        })?;
        let protocols: &[&[u8]] = if self.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

impl Contents {
    pub fn sum(&self) -> [u8; 32] {
        self.sum
    }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>> {
    let unreadable = |error: io::Error| {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let kind = if is_denied { Kind::Forbidden } else { Kind::Gone };
        Error::new(kind, format!("{}: cannot be read", shown(path))).because(error).about(key)
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::gone(format!("{}: more than 1 MiB (expected PEM)", shown(path))).about(key));
    }
    Ok(bytes)
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.display()
}
