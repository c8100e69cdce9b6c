//! Until when the certificates of those who answered hold.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use chrono::{DateTime, Utc};
use url::Url;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::failure;

/// So many hosts are remembered before all are forgotten: their next answers tell it again.
const REMEMBERED: usize = 1024;

/// What was seen of each host at its last answer over TLS.
#[derive(Debug, Default)]
pub(super) struct Certificates(RwLock<HashMap<String, Seen>>);

#[derive(Debug)]
struct Seen {
    /// What was read: nearly every answer comes with the same one.
    der: Vec<u8>,
    not_after: DateTime<Utc>,
}

impl Certificates {
    /// Takes note of a server's own certificate.
    pub fn note(&self, url: &Url, der: &[u8]) {
        let host = failure::host(url);
        if self.0.read().unwrap_or_else(PoisonError::into_inner).get(&host).is_some_and(|seen| seen.der == der) {
            return;
        }
        if let Some(not_after) = not_after(der) {
            self.put(host, Seen { der: der.to_vec(), not_after });
        }
    }

    /// Takes note that nothing was said since the certificate has ended.
    pub fn note_end(&self, url: &Url, not_after: DateTime<Utc>) {
        self.put(failure::host(url), Seen { der: Vec::new(), not_after });
    }

    /// The last moment of what a URL's host showed last.
    pub fn not_after(&self, url: &Url) -> Option<DateTime<Utc>> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(&failure::host(url)).map(|seen| seen.not_after)
    }

    fn put(&self, host: String, seen: Seen) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED && !all.contains_key(&host) {
            all.clear();
        }
        all.insert(host, seen);
    }
}

fn not_after(der: &[u8]) -> Option<DateTime<Utc>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::net::double::{Answer, Server, authority};
    use crate::net::{Client, InsteadOf, Proxies, Request, Settings, Trust};

    fn issued(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["git.example".to_owned()]).expect("a subject");
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        let key = KeyPair::generate().expect("randomness");
        params.self_signed(&key).expect("its own key signs").der().to_vec()
    }

    #[test]
    fn the_last_certificate_of_a_host_and_port_counts() {
        let url = |text: &str| Url::parse(text).expect(text);
        let moment = |text: &str| Some(text.parse::<DateTime<Utc>>().expect(text));
        let certificates = Certificates::default();
        certificates.note(&url("https://git.example/a"), &issued(2031));
        certificates.note(&url("https://git.example:8443/"), &issued(2032));
        assert_eq!(certificates.not_after(&url("https://git.example/b?c")), moment("2031-03-04T00:00:00Z"));
        assert_eq!(certificates.not_after(&url("https://git.example:8443/")), moment("2032-03-04T00:00:00Z"));
        certificates.note(&url("https://git.example/"), b"no certificate");
        certificates.note(&url("https://git.example/"), &issued(2033));
        assert_eq!(certificates.not_after(&url("https://git.example/")), moment("2033-03-04T00:00:00Z"));
        assert_eq!(certificates.not_after(&url("https://other.example/")), None);
    }

    #[tokio::test]
    async fn an_answer_over_tls_tells_until_when_the_certificate_holds() {
        let server = Server::start_tls(|_| Answer::ok("hello")).await;
        let instead = vec![InsteadOf { prefix: "https://go.test/".to_owned(), replacement: server.url("/").into() }];
        let settings = Settings {
            proxies: Proxies::none(),
            extra_roots: vec![authority()],
            instead_of: instead,
            ..Settings::default()
        };
        let client = Client::new(settings).expect("settings");
        assert_eq!(client.certificate_end(&server.url("/")), None, "nobody asked yet");
        client.send(Request::get(server.url("/")).trust(Trust::Named)).await.expect("an answer");
        let end = "2126-10-28T12:30:05Z".parse().ok();
        assert_eq!(client.certificate_end(&server.url("/x")), end);
        let replaced = Url::parse("https://go.test/x").expect("url");
        assert_eq!(client.certificate_end(&replaced), end, "whoever answers for an address");
    }

    #[tokio::test]
    async fn a_certificate_that_ended_is_known_though_nothing_is_answered() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("randomness")).expect("parameters");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a subject");
        params.not_after = rcgen::date_time_ymd(2020, 5, 6);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &issuer).expect("an authority's key signs").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let server = Server::start_tls_with(certificate, key, |_| Answer::ok("never")).await;
        let extra_roots = vec![issuer.der().clone()];
        let settings = Settings { proxies: Proxies::none(), extra_roots, ..Settings::default() };
        let client = Client::new(settings).expect("settings");
        let error = client.send(Request::get(server.url("/")).trust(Trust::Named)).await.expect_err("it has ended");
        assert!(error.chain().contains("certificate"), "{error}");
        assert_eq!(client.certificate_end(&server.url("/")), "2020-05-06T00:00:00Z".parse().ok());
    }
}
