//! The mirrors that an upstream reads from: they must be there, and be of use to it.

use url::Url;

use super::{Fault, UpstreamDefinition, UpstreamKind};
use crate::ports::OnStale;

/// A mirror of the configuration, as far as an upstream has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMirror {
    pub name: String,
    pub kind: KnownMirrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownMirrorKind {
    /// Of a git repository.
    Git,
    /// A module proxy at this address.
    Proxy(Url),
    /// Something else is wrong with it.
    Unclear,
}

/// Reads what stands under `mirrors` and `on_stale`.
pub(super) fn read(
    kind: Option<&UpstreamKind>,
    mirrors: Option<Vec<String>>,
    on_stale: Option<&str>,
    faults: &mut Vec<Fault>,
) -> (Vec<String>, OnStale) {
    let mirrors = mirrors.unwrap_or_default();
    if matches!(kind, Some(UpstreamKind::Dir(_))) && !mirrors.is_empty() {
        faults.push(Fault::other("mirrors", "a dir upstream has none (expected no mirrors)").rests_on(&["kind"]));
    }
    for (at, twice) in mirrors.iter().enumerate().filter(|(at, name)| mirrors[..*at].contains(name)) {
        faults.push(Fault::wrong(format!("mirrors.{at}"), twice, "each mirror once"));
    }
    let on_stale = match on_stale {
        None | Some("warn") => OnStale::Warn,
        Some("refuse") => OnStale::Refuse,
        Some(other) => {
            faults.push(Fault::wrong("on_stale", other, "warn or refuse"));
            OnStale::Warn
        }
    };
    // Somebody would take it for a guard.
    if on_stale == OnStale::Refuse && mirrors.is_empty() {
        let what = "\"refuse\" without mirrors (expected the names of those that it reads from in mirrors)";
        faults.push(Fault::other("on_stale", what).rests_on(&["mirrors"]));
    }
    (mirrors, on_stale)
}

impl UpstreamDefinition {
    /// Every mirror must be known, and be one that this upstream can read from.
    pub fn look_for_mirrors(&self, known: &[KnownMirror], faults: &mut Vec<Fault>) {
        for (at, name) in self.mirrors.iter().enumerate() {
            let key = format!("mirrors.{at}");
            let what = match (known.iter().find(|mirror| mirror.name == *name).map(|mirror| &mirror.kind), &self.kind) {
                (None, _) => {
                    let names: Vec<&str> = known.iter().map(|mirror| mirror.name.as_str()).collect();
                    let expected = match names.is_empty() {
                        true => "the name of a [[mirror]]".to_owned(),
                        false => format!("one of: {}", names.join(", ")),
                    };
                    format!("upstream {} names the unknown mirror {name:?} (expected {expected})", self.name)
                }
                (Some(KnownMirrorKind::Proxy(_)), UpstreamKind::Git) => {
                    format!("{name:?} is a mirror of kind proxy (expected one of kind git, as the upstream is)")
                }
                (Some(KnownMirrorKind::Git), UpstreamKind::Proxy(_)) => {
                    format!("{name:?} is a mirror of kind git (expected one of kind proxy, as the upstream is)")
                }
                (Some(KnownMirrorKind::Proxy(mirror)), UpstreamKind::Proxy(own)) if !is_same(mirror, own) => {
                    format!("{name:?} stands at {mirror} (expected a mirror at {own}, where the upstream reads)")
                }
                _ => continue,
            };
            faults.push(Fault::other(key, what));
        }
    }
}

/// Whether two proxies are one.
fn is_same(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    place(one) == place(other) && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
}
