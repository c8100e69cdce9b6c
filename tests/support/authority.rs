//! An authority of the tests' own, the certificates that it issues, clients that trust it, and servers that show them.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use super::client::{self, Answered};

/// How long a handshake or an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
#[derive(Clone)]
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    der: CertificateDer<'static>,
}

/// A connection of TLS.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        // Two of one name are one with a wrong signature, and no strangers.
        let name = format!("authority {}", hex::encode(&key.public_key_raw()[1..5]));
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, key).expect("parameters of an authority"))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Another certificate for 127.0.0.1 each time, which holds until a day.
    pub fn issue_until(&self, day: (i32, u8, u8)) -> Issued {
        self.issue_for("127.0.0.1", day)
    }

    /// The same for another name.
    pub fn issue_for(&self, name: &str, (year, month, day): (i32, u8, u8)) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a subject");
        params.not_after = rcgen::date_time_ymd(year, month, day);
        params.distinguished_name.push(DnType::CommonName, "modvet of the tests");
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.0).expect("an authority's key signs");
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone() }
    }

    pub fn issue(&self) -> Issued {
        self.issue_until((2100, 1, 1))
    }

    /// What a client speaks that trusts this authority alone.
    pub fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        // Every connection shows what a new client would get.
        config.resumption = rustls::client::Resumption::disabled();
        config
    }

    /// A connection after its handshake.
    pub fn connect(&self, server: SocketAddr, protocols: &[&str]) -> std::io::Result<Secured> {
        let name = ServerName::IpAddress(IpAddr::from(server.ip()));
        let connection = ClientConnection::new(Arc::new(self.client(protocols)), name).expect("a configuration");
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut secured = StreamOwned::new(connection, stream);
        while secured.conn.is_handshaking() {
            secured.conn.complete_io(&mut secured.sock)?;
        }
        Ok(secured)
    }

    /// Asks for a path over HTTP/1.1 on a connection of its own.
    pub fn get(&self, server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answered {
        let stream = self.connect(server, &["http/1.1"]).unwrap_or_else(|error| panic!("{path}: {error}"));
        client::request_over(stream, "GET", path, headers)
    }

    /// The certificate that a server shows now.
    pub fn shown_by(&self, server: SocketAddr) -> CertificateDer<'static> {
        let secured = self.connect(server, &[]).unwrap_or_else(|error| panic!("{server}: {error}"));
        let chain = secured.conn.peer_certificates().expect("servers show a certificate");
        chain[0].clone().into_owned()
    }
}

/// What a server speaks that shows this certificate; both are PEM.
pub fn server(certificate: &str, key: &str) -> ServerConfig {
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("certificate and key belong together")
}

impl Issued {
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Writes `server.pem` and `server.key` into a folder.
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("server.pem"), &self.certificate).expect("a writable folder");
        std::fs::write(folder.join("server.key"), &self.key).expect("a writable folder");
    }
}
