//! TLS: the system's certificates, nobody else's.
//! Rules: `SSL_CERT_FILE` and `SSL_CERT_DIR` as rustls-native-certs reads them.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};

/// Trusts the system and `extra`, offers HTTP/2.
pub(super) fn config(extra: &[CertificateDer<'static>]) -> Result<ClientConfig> {
    let native = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(native.certs);
    for root in extra {
        roots.add(root.clone()).map_err(|e| Error::internal("invalid certificate").because(e))?;
    }
    if roots.is_empty() {
        let why = native.errors.first().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(why, "the system has no trusted certificates: https will fail");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("TLS cannot be set up").because(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
