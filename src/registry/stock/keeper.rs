//! Who keeps what is kept within its limits while the server runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::figures::{Figures, Share};
use super::prune::Pruning;
use super::{Stock, Tenant};
use crate::error::Result;

/// At least so often somebody looks, whatever comes in.
const EVERY: Duration = Duration::from_secs(60);

/// Two looks are at least so far apart.
const PAUSE: Duration = Duration::from_secs(1);

/// So often everything is counted even if little comes in: what nobody wants any more is found so.
const COUNTED_EVERY: Duration = Duration::from_secs(60 * 60);

/// Looks after the limits for as long as it runs.
pub async fn keep(stock: Arc<Stock>) {
    loop {
        let looking = stock.clone();
        match tokio::task::spawn_blocking(move || looking.look()).await {
            Ok(Err(error)) => tracing::warn!(%error, "what is kept was not brought within its limits"),
            Err(error) => tracing::error!(%error, "what is kept was not brought within its limits"),
            Ok(Ok(())) => {}
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = stock.growth.wait() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Stock {
    /// Prunes if something may be over a limit. Cheap if nothing is.
    pub fn look(&self) -> Result<()> {
        let tenants = (self.tenants)();
        if !self.may_be_over(&tenants)? {
            return Ok(());
        }
        let freed = self.prune(&Pruning::default(), &mut |_| Ok(()))?;
        if freed.entries + freed.repositories > 0 || freed.compacted {
            let (entries, bytes) = (freed.entries, freed.bytes + freed.repository_bytes);
            let (before, after) = (freed.before, freed.after);
            tracing::info!(entries, repositories = freed.repositories, bytes, before, after, "evicted");
        }
        let stuck = self.figures().is_some_and(|figures| figures.is_over());
        self.is_stuck.store(stuck, Ordering::Relaxed);
        if stuck {
            tracing::warn!("what is kept is over its limit, and nothing more can go");
        }
        Ok(())
    }

    fn may_be_over(&self, tenants: &[Tenant]) -> Result<bool> {
        let now = self.clock.now();
        let last = self.figures().filter(|last| (now - last.counted_at).to_std().is_ok_and(|age| age < COUNTED_EVERY));
        let Some(last) = last else { return Ok(true) };
        // Where nothing is limited nobody measures a thousand repositories every minute.
        if self.limits().max_size.is_none() && tenants.iter().all(|tenant| tenant.max_size.is_none()) {
            return Ok(false);
        }
        // Nothing could go last time: not before something came.
        let grown = self.growth.all();
        if self.is_stuck.load(Ordering::Relaxed) && grown < STUCK_UNTIL {
            return Ok(false);
        }
        let mut repositories = 0;
        for tenant in tenants {
            let bytes = tenant.repositories()?.iter().map(|repository| repository.bytes).sum::<u64>();
            repositories += bytes;
            let share = last.upstreams.iter().find(|share| share.shelf == tenant.shelf);
            let size = share.map_or(0, |share| share.bytes) + self.growth.of(&tenant.shelf) + bytes;
            if tenant.max_size.is_some_and(|limit| size > limit) {
                return Ok(true);
            }
        }
        let disk = last.total.disk - last.total.repository_bytes + repositories + grown;
        Ok(self.limits().max_size.is_some_and(|limit| disk > limit))
    }
}

/// So much must come in before it is tried again where nothing could go.
const STUCK_UNTIL: u64 = 4 << 20;

impl Figures {
    /// Whether there is more than there may be.
    pub fn is_over(&self) -> bool {
        let is_over = |share: &Share| share.max_size.is_some_and(|limit| share.size() > limit);
        self.upstreams.iter().any(is_over) || self.total.max_size.is_some_and(|limit| self.total.disk > limit)
    }
}
