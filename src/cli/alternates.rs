//! The mirrors that upstreams read from, made of what the configuration says.

use std::sync::Arc;

use crate::config::MirrorSettings;
use crate::error::Result;
use crate::git::Mirrored;
use crate::monitor::{MirrorDefinition, MirrorKind, Reader};
use crate::net::Client;
use crate::ports::{MayRead, Mirrors, Reading, Source};
use crate::registry::definition::{UpstreamDefinition, UpstreamKind};
use crate::spec::repository::SameRepository;
use crate::upstream;

/// All mirrors, and how they stand.
#[derive(Clone)]
pub struct Alternates {
    pub mirrors: Vec<MirrorSettings>,
    pub standing: Arc<dyn Mirrors>,
}

/// Those that a git upstream reads from.
#[derive(Clone, Default)]
pub struct GitMirrors(Vec<GitMirror>);

#[derive(Clone)]
struct GitMirror {
    sources: Vec<SameRepository>,
    mirrors: Vec<SameRepository>,
    /// `None` where the mirror cannot be asked.
    instead: Option<Mirrored>,
    always: Mirrored,
}

impl Alternates {
    /// What an upstream's adapters are made from besides its own definition.
    pub fn mark_of(&self, definition: &UpstreamDefinition) -> String {
        format!("{:?}", self.named(definition).collect::<Vec<_>>())
    }

    /// Those of a git upstream; `view` gives the client that a mirror is asked with.
    pub fn of_git(
        &self,
        definition: &UpstreamDefinition,
        client: &Client,
        view: impl Fn(&MirrorSettings) -> Result<Client>,
    ) -> GitMirrors {
        let mut all = Vec::new();
        for settings in self.named(definition) {
            let MirrorKind::Git { source, mirror, .. } = &settings.definition.kind else { continue };
            let (sources, mirrors) = (places(client, source), places(client, mirror));
            let name = &settings.definition.name;
            let instead = match view(settings) {
                Ok(client) => {
                    let may_read = self.may_read(definition, &settings.definition, Reading::Instead);
                    Some(Mirrored::Alternate { name: name.clone(), url: mirror.clone(), client, may_read })
                }
                Err(error) => {
                    let upstream = &definition.name;
                    tracing::error!(upstream, mirror = name, %error, "the upstream does without this mirror");
                    None
                }
            };
            let always =
                Mirrored::Always { may_read: self.may_read(definition, &settings.definition, Reading::Always) };
            all.push(GitMirror { sources, mirrors, instead, always });
        }
        GitMirrors(all)
    }

    /// A proxy upstream as it may be read.
    pub fn of_proxy(&self, definition: &UpstreamDefinition, source: Arc<dyn Source>) -> Arc<dyn Source> {
        let is_git = matches!(definition.kind, UpstreamKind::Git);
        let named = self.named(definition).filter(|_| !is_git);
        named.filter(|settings| matches!(settings.definition.kind, MirrorKind::Proxy { .. })).fold(
            source,
            |source, settings| {
                let may_read = self.may_read(definition, &settings.definition, Reading::Always);
                Arc::new(upstream::Mirrored::new(source, may_read))
            },
        )
    }

    fn named<'a>(&'a self, definition: &'a UpstreamDefinition) -> impl Iterator<Item = &'a MirrorSettings> {
        let of = |name: &String| self.mirrors.iter().find(|mirror| mirror.definition.name == *name);
        definition.mirrors.iter().filter_map(of)
    }

    fn may_read(&self, upstream: &UpstreamDefinition, mirror: &MirrorDefinition, reading: Reading) -> Arc<MayRead> {
        let reader = Reader::new(&upstream.name, &mirror.name, reading, upstream.on_stale, self.standing.clone());
        let reader = reader.in_part(!mirror.kind.compares_all());
        Arc::new(move || reader.may_read())
    }
}

impl GitMirrors {
    /// What one of them is to the repository that a module path leads to.
    pub fn of(&self, client: &Client, url: &str) -> Option<&Mirrored> {
        let places = places(client, url);
        let is_one = |mirror: &&GitMirror| places.last().is_some_and(|place| mirror.mirrors.contains(place));
        let has_one = |mirror: &&GitMirror| places.iter().any(|place| mirror.sources.contains(place));
        let always = self.0.iter().find(is_one).map(|mirror| &mirror.always);
        always.or_else(|| self.0.iter().filter(has_one).find_map(|mirror| mirror.instead.as_ref()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An address as it is written, and what the configuration puts in its place.
fn places(client: &Client, url: &str) -> Vec<SameRepository> {
    let instead = client.instead_of(url);
    let instead = instead.as_ref().map(|instead| instead.expose());
    [Some(url), instead].into_iter().flatten().filter_map(SameRepository::of).collect()
}
