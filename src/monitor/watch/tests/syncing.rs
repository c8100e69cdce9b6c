//! Plans and syncs by hand.

use super::*;
use crate::error::Kind;
use crate::monitor::plan::UpdateKind;

fn all(_: crate::ports::Transfer) -> bool {
    true
}

/// Names and kinds of what would be done; `!` marks what diverged.
async fn planned(watch: &Watch) -> Vec<String> {
    let plan = watch.plan(MIRROR).await.expect("a plan");
    let line = |one: &crate::monitor::Planned| {
        let mark = if one.is_diverged { "!" } else { "" };
        format!("{mark}{} {}", one.kind.as_str(), one.update.name)
    };
    plan.updates.iter().map(line).collect()
}

#[tokio::test]
async fn a_plan_says_what_would_be_done() {
    let world = World::new("a-b-c a-x");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=a old=x v1=a");
    world.pair.set(Side::Mirror, "main=a old=x v1=a");
    watch.check(MIRROR).await.expect("a check");
    world.pair.set(Side::Source, "main=c new=b forced=c v1=b v2=b");
    world.pair.set(Side::Mirror, "main=a old=x own=x forced=x v1=a");
    let expected = [
        "!overwrite refs/heads/forced",
        "forward refs/heads/main",
        "create refs/heads/new",
        // The source had it.
        "delete refs/heads/old",
        // The source never had it, but has its commit no more than the mirror's other branches have.
        "!delete refs/heads/own",
        "!overwrite refs/tags/v1",
        "create refs/tags/v2",
    ];
    assert_eq!(planned(&watch).await, expected);
    assert_eq!(UpdateKind::Forward.as_str(), "forward");
}

#[tokio::test]
async fn what_diverged_is_named_and_overwritten_only_by_force() {
    let world = World::new("a-b a-x");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b next=b");
    world.pair.set(Side::Mirror, "main=x");
    let refused = watch.sync(MIRROR, Sync::default(), Box::new(all)).await.expect_err("it would be lost");
    assert_eq!(refused.kind(), Kind::Conflict);
    let expected = "python-gitlab: the mirror has what its source lacks, which would be lost: refs/heads/main\n\
                    with force it is overwritten";
    assert_eq!(refused.to_string(), expected);
    assert_eq!(planned(&watch).await.len(), 2, "nothing was done");
    let wanted = Sync { force: true, prune: false, plan: None };
    let synced = watch.sync(MIRROR, wanted, Box::new(all)).await.expect("a sync");
    assert_eq!((synced.updated.len(), synced.status.condition), (2, Condition::InSync));
    let events: Vec<Event> = watch.history(MIRROR).expect("a history").into_iter().map(|row| row.event).collect();
    assert!(events.contains(&Event::Synced { updated: 2, refused: 0, error: None }), "{events:?}");
}

#[tokio::test]
async fn nothing_is_deleted_without_prune() {
    let world = World::new("a-b");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=a old=a");
    world.pair.set(Side::Mirror, "main=a old=a");
    watch.check(MIRROR).await.expect("a check");
    world.pair.set(Side::Source, "main=b");
    let synced = watch.sync(MIRROR, Sync::default(), Box::new(all)).await.expect("a sync");
    assert_eq!((synced.updated.len(), synced.status.condition), (1, Condition::Lagging));
    let wanted = Sync { force: false, prune: true, plan: None };
    let synced = watch.sync(MIRROR, wanted, Box::new(all)).await.expect("a sync");
    assert_eq!((synced.updated.len(), synced.status.condition), (1, Condition::InSync));
}

#[tokio::test]
async fn an_empty_source_does_not_empty_the_mirror() {
    let world = World::new("a-b");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=b");
    watch.check(MIRROR).await.expect("a check");
    world.pair.set(Side::Source, "");
    let wanted = Sync { force: false, prune: true, plan: None };
    let refused = watch.sync(MIRROR, wanted, Box::new(all)).await.expect_err("all would be lost");
    let expected = "python-gitlab: the source has none of the refs: everything on the mirror would be deleted\n\
                    with force it is deleted all the same";
    assert_eq!(refused.to_string(), expected);
}

#[tokio::test]
async fn a_sync_that_is_given_up_is_told_and_noted() {
    let world = World::new("a-b");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=a");
    let error = watch.sync(MIRROR, Sync::default(), Box::new(|_| false)).await.expect_err("given up");
    assert_eq!(error.to_string(), "python-gitlab: given up");
    let events: Vec<Event> = watch.history(MIRROR).expect("a history").into_iter().map(|row| row.event).collect();
    assert_eq!(events, [Event::Synced { updated: 0, refused: 0, error: Some("given up".to_owned()) }]);
    assert_eq!(watch.check(MIRROR).await.expect("a check").condition, Condition::Lagging);
}

#[tokio::test]
async fn without_histories_an_overwrite_needs_force() {
    let world = World::new("a-b");
    let watch = world.watch();
    world.pair.lose_histories();
    world.pair.set(Side::Source, "main=b next=b");
    world.pair.set(Side::Mirror, "main=a");
    assert_eq!(planned(&watch).await, ["!overwrite refs/heads/main", "create refs/heads/next"]);
}

#[tokio::test]
async fn what_was_agreed_to_is_what_is_done_or_nothing_is() {
    let world = World::new("a-b-c");
    let watch = world.watch();
    world.pair.set(Side::Source, "main=b");
    world.pair.set(Side::Mirror, "main=a");
    let plan = watch.plan(MIRROR).await.expect("a plan");
    let agreed = Sync { plan: Some(plan.digest.clone()), ..Sync::default() };
    world.pair.set(Side::Source, "main=c");
    let refused = watch.sync(MIRROR, agreed.clone(), Box::new(all)).await.expect_err("another plan");
    let expected = "python-gitlab: a side has changed since the plan was shown: nothing was done\n\
                    look at what would be done now, and agree to that";
    assert_eq!((refused.kind(), refused.to_string().as_str()), (Kind::Conflict, expected));
    assert_eq!(planned(&watch).await, ["forward refs/heads/main"], "nothing was done");
    world.pair.set(Side::Source, "main=b");
    assert_eq!(watch.plan(MIRROR).await.expect("a plan").digest, plan.digest);
    assert_eq!(watch.sync(MIRROR, agreed, Box::new(all)).await.expect("a sync").status.condition, Condition::InSync);
}
