//! `[tls]` and `trusted_proxies`: who speaks TLS with the clients, and who is believed about them.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Value;

use super::file::TlsTable;
use super::settings::{ADDRESS, Tls, TlsFiles};
use crate::registry::definition::Fault;

const TERMINATED: &str = "terminated";

/// Nobody speaks TLS where nothing is said.
pub(super) fn tls(written: Option<Value>, faults: &mut Vec<Fault>) -> Tls {
    let table = match written {
        None => return Tls::Off,
        Some(Value::String(word)) if word == TERMINATED => return Tls::Terminated,
        Some(Value::String(word)) => {
            faults.push(Fault::wrong("tls", &word, "\"terminated\", or a table with certificate and key"));
            return Tls::Off;
        }
        Some(other) => other,
    };
    // The schema has looked at every key.
    let table: TlsTable = table.try_into().unwrap_or_default();
    let redirect = table.redirect.and_then(|text| {
        let address = text.parse();
        if address.is_err() {
            faults.push(Fault::wrong("tls.redirect", &text, ADDRESS));
        }
        address.ok()
    });
    let mut file = |key: &str, value: Option<String>| {
        let named = value.filter(|file| !file.is_empty());
        if named.is_none() {
            faults.push(Fault::missing(format!("tls.{key}")).remedy(format!("name a PEM file: {key} = \"FILE\"")));
        }
        named
    };
    match (file("certificate", table.certificate), file("key", table.key)) {
        (Some(certificate), Some(key)) => Tls::Files(TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
            http2: table.http2.unwrap_or(true),
            redirect,
        }),
        _ => Tls::Off,
    }
}

/// Ranges, and addresses as ranges of one.
pub(super) fn trusted_proxies(written: &[String], faults: &mut Vec<Fault>) -> Vec<IpNet> {
    let mut ranges = Vec::new();
    for (at, text) in written.iter().enumerate() {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        match text.parse::<IpNet>().or_else(|_| address()) {
            Ok(range) => ranges.push(range),
            Err(_) => {
                let expected = "an address or a range such as 10.0.0.0/8";
                faults.push(Fault::wrong(format!("trusted_proxies.{at}"), text, expected));
            }
        }
    }
    ranges
}

/// As it stands in a file; nothing where there is none.
pub(super) fn written(tls: &Tls) -> Option<Value> {
    let files = match tls {
        Tls::Off => return None,
        Tls::Terminated => return Some(Value::String(TERMINATED.to_owned())),
        Tls::Files(files) => files,
    };
    let table = TlsTable {
        certificate: Some(files.certificate.to_string_lossy().into_owned()),
        key: Some(files.key.to_string_lossy().into_owned()),
        http2: Some(files.http2),
        redirect: files.redirect.map(|address| address.to_string()),
    };
    Some(Value::try_from(table).expect("texts and a truth value are values of TOML"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Settings};
    use crate::error::Error;

    fn settings(text: &str) -> Result<Settings, Vec<String>> {
        Settings::read(text, Given::default()).map_err(|faults| faults.iter().map(Error::to_string).collect())
    }

    #[test]
    fn tls_is_off_terminated_or_by_files() {
        assert_eq!(settings("").expect("nothing").tls, Tls::Off);
        let terminated = settings("tls = 'terminated'\ntrusted_proxies = ['10.0.0.0/8', '::1']").expect("a word");
        assert_eq!(terminated.tls, Tls::Terminated);
        let proxies: Vec<String> = terminated.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
        let text = "[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\nhttp2 = false\nredirect = '127.0.0.1:80'";
        let files = TlsFiles {
            certificate: "c.pem".into(),
            key: "k.pem".into(),
            http2: false,
            redirect: Some(([127, 0, 0, 1], 80).into()),
        };
        assert_eq!(settings(text).expect("files").tls, Tls::Files(files));
        assert!(settings("[tls]\ncertificate = 'c'\nkey = 'k'").expect("files").tls.files().expect("files").http2);
        let encrypted = [Tls::Off, Tls::Terminated].map(|tls| tls.is_encrypted());
        assert_eq!(encrypted, [false, true]);
    }

    #[test]
    fn what_is_wrong_about_tls_is_named_with_its_line() {
        let table = [
            ("\ntls = 'on'", "line 2: tls: \"on\" (expected \"terminated\", or a table with certificate and key)"),
            ("tls = true", "line 1: tls: true (expected a table or a text)"),
            ("[tls]\nkey = 'k'", "line 1: tls.certificate is missing\nname a PEM file: certificate = \"FILE\""),
            ("[tls]\ncertificate = 'c'\nkey = ''", "line 3: tls.key is missing\nname a PEM file: key = \"FILE\""),
            ("[tls]\ncertificate = 'c'\nkey = 'k'\nhttp2 = 1", "line 4: tls.http2: 1 (expected true or false)"),
            (
                "[tls]\ncertificate = 'c'\nkey = 'k'\nredirect = ':80'",
                "line 4: tls.redirect: \":80\" (expected an address and a port such as 127.0.0.1:3000)",
            ),
            ("[tls]\ncert = 'c'\nkey = 'k'", "line 2: unknown key `cert` in [tls]\ndid you mean `certificate`?"),
            ("tls = 'terminated'\n[tls]\nkey = 'k'", "line 2: duplicate key `tls`"),
            (
                "trusted_proxies = ['10.0.0.0/8',\n'proxy.example']",
                "line 2: trusted_proxies: \"proxy.example\" (expected an address or a range such as 10.0.0.0/8)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(settings(text).expect_err(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for text in ["", "tls = 'terminated'\ntrusted_proxies = ['10.0.0.0/8']", "[tls]\ncertificate='c'\nkey='k'"] {
            let read = settings(text).expect(text);
            let printed = toml::to_string(&read.file()).expect("it prints");
            let again = settings(&printed).expect(&printed);
            assert_eq!((again.tls, again.trusted_proxies), (read.tls, read.trusted_proxies), "{printed}");
        }
    }
}
