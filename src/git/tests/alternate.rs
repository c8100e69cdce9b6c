use super::*;
use crate::error::{Error, Kind, Result};
use crate::git::Mirrored;
use crate::ports::{Condition, Reading, Staleness, Via};

/// A world, and a mirror of its repository on a server of its own.
struct Pair {
    world: World,
    /// Where the repository is, once its server is gone.
    url: String,
    mirror: Origin,
    web: WebServer,
    said: Arc<Mutex<Result<Via>>>,
}

fn via(condition: Condition) -> Via {
    let stale = (condition != Condition::InSync).then_some(Staleness { condition, since: None });
    // In sync until just now.
    let as_of = DateTime::from_timestamp(1_700_000_000, 0);
    Via { mirror: "copy".to_owned(), reading: Reading::Instead, stale, as_of }
}

impl Pair {
    fn new() -> Pair {
        let world = World::new(Serving::Newest);
        let mirror = Origin::new();
        let web = WebServer::start(mirror.path(), Serving::Newest);
        let url = world.web.url("/repo.git");
        for repository in [&world.origin, &mirror] {
            repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        }
        Pair { world, url, mirror, web, said: Arc::new(Mutex::new(Ok(via(Condition::InSync)))) }
    }

    fn stands(&self, condition: Condition) {
        *self.said.lock().expect("no panic") = Ok(via(condition));
    }

    /// Everything that the origin has is on the mirror.
    fn carry(&self) {
        let to = self.mirror.repository().display().to_string();
        self.world.origin.git(&["push", "-q", "--mirror", &to]);
    }

    fn open(&self) -> Box<dyn Repo + Send> {
        let said = Arc::clone(&self.said);
        let mirrored = Mirrored::Alternate {
            name: "copy".to_owned(),
            url: self.web.url("/repo.git"),
            client: self.world.client.clone(),
            may_read: Arc::new(move || said.lock().expect("no panic").clone()),
        };
        self.world.repositories.open_by(&self.url, Trust::Named, Some(&mirrored)).expect("an address")
    }

    /// Nobody answers for the origin any more.
    fn cut(&mut self) {
        let nobody = Origin::new();
        self.world.web = WebServer::start(nobody.path(), Serving::Newest);
    }
}

fn tags(repo: &dyn Repo) -> Vec<String> {
    let refs = repo.refs(Duration::ZERO).expect("refs");
    refs.iter().filter_map(|(name, _)| name.strip_prefix("refs/tags/").map(str::to_owned)).collect()
}

fn read(repo: &dyn Repo, commit: &str) -> String {
    let bytes = repo.read_file(id(commit), "go.mod", 1 << 20).expect("a file").expect("there");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn refs_and_packs_come_from_the_mirror_into_the_same_repository() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    pair.carry();
    pair.cut();
    let repo = pair.open();
    assert_eq!(tags(&*repo), ["v1.0.0"]);
    assert_eq!(read(&*repo, &first), "module m\n");
    assert_eq!((repo.url(), repo.via()), (pair.url.as_str(), Some(via(Condition::InSync))));
}

#[test]
fn an_origin_in_reach_is_asked_and_a_mirror_is_not() {
    let pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    let repo = pair.open();
    assert_eq!((tags(&*repo), repo.via()), (vec!["v1.0.0".to_owned()], None));
    assert!(pair.web.log().is_empty());
}

#[test]
fn an_origin_that_says_no_is_not_out_of_reach() {
    let pair = Pair::new();
    std::fs::remove_dir_all(pair.world.origin.repository()).expect("removed");
    assert_eq!(pair.open().refs(Duration::ZERO).expect_err("gone").kind(), Kind::NotFound);
    assert!(pair.web.log().is_empty());
}

#[test]
fn what_the_origin_said_stands_beside_what_a_stale_mirror_says() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    pair.carry();
    let second = pair.world.origin.commit("main", 2, &[("go.mod", "module m // 2\n")]);
    pair.world.origin.git(&["tag", "v1.1.0", &second]);
    let repo = pair.open();
    assert_eq!(tags(&*repo), ["v1.0.0", "v1.1.0"]);
    assert_eq!(one(repo.find(&second).expect("history")), second);
    drop(repo);
    // Somebody moved a tag of the mirror, and added one.
    let stray = pair.mirror.commit("stray", 3, &[("go.mod", "module stray\n")]);
    pair.mirror.git(&["tag", "-f", "v1.0.0", &stray]);
    pair.mirror.git(&["tag", "v1.2.0", &stray]);
    pair.cut();
    pair.stands(Condition::Diverged);
    pair.world.clock.advance(Duration::from_secs(1));
    let repo = pair.open();
    assert_eq!(tags(&*repo), ["v1.0.0", "v1.1.0", "v1.2.0"]);
    let refs = repo.refs(Duration::MAX).expect("refs");
    let held = |name: &str| refs.iter().find(|(own, _)| *own == name).map(|(_, id)| id.to_string());
    assert_eq!(held("refs/tags/v1.0.0"), Some(first), "where the origin had it");
    assert_eq!(held("refs/heads/main"), Some(second.clone()), "no step back");
    assert_eq!(one(repo.find(&second[..12]).expect("history")), second);
    assert!(repo.via().is_some_and(|via| via.is_doubtful()));
}

#[test]
fn what_the_origin_said_after_the_last_look_at_the_mirror_makes_it_doubtful() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    pair.world.clock.advance(MINUTE);
    let repo = pair.open();
    assert_eq!(tags(&*repo), ["v1.0.0"]);
    assert_eq!(one(repo.find(&first).expect("history")), first);
    drop(repo);
    pair.cut();
    pair.world.clock.advance(MINUTE);
    let repo = pair.open();
    assert_eq!(tags(&*repo), ["v1.0.0"]);
    let stale = repo.via().and_then(|via| via.stale).map(|stale| stale.condition);
    assert_eq!(stale, Some(Condition::Lagging));
}

#[test]
fn what_the_origin_said_is_not_forgotten_while_its_mirror_is_asked_again_and_again() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    pair.world.clock.advance(MINUTE);
    assert_eq!(one(pair.open().find(&first).expect("history")), first);
    pair.cut();
    for round in 0..4 {
        pair.world.clock.advance(MINUTE);
        if round == 2 {
            pair.world.restart();
        }
        let repo = pair.open();
        assert_eq!(tags(&*repo), ["v1.0.0"], "round {round}");
        assert!(repo.via().is_some_and(|via| via.is_doubtful()), "round {round}: {:?}", repo.via());
    }
    // Somebody looked at both meanwhile, and the origin had no such tag any more.
    *pair.said.lock().expect("no panic") = Ok(Via { as_of: Some(pair.world.clock.now()), ..via(Condition::InSync) });
    pair.world.clock.advance(MINUTE);
    let repo = pair.open();
    assert_eq!((tags(&*repo), repo.via().is_some_and(|via| via.is_doubtful())), (Vec::<String>::new(), false));
}

#[test]
fn a_tag_that_the_mirror_holds_elsewhere_is_not_read_at_the_second_asking_either() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    let second = pair.world.origin.commit("main", 2, &[("go.mod", "module m // 2\n")]);
    pair.world.origin.git(&["tag", "v1.1.0", &second]);
    // The tag is known, and its commit was never fetched.
    assert_eq!(tags(&*pair.open()), ["v1.1.0"]);
    pair.mirror.git(&["tag", "v1.1.0", &first]);
    pair.cut();
    pair.stands(Condition::Diverged);
    for round in 0..3 {
        pair.world.clock.advance(MINUTE);
        assert_eq!(tags(&*pair.open()), Vec::<String>::new(), "round {round}: where the origin had it, or nowhere");
    }
}

#[test]
fn a_mirror_that_moved_is_asked_where_it_is_now() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    pair.cut();
    assert_eq!(tags(&*pair.open()), Vec::<String>::new());
    // The same mirror by another address, as after a change of the configuration.
    let moved = Origin::new();
    moved.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let to = moved.repository().display().to_string();
    pair.world.origin.git(&["push", "-q", "--mirror", &to]);
    let old = std::mem::replace(&mut pair.web, WebServer::start(moved.path(), Serving::Newest));
    old.log();
    assert_eq!(read(&*pair.open(), &first), "module m\n");
    assert!(old.log().is_empty());
}

#[test]
fn a_mirror_that_may_not_be_read_is_named_beside_what_is_wrong_with_the_origin() {
    let mut pair = Pair::new();
    pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    pair.cut();
    *pair.said.lock().expect("no panic") = Err(Error::bad_gateway("it is stale").remedy("look at it"));
    let error = pair.open().refs(Duration::ZERO).expect_err("nobody is read");
    assert_eq!(error.kind(), Kind::BadGateway);
    assert_eq!(error.remedies(), ["its mirror copy is not read: it is stale", "look at it"]);
    assert!(pair.web.log().is_empty());
}

#[test]
fn an_origin_that_failed_is_spared_for_a_while_and_then_asked_again() {
    let pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.world.origin.git(&["tag", "v1.0.0", &first]);
    pair.carry();
    // A server in its place that breaks every answer off.
    pair.world.web.cut_after(0);
    assert_eq!(tags(&*pair.open()), ["v1.0.0"]);
    pair.world.web.log();
    pair.web.log();
    pair.world.clock.advance(Duration::from_secs(1));
    assert_eq!(tags(&*pair.open()), ["v1.0.0"]);
    assert!(pair.world.web.log().is_empty() && !pair.web.log().is_empty(), "spared");
    pair.world.web.cut_after(u64::MAX);
    pair.world.origin.git(&["tag", "v1.1.0", &first]);
    pair.world.clock.advance(MINUTE);
    let repo = pair.open();
    assert_eq!((tags(&*repo), repo.via()), (vec!["v1.0.0".to_owned(), "v1.1.0".to_owned()], None));
}

#[test]
fn a_mirror_without_the_repository_is_a_failure_and_no_absence() {
    let mut pair = Pair::new();
    pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.cut();
    std::fs::remove_dir_all(pair.mirror.repository()).expect("removed");
    let error = pair.open().refs(Duration::ZERO).expect_err("neither");
    assert_eq!(error.kind(), Kind::BadGateway);
    let expected = "127.0.0.1 is out of reach, and its mirror copy too: 127.0.0.1: repository not found";
    assert_eq!(error.what(), expected);
}

#[test]
fn where_it_was_heard_outlasts_a_restart() {
    let mut pair = Pair::new();
    let first = pair.world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
    pair.carry();
    pair.cut();
    pair.stands(Condition::Lagging);
    assert_eq!(one(pair.open().find(&first).expect("history")), first);
    pair.world.restart();
    let repo = pair.open();
    repo.refs(Duration::MAX).expect("kept");
    assert_eq!(repo.via(), Some(via(Condition::Lagging)));
}
