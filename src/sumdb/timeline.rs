//! One log with one past: every signed tree holds the ones before it, every record lies where the tree says.
//! Rules: `mergeLatestMem`, `checkTrees` and `checkRecord` in golang.org/x/mod/sumdb.

use std::collections::HashMap;

use bytes::Bytes;

use super::database::Database;
use super::head::{Fork, Signed};
use super::kept::Brought;
use super::path::{Path, Target};
use super::turns::Turn;
use super::ways::Errand;
use crate::error::{Error, Result};
use crate::spec::tile::{HEIGHT, Plan, Tile};
use crate::spec::tree::{Hash, Node, Record, TreeHead, peaks, root};

/// Hashes that a signed tree is proven to have.
struct Reading {
    hashes: Vec<Hash>,
    /// The tiles that were not kept yet.
    brought: Vec<(Tile, Brought)>,
    /// Whoever needs the same tiles waits until they are kept.
    _turns: Vec<Turn>,
}

/// Which tiles are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Kept,
    /// All anew: what is kept may be of the log that this one contradicts.
    Outside,
}

impl Database {
    /// Refuses everything once the database has contradicted itself.
    pub(super) fn stand(&self) -> Result<()> {
        match self.remembered.is_forked() {
            true => Err(self.misbehaved()),
            false => Ok(()),
        }
    }

    /// Holds a signed tree against the one that is remembered, and remembers the newer one.
    pub(super) async fn advance(&self, errand: Errand<'_>, note: &Bytes) -> Result<()> {
        let signed = Signed::open(note, &self.key, self.clock.now()).map_err(|error| self.lie(error))?;
        loop {
            self.stand()?;
            let Some(ours) = self.remembered.head() else {
                if self.remembered.replace(None, signed.clone()).await? {
                    return Ok(());
                }
                continue;
            };
            if signed.tree == ours.tree || self.older.get(&signed.tree).is_some() {
                return Ok(());
            }
            if signed.tree.size == ours.tree.size {
                return Err(self.forked(&ours, &signed).await?);
            }
            let is_newer = signed.tree.size > ours.tree.size;
            let (older, newer) = if is_newer { (ours.tree, signed.tree) } else { (signed.tree, ours.tree) };
            let (reading, holds) = self.compare(errand, older, newer).await?;
            if !holds {
                return Err(self.forked(&ours, &signed).await?);
            }
            self.keep(reading).await?;
            if !is_newer {
                self.older.insert(signed.tree, ());
                return Ok(());
            }
            if self.remembered.replace(Some(ours.tree), signed.clone()).await? {
                return Ok(());
            }
        }
    }

    /// Whether the older tree is the beginning of the newer one.
    async fn compare(&self, errand: Errand<'_>, older: TreeHead, newer: TreeHead) -> Result<(Reading, bool)> {
        let reading = self.read(errand, newer, &peaks(older.size)).await?;
        let holds = root(&reading.hashes) == older.hash;
        Ok((reading, holds))
    }

    /// Whether the remembered tree has a record at its number.
    pub(super) async fn include(&self, errand: Errand<'_>, record: &Record<'_>) -> Result<()> {
        let head = self.remembered.head().ok_or_else(|| Error::internal("a record without a tree"))?;
        let Record { number, text, .. } = *record;
        if number >= head.tree.size {
            let what = format!("record {number} is not in the signed tree of {} records", head.tree.size);
            return Err(self.lie(Error::bad_gateway(what)));
        }
        let reading = self.read(errand, head.tree, &[Node::leaf(number)]).await?;
        if reading.hashes[..] != [Hash::of_record(text.as_bytes())] {
            let what = format!("record {number} is not what the signed tree of {} records has there", head.tree.size);
            return Err(self.lie(Error::bad_gateway(what)));
        }
        self.keep(reading).await
    }

    /// Keeps the tile that a node of the remembered tree lies in.
    pub(super) async fn bring(&self, errand: Errand<'_>, tree: TreeHead, node: Node) -> Result<()> {
        let reading = self.read(errand, tree, &[node]).await?;
        self.keep(reading).await
    }

    /// As wide as it is kept, if that is wide enough.
    pub(super) async fn kept_tile(&self, tile: Tile) -> Result<Option<(Bytes, std::time::Duration, String)>> {
        let wide_enough = |body: &Bytes| body.len() >= tile.size();
        if let Some(body) = self.tiles.get(&tile.full()).filter(wide_enough) {
            return Ok(Some((body.slice(..tile.size()), std::time::Duration::ZERO, self.name().to_owned())));
        }
        let kept = self.shelf.read(&tile.full().to_string()).await?;
        let Some(kept) = kept.filter(|kept| wide_enough(&kept.body)) else { return Ok(None) };
        self.tiles.insert(tile.full(), kept.body.clone());
        Ok(Some((kept.body.slice(..tile.size()), kept.age, kept.via)))
    }

    /// The hashes of nodes in a signed tree.
    async fn read(&self, errand: Errand<'_>, tree: TreeHead, nodes: &[Node]) -> Result<Reading> {
        let plan = Plan::new(tree, nodes, HEIGHT)
            .ok_or_else(|| self.lie(Error::bad_gateway(format!("the tree of {} records is too small", tree.size))))?;
        let first = self.read_from(errand, &plan, nodes, Source::Kept).await;
        match first {
            // What is kept was proven once, of the log as it was then.
            Err(error) if error.is_conclusive() => self.read_from(errand, &plan, nodes, Source::Outside).await,
            reading => reading,
        }
    }

    async fn read_from(&self, errand: Errand<'_>, plan: &Plan, nodes: &[Node], source: Source) -> Result<Reading> {
        let mut bytes: HashMap<Tile, Bytes> = HashMap::new();
        if source == Source::Kept {
            self.add_kept(plan, &mut bytes).await?;
        }
        let mut missing: Vec<Tile> = plan.tiles().iter().copied().filter(|tile| !bytes.contains_key(tile)).collect();
        // In one order for all, so that no two wait for each other.
        missing.sort_by_key(|tile| tile.full().to_string());
        let mut turns = Vec::with_capacity(missing.len());
        for tile in &missing {
            turns.push(self.turns.take(&tile.full().to_string()).await);
        }
        if source == Source::Kept && !missing.is_empty() {
            self.add_kept(plan, &mut bytes).await?;
            missing.retain(|tile| !bytes.contains_key(tile));
        }
        let fetched = futures_util::future::join_all(missing.iter().map(|tile| self.fetch(errand, *tile))).await;
        let mut brought = Vec::with_capacity(missing.len());
        for (tile, fetched) in missing.into_iter().zip(fetched) {
            let it = fetched?;
            bytes.insert(tile, it.body.clone());
            brought.push((tile, it));
        }
        let ordered: Vec<Bytes> = plan.tiles().iter().map(|tile| bytes[tile].clone()).collect();
        let proven = plan.prove(&ordered).map_err(|error| self.lie(error))?;
        let hashes: Option<Vec<Hash>> = nodes.iter().map(|node| proven.hash(*node)).collect();
        let hashes = hashes.ok_or_else(|| Error::internal("a hash that was planned for is missing"))?;
        Ok(Reading { hashes, brought, _turns: turns })
    }

    async fn add_kept(&self, plan: &Plan, bytes: &mut HashMap<Tile, Bytes>) -> Result<()> {
        for tile in plan.tiles() {
            if !bytes.contains_key(tile)
                && let Some((body, ..)) = self.kept_tile(*tile).await?
            {
                bytes.insert(*tile, body);
            }
        }
        Ok(())
    }

    /// A tile as wide as it is wanted; where the database has only the full one by now, the beginning of that.
    async fn fetch(&self, errand: Errand<'_>, tile: Tile) -> Result<Brought> {
        let path = |tile| Path { name: self.name().to_owned(), target: Target::Tile(tile) };
        let fetched = match self.ways.ask(errand, &path(tile)).await {
            Err(error) if error.is_absence() && !tile.is_full() => {
                match self.ways.ask(errand, &path(tile.full())).await {
                    Err(full) if full.is_absence() => Err(error),
                    full => full,
                }
            }
            fetched => fetched,
        };
        let fetched = fetched.map_err(|error| match error.is_absence() {
            // Of a tree that it signed it has every tile: that is a failure.
            true => Error::bad_gateway(format!("{tile} of the signed tree is missing: {}", error.chain())),
            false => error,
        })?;
        let body = fetched.body.slice(..tile.size());
        Ok(Brought { file: tile.full().to_string(), body, via: fetched.via })
    }

    /// Keeps tiles that were proven, but never a narrower one in the place of a wider.
    async fn keep(&self, reading: Reading) -> Result<()> {
        let mut brought = Vec::with_capacity(reading.brought.len());
        for (tile, it) in reading.brought {
            let wider = self.kept_tile(tile).await?.is_some_and(|(body, ..)| body == it.body);
            if !wider {
                self.tiles.insert(tile.full(), it.body.clone());
                brought.push(it);
            }
        }
        if brought.is_empty() {
            return Ok(());
        }
        self.shelf.keep(brought).await
    }

    /// What is no failure but a lie: nobody else is asked in its place.
    pub(super) fn lie(&self, error: Error) -> Error {
        Error::bad_gateway(format!("checksum database {}: {}", self.name(), error.chain())).conclusive()
    }

    /// Writes down that two trees contradict each other.
    async fn forked(&self, ours: &Signed, theirs: &Signed) -> Result<Error> {
        let text = |signed: &Signed| String::from_utf8_lossy(&signed.note).into_owned();
        let fork = Fork { seen_at: self.clock.now(), ours: text(ours), theirs: text(theirs) };
        tracing::error!(
            database = self.name(),
            ours = fork.ours,
            theirs = fork.theirs,
            "checksum database misbehavior: it signed two trees that contradict each other"
        );
        self.remembered.note_fork(fork).await?;
        Ok(self.misbehaved())
    }

    fn misbehaved(&self) -> Error {
        let name = self.name();
        let error = Error::bad_gateway(format!("SECURITY ERROR: checksum database {name} contradicts its own past"));
        error
            .about(format!("sumdb/{name}"))
            .remedy("nothing that it says is believed or passed on until an administrator has looked into it")
            .remedy("both signed trees: GET /api/v1/sumdb")
            .remedy(format!("when it is settled: DELETE /api/v1/sumdb/forks/{name}"))
            .conclusive()
    }
}
