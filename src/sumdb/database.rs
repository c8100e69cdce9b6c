//! One checksum database: what it says is proven, kept, and said again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use super::head::Remembered;
use super::kept::{Brought, Kept, Shelf};
use super::passed::Record;
use super::path::{Path, Target};
use super::status::{Counts, Status};
use super::turns::Turns;
use super::ways::{Asker, Errand, Ways};
use crate::error::{Error, Result, Said};
use crate::ports::{Clock, Store, Sumdb};
use crate::spec::database::NamedDatabase;
use crate::spec::note::VerifierKey;
use crate::spec::tile::{HEIGHT, Tile};
use crate::spec::tree::{self, TreeHead};

/// How an answer was had: the words of `X-Modvet-Cache`.
const MISS: &str = "miss";
const HIT: &str = "hit";
const STALE: &str = "stale";

/// So many tiles of at most 8 KiB are held in memory.
const TILES: usize = 512;

/// So many older trees are remembered to be of the same past.
const OLDER: usize = 1024;

/// So long the newest tree is given without asking for a newer one.
const LATEST: Duration = Duration::from_secs(60);

/// So long a version that the database does not have is not asked for again.
const ABSENT: Duration = Duration::from_secs(10);

/// A checksum database that is known by its key.
pub struct Database {
    pub(super) key: VerifierKey,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ways: Ways,
    pub(super) shelf: Shelf,
    pub(super) remembered: Remembered,
    /// Proven tiles as wide as they are kept, by the full one.
    pub(super) tiles: Cache<Tile, Bytes>,
    /// Trees that are proven to be the beginning of the remembered one.
    pub(super) older: Cache<TreeHead, ()>,
    pub(super) turns: Turns,
    absent: Cache<String, (DateTime<Utc>, Error)>,
    url: String,
    /// Seconds since the epoch when the newest tree was last asked for.
    latest_at: AtomicU64,
    counts: Counts,
}

impl Database {
    /// `direct` asks it without a proxy. Blocking: it reads what is remembered.
    pub fn open(
        named: &NamedDatabase,
        direct: Arc<dyn Sumdb>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Database> {
        let (key, name) = (named.key.clone(), named.name());
        Ok(Database {
            ways: Ways::new(name, direct, clock.clone()),
            shelf: Shelf::new(name, &key.to_string(), store.clone(), clock.clone()),
            remembered: Remembered::read(store, &key)?,
            tiles: Cache::new(TILES),
            older: Cache::new(OLDER),
            turns: Turns::default(),
            absent: Cache::new(OLDER),
            url: named.url.to_string(),
            latest_at: AtomicU64::new(0),
            counts: Counts::default(),
            key,
            clock,
        })
    }

    pub fn name(&self) -> &str {
        self.key.name()
    }

    /// Its place in the store, as an upstream's: `sumdb~MARK`.
    pub fn shelf(&self) -> &str {
        &self.shelf.name
    }

    /// Drops what is in memory of an entry that was removed from the store.
    pub fn forget(&self, key: &str) {
        if let Some(tile) = self.shelf.file(key).and_then(Tile::parse) {
            self.tiles.remove(&tile);
        }
    }

    pub fn status(&self) -> Status {
        let (head, fork) = (self.remembered.head(), self.remembered.fork());
        Status::new(&self.key, &self.url, head, fork, self.ways.unreached_since(), &self.counts)
    }

    /// Believes the database again, and where the remembered tree is to be forgotten, from what it signs next on;
    /// `false` if it had not contradicted itself.
    pub async fn clear_fork(self: &Arc<Self>, forget_head: bool) -> Result<bool> {
        let cleared = self.remembered.clear_fork(forget_head).await?;
        if cleared && forget_head {
            // Tiles and records were proven by the tree that is forgotten.
            self.tiles.clear();
            self.older.clear();
            let database = self.clone();
            super::kept::blocking(move || database.shelf.clear()).await?;
        }
        Ok(cleared)
    }

    /// Waited for in vain: it is left alone for a while.
    pub(super) fn was_too_slow(&self) {
        self.ways.rest_all();
    }

    /// That it is passed on: a promise, which is kept also when it contradicts itself, since clients would turn to
    /// the database itself.
    pub(super) fn supported(&self) -> Record {
        self.said(Bytes::new(), HIT, Duration::ZERO, self.name())
    }

    /// Answers a path below its name.
    pub(super) async fn answer(&self, errand: Errand<'_>, target: &Target) -> Result<Record> {
        if *target != Target::Supported {
            self.stand()?;
        }
        let answered = match target {
            Target::Supported => Ok(self.supported()),
            Target::Latest => self.latest(errand).await,
            Target::Lookup { .. } => self.lookup(errand, target).await,
            Target::Tile(tile) => self.tile(errand, *tile).await,
        };
        answered.map_err(|error| error.about(format!("sumdb/{}/{}", self.name(), target.file())))
    }

    /// The same out of what is kept alone.
    pub(super) async fn kept(&self, target: &Target) -> Result<Record> {
        if *target != Target::Supported {
            self.stand()?;
        }
        let found = match target {
            Target::Supported => Some(self.supported()),
            Target::Latest => self.head(STALE),
            Target::Lookup { .. } => self.shelf.read(&target.file()).await?.map(|kept| self.hit(kept)),
            Target::Tile(tile) => self.kept_record(*tile).await?,
        };
        let absent = || Error::not_found("nothing is kept that answers this");
        found.ok_or_else(|| absent().about(format!("sumdb/{}/{}", self.name(), target.file())))
    }

    async fn lookup(&self, errand: Errand<'_>, target: &Target) -> Result<Record> {
        let looked = self.looked_up(errand, target).await;
        self.counts.count(&looked, |record| record.said.cache == HIT);
        looked
    }

    async fn looked_up(&self, errand: Errand<'_>, target: &Target) -> Result<Record> {
        let file = target.file();
        if let Some(kept) = self.shelf.read(&file).await? {
            return Ok(self.hit(kept));
        }
        let _turn = self.turns.take(&file).await;
        if let Some(kept) = self.shelf.read(&file).await? {
            return Ok(self.hit(kept));
        }
        if let Some((at, absence)) = self.absent.get(&file)
            && self.age(at) < ABSENT
        {
            return Err(absence);
        }
        let path = Path { name: self.name().to_owned(), target: target.clone() };
        let fetched = self.ways.ask(errand, &path).await.inspect_err(|error| {
            if error.is_absence() {
                self.absent.insert(file.clone(), (self.clock.now(), error.clone()));
            }
        })?;
        let record = tree::Record::parse(&fetched.body)?;
        self.advance(errand, &Bytes::copy_from_slice(record.note)).await?;
        self.include(errand, &record).await?;
        let (body, via) = (fetched.body.clone(), fetched.via.clone());
        self.shelf.keep(vec![Brought { file, body, via }]).await?;
        Ok(self.said(fetched.body, MISS, Duration::ZERO, &fetched.via))
    }

    /// The newest tree that is proven, never an older one than before.
    async fn latest(&self, errand: Errand<'_>) -> Result<Record> {
        if self.latest_age() < LATEST
            && let Some(head) = self.head(HIT)
        {
            return Ok(head);
        }
        let _turn = self.turns.take("latest").await;
        if self.latest_age() < LATEST
            && let Some(head) = self.head(HIT)
        {
            return Ok(head);
        }
        // Who has an older one to give does not wait for somebody who failed lately.
        let has_head = self.remembered.head().is_some();
        let errand = if has_head { Errand { asker: Asker::Verifier, ..errand } } else { errand };
        match self.ask_for_latest(errand).await {
            Ok(via) => {
                let head = self.head(MISS).ok_or_else(|| Error::internal("a tree was advanced to and is not there"))?;
                Ok(Record { said: Said { upstream: via, ..head.said }, ..head })
            }
            Err(error) if error.is_conclusive() => Err(error),
            Err(error) => self.head(STALE).ok_or(error),
        }
    }

    /// Who answered.
    async fn ask_for_latest(&self, errand: Errand<'_>) -> Result<String> {
        let path = Path { name: self.name().to_owned(), target: Target::Latest };
        let fetched = self.ways.ask(errand, &path).await?;
        self.advance(errand, &fetched.body).await?;
        self.latest_at.store(self.seconds(), Ordering::Relaxed);
        Ok(fetched.via)
    }

    async fn tile(&self, errand: Errand<'_>, tile: Tile) -> Result<Record> {
        let provable = if tile.height() == HEIGHT { tile.last() } else { None };
        if let Some(last) = provable {
            if let Some(record) = self.kept_record(tile).await? {
                return Ok(record);
            }
            let has = |tree: TreeHead| last.number < tree.size >> last.level;
            let mut tree = self.remembered.head().map(|head| head.tree).filter(|tree| has(*tree));
            if tree.is_none() {
                // The client knows a newer tree than we do.
                match self.ask_for_latest(errand).await {
                    Err(error) if error.is_conclusive() => return Err(error),
                    _ => tree = self.remembered.head().map(|head| head.tree).filter(|tree| has(*tree)),
                }
            }
            if let Some(tree) = tree {
                self.bring(errand, tree, last).await?;
                let kept = self.kept_record(tile).await?;
                let record = kept.ok_or_else(|| Error::internal("a tile was proven and is not kept"))?;
                return Ok(Record { said: Said { cache: MISS, ..record.said }, ..record });
            }
        }
        // Nothing proves it here: the client checks it, and nobody else gets it.
        let path = Path { name: self.name().to_owned(), target: Target::Tile(tile) };
        let fetched = self.ways.ask(errand, &path).await?;
        Ok(Record { is_proven: false, ..self.said(fetched.body, MISS, Duration::ZERO, &fetched.via) })
    }

    async fn kept_record(&self, tile: Tile) -> Result<Option<Record>> {
        let kept = if tile.height() == HEIGHT && !tile.is_data() { self.kept_tile(tile).await? } else { None };
        Ok(kept.map(|(body, age, via)| self.said(body, HIT, age, &via)))
    }

    fn head(&self, cache: &'static str) -> Option<Record> {
        let head = self.remembered.head()?;
        let age = if cache == MISS { Duration::ZERO } else { self.latest_age().min(self.age(head.seen_at)) };
        Some(self.said(head.note, cache, age, self.name()))
    }

    fn hit(&self, kept: Kept) -> Record {
        self.said(kept.body, HIT, kept.age, &kept.via)
    }

    fn said(&self, body: Bytes, cache: &'static str, age: Duration, upstream: &str) -> Record {
        Record { body, is_proven: true, said: Said { upstream: upstream.to_owned(), cache, age } }
    }

    fn age(&self, since: DateTime<Utc>) -> Duration {
        (self.clock.now() - since).to_std().unwrap_or_default()
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.clock.now().timestamp()).unwrap_or_default()
    }

    fn latest_age(&self) -> Duration {
        Duration::from_secs(self.seconds().saturating_sub(self.latest_at.load(Ordering::Relaxed)))
    }
}
