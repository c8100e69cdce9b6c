//! The mirror watch, put together: how both sides of every mirror are asked.

use std::sync::Arc;

use super::build::Builder;
use super::environment;
use crate::config::MirrorSettings;
use crate::error::{Error, Result};
use crate::git::{MirrorPair, Party};
use crate::monitor::{MirrorDefinition, MirrorKind, Origin, RefPattern, Watched, Way};
use crate::net::{Client, Secret};
use crate::ports::{Pair, RefUpdate, Relate, Relation, RemoteRef, Side, Source, Transfer, Updated};
use crate::registry::Shelf;
use crate::registry::definition::{Auth, Timeouts, UpstreamDefinition, UpstreamKind};
use crate::upstream::Failing;

/// The mirrors of the configuration. One whose credentials cannot be read is there all the same, and says so at every
/// check: it must not keep a server from starting, nor go unwatched.
pub fn watched(builder: &Builder, mirrors: &[MirrorSettings]) -> Vec<Watched> {
    let watched = mirrors.iter().map(|mirror| {
        if let Some(doubt) = mirror.definition.doubt() {
            tracing::warn!(mirror = mirror.definition.name, "{doubt}");
        }
        Watched { definition: mirror.definition.clone(), way: way(builder, mirror) }
    });
    watched.collect()
}

fn way(builder: &Builder, mirror: &MirrorSettings) -> Way {
    let definition = &mirror.definition;
    let sides = || {
        let source = side(builder, Side::Source, mirror.source_auth.as_ref())?;
        Ok::<_, Error>((source, side(builder, Side::Mirror, mirror.mirror_auth.as_ref())?))
    };
    let asked = sides().and_then(|(source, mirror)| match &definition.kind {
        MirrorKind::Git { refs, .. } => git(builder, definition, refs, source, mirror),
        MirrorKind::Proxy { source: origin, mirror: url, .. } => {
            let source = match origin {
                Origin::Proxy(url) => builder.proxy(url, &source)?,
                Origin::Git => modules(builder, definition, &source),
            };
            Ok(Way::Proxy { source, mirror: builder.proxy(url, &mirror)? })
        }
    });
    asked.unwrap_or_else(|error| {
        tracing::error!(mirror = definition.name, %error, "this mirror cannot be checked");
        let failing = |error| Arc::new(Failing::new(error)) as Arc<dyn Source>;
        match definition.kind {
            MirrorKind::Git { .. } => Way::Git(Arc::new(Unasked(error))),
            MirrorKind::Proxy { .. } => Way::Proxy { source: failing(error.clone()), mirror: failing(error) },
        }
    })
}

/// A side's own view of the client.
fn side(builder: &Builder, side: Side, auth: Option<&Auth>) -> Result<Client> {
    let secret = auth.map(|auth| environment::secret(&auth.secret).map(Secret::new)).transpose();
    let secret = secret.map_err(|error| error.about(format!("{}_auth", side.as_str())))?;
    builder.view_of(auth, secret, Timeouts::default())
}

fn git(
    builder: &Builder,
    definition: &MirrorDefinition,
    refs: &[RefPattern],
    source: Client,
    mirror: Client,
) -> Result<Way> {
    let repositories = builder.folders.of(shelf(definition).as_str());
    let source = Party { url: definition.source(), client: source };
    let mirror = Party { url: definition.mirror(), client: mirror };
    let prefixes = refs.iter().map(|pattern| pattern.prefix().to_owned()).collect();
    Ok(Way::Git(Arc::new(MirrorPair::new(repositories, source, mirror, prefixes)?)))
}

/// The modules of a proxy, from their own repositories and never from what is kept of them.
fn modules(builder: &Builder, definition: &MirrorDefinition, client: &Client) -> Arc<dyn Source> {
    let mut upstream = UpstreamDefinition::new(&definition.name, UpstreamKind::Git);
    upstream.list_validity = std::time::Duration::ZERO;
    builder.git(&upstream, &shelf(definition), client)
}

/// A name with a space in it is no upstream's.
fn shelf(definition: &MirrorDefinition) -> Shelf {
    Shelf::new(format!("mirror {}", definition.name), definition.kind.word(), &definition.source())
}

/// A pair that cannot even be asked.
struct Unasked(Error);

impl Pair for Unasked {
    fn refs(&self, _: Side) -> Result<Vec<RemoteRef>> {
        Err(self.0.clone())
    }

    fn relate(&self, _: &Relate<'_>) -> Result<Relation> {
        Err(self.0.clone())
    }

    fn sync(&self, _: &[RefUpdate], _: &mut dyn FnMut(Transfer) -> bool) -> Result<Vec<Updated>> {
        Err(self.0.clone())
    }
}
