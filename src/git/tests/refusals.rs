use super::*;
use crate::error::Kind;

#[test]
fn what_is_no_repository_is_told_apart() {
    let world = World::new(Serving::Newest);
    // name, path, kind, words
    let table = [
        ("unknown repository", "/none.git", Kind::NotFound, "repository not found"),
        ("a forge's 401 for what does not exist", "/ghost/a", Kind::NotFound, "repository not found"),
        ("private", "/private/a", Kind::BadGateway, "answered 401 Unauthorized"),
        ("out of order", "/broken/a", Kind::BadGateway, "answered 503 Service Unavailable"),
        ("a page", "/page/a", Kind::BadGateway, "not a git repository's"),
        ("dumb protocol", "/dumb/a", Kind::BadGateway, "dumb protocol"),
        ("other object ids", "/sha256/a", Kind::BadGateway, "sha256 object ids are not supported"),
        ("no packets", "/odd/a", Kind::BadGateway, "packet format"),
    ];
    for (name, path, kind, words) in table {
        let error = world.open_at(&world.web.url(path)).refs(MINUTE).expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.what().contains(words), "{name}: {error}");
    }
    let left = std::fs::read_dir(world.store.path()).expect("a folder").count();
    assert_eq!(left, 0, "unknown repositories leave no folder");
}

#[test]
fn nobody_there_is_no_absence() {
    let world = World::new(Serving::Newest);
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}/repo.git", listener.local_addr().expect("bound"));
    drop(listener);
    let error = world.open_at(&url).refs(MINUTE).expect_err("nobody listens");
    assert_eq!(error.kind(), Kind::BadGateway);
}

#[test]
fn redirects_of_the_first_question_count_for_the_next() {
    let world = World::new(Serving::Newest);
    let tip = world.origin.commit("main", 1, &[("go.mod", "module m")]);
    let repo = world.open_at(&world.web.url("/moved/repo"));
    assert_eq!(repo.refs(MINUTE).expect("refs").head(), Some(id(&tip)));
    assert_eq!(one(repo.find(&tip[..12]).expect("history")), tip);
    assert_eq!(repo.url(), world.web.url("/moved/repo"));
}

#[test]
fn a_replaced_address_is_replaced_for_every_request() {
    let rules = [("https://git.example.com/", "{web}/")];
    for path in ["repo.git", "moved/repo"] {
        let world = World::with(Serving::Newest, Options::default(), &rules);
        let tip = world.origin.commit("main", 1, &[("go.mod", "module m")]);
        let url = format!("https://git.example.com/{path}");
        let repo = world.open_at(&url);
        assert_eq!(repo.refs(MINUTE).expect("refs").head(), Some(id(&tip)), "{path}");
        assert_eq!(one(repo.find(&tip[..12]).expect("history")), tip, "{path}");
        assert_eq!(repo.url(), url);
    }
}

#[test]
fn local_repositories_are_refused() {
    let world = World::new(Serving::Newest);
    for url in ["file:///srv/repo.git", "/srv/repo.git", "git@example.com:repo"] {
        let refused = world.repositories.open(url, Trust::Named).map(|_| ());
        assert_eq!(refused.expect_err(url).kind(), Kind::BadGateway, "{url}");
    }
}

#[test]
fn a_pack_that_is_too_large_is_refused() {
    let options = Options { pack_limit: 100, ..Options::default() };
    let world = World::with(Serving::Newest, options, &[]);
    world.origin.commit("main", 1, &[("a", "text"), ("b", "more")]);
    let error = world.open().find("abc").expect_err("too large");
    assert!(error.what().contains("expected at most 100 bytes"), "{error}");
    assert_eq!(world.packs(), Vec::<String>::new());
}
