//! The go command's own list of proxies: `https://proxy.example,direct`.
//! Rules: go.dev/ref/mod#environment-variables (GOPROXY) and `proxyList` in `cmd/go/internal/modfetch/proxy.go`.

use sha2::{Digest, Sha256};
use url::Url;

use crate::error::{Error, Result};
use crate::registry::OnFailure;
use crate::registry::definition::{UpstreamDefinition, UpstreamKind};

/// Reads a list. After a comma the next one is asked only about what the one before does not have,
/// after a bar whatever the failure. `off` and `direct` end the list.
pub fn parse(list: &str) -> Result<Vec<UpstreamDefinition>> {
    let mut upstreams: Vec<UpstreamDefinition> = Vec::new();
    let mut seen_any = false;
    for item in list.split_inclusive([',', '|']) {
        let go_on = item.ends_with('|');
        let word = item.trim_end_matches([',', '|']).trim();
        if word.is_empty() {
            continue;
        }
        seen_any = true;
        if word == "off" {
            break;
        }
        let kind = kind(word)?;
        let ends = matches!(kind, UpstreamKind::Git);
        let mut upstream = UpstreamDefinition::new(name(&kind), kind);
        upstream.on_failure = if go_on { OnFailure::GoOn } else { OnFailure::Stop };
        upstreams.push(upstream);
        if ends {
            break;
        }
    }
    if !seen_any {
        return Err(Error::gone("upstream list is empty").remedy("give a list such as https://proxy.example,direct"));
    }
    Ok(upstreams)
}

fn kind(word: &str) -> Result<UpstreamKind> {
    if word == "direct" {
        return Ok(UpstreamKind::Git);
    }
    let invalid = |why: &str| {
        Error::gone(format!("upstream {:?}: {why}", without_password(word)))
            .remedy("an upstream is an https:// or http:// URL, a file:// URL, `direct` or `off`")
    };
    if !word.contains(['.', ':', '/']) {
        return Err(invalid("not a URL"));
    }
    let text = if word.contains(":/") || word.starts_with('/') { word.to_owned() } else { format!("https://{word}") };
    let url = Url::parse(&text).map_err(|error| invalid(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(UpstreamKind::Proxy(url)),
        "file" => url.to_file_path().map(UpstreamKind::Dir).map_err(|()| invalid("a file:// URL has a path only")),
        scheme => Err(invalid(&format!("scheme {scheme} (expected https, http or file)"))),
    }
}

/// A URL with its password left out, whatever else is wrong with it.
fn without_password(word: &str) -> String {
    match (word.find("://"), word.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &word[..scheme + 3], &word[at + 1..]),
        _ => word.to_owned(),
    }
}

/// A name by which answers are kept: no two addresses share one, so no answer of one is taken for another's.
fn name(kind: &UpstreamKind) -> String {
    match kind {
        UpstreamKind::Git => "direct".to_owned(),
        UpstreamKind::Proxy(url) => {
            let host = url.host_str().unwrap_or("proxy").replace(['[', ']', ':'], "-");
            let plain = url.scheme() == "https" && url.port().is_none() && url.path() == "/" && url.query().is_none();
            if plain && host.contains('.') { host } else { format!("{host}-{}", digest(url.as_str())) }
        }
        UpstreamKind::Dir(folder) => format!("dir-{}", digest(&folder.to_string_lossy())),
    }
}

/// Eight digits that tell addresses apart and show nothing of them.
fn digest(address: &str) -> String {
    hex::encode(&Sha256::digest(address)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_as_the_go_command_does() {
        // list, what it means: names, a bar where the next one is asked after any failure
        let table = [
            ("https://a.example,direct", "a.example direct"),
            ("https://a.example|https://b.example/x,direct", "a.example| b.example-32a93f2b direct"),
            ("a.example", "a.example"),
            ("direct,https://a.example", "direct"),
            ("https://a.example,off,direct", "a.example"),
            ("off", ""),
            (", ,https://a.example,", "a.example"),
            ("file:///srv/cache", "dir-2a93e82e"),
            ("http://127.0.0.1:3000,http://127.0.0.1:4000", "127.0.0.1-c51203df 127.0.0.1-b5ebfd43"),
        ];
        for (list, expected) in table {
            let found: Vec<String> = parse(list)
                .expect(list)
                .iter()
                .map(|u| format!("{}{}", u.name, if u.on_failure == OnFailure::GoOn { "|" } else { "" }))
                .collect();
            assert_eq!(found.join(" "), expected, "{list}");
        }
    }

    #[test]
    fn refuses_what_is_no_upstream_and_prints_no_password() {
        let table = [
            ("", "upstream list is empty"),
            ("noproxy", "upstream \"noproxy\": not a URL"),
            ("ftp://user:secret@a.example", "upstream \"ftp://a.example\": scheme ftp (expected https, http or file)"),
            ("/srv/cache", "upstream \"/srv/cache\": relative URL without a base"),
        ];
        for (list, expected) in table {
            assert_eq!(parse(list).expect_err(list).what(), expected);
        }
    }
}
