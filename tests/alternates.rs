//! What clients get while an upstream reads from a mirror: the origin behind a relay that is cut, the mirror beside it.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::{self, Answered};
use support::go::Go;
use support::mirrored::{Mirrored, NAME, Side};
use support::modvet::{Home, Modvet};
use support::project::Project;
use support::relay::{Passage, Relay};

const PATIENCE: Duration = Duration::from_secs(120);
const MODULE: &str = "git.example.com/python-gitlab.git";

/// Looked at every second, and behind for two: stale.
const HASTY: &str = "check_every = \"1s\"\nmax_lag = \"2s\"";

/// A modvet whose one upstream finds repositories at `repositories`, and a mirror whose source is reached at `source`.
fn serve(mirrored: &Mirrored, repositories: SocketAddr, source: SocketAddr, on_stale: &str) -> Modvet {
    let home = Home::new();
    home.configure(&format!(
        "[git]\nallow_insecure = [\"127.0.0.1\"]\n\n\
         [git.instead_of]\n\"https://git.example.com/\" = \"http://{repositories}/\"\n\n\
         [[upstream]]\nname = \"corp\"\nkind = \"git\"\nlist_validity = \"0s\"\n\
         mirrors = [\"{NAME}\"]\non_stale = \"{on_stale}\"\n\n\
         [[mirror]]\nname = \"{NAME}\"\nsource = \"http://{source}/{NAME}.git\"\nmirror = \"{}\"\n{HASTY}\n",
        mirrored.url(Side::Mirror)
    ));
    home.serve()
}

fn get(modvet: &Modvet, path: &str) -> Answered {
    client::get(modvet.address(), &format!("/{MODULE}/{path}"))
}

fn said<'a>(answered: &'a Answered, header: &str) -> &'a str {
    answered.header(header).unwrap_or("nothing")
}

/// Waits until the watch says so, and gives all that it says.
fn until(modvet: &Modvet, condition: &str) -> Value {
    let start = Instant::now();
    loop {
        let answered = client::control(&modvet.home().store(), "GET", &format!("/api/v1/mirrors/{NAME}"), "");
        let status: Value = serde_json::from_slice(&answered.body).expect("JSON");
        if status["condition"] == condition {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "not {condition}: {status}\n{}", modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn a_version_that_nobody_asked_for_is_read_from_a_mirror_in_sync_while_its_origin_is_out_of_reach() {
    let mirrored = Mirrored::new();
    let relay = Relay::to(mirrored.source.address());
    let modvet = serve(&mirrored, relay.address(), relay.address(), "warn");
    until(&modvet, "in_sync");
    relay.set(Passage::Cut);
    let go = Go::new(&mirrored.source.url(), &["git.example.com"]);
    let project = Project::new(&go, &modvet.url());
    project.write("go.mod", "module example.com/main\n");
    project.go(&["mod", "download", &format!("{MODULE}@v1.0.0")]).well();
    let list = get(&modvet, "@v/list");
    assert_eq!((list.status, list.text().as_str(), said(&list, "x-modvet-mirror")), (200, "v1.0.0\n", NAME));
    assert_ne!(said(&list, "x-modvet-cache"), "stale");
    assert!(modvet.log().contains("out of reach: its mirror is read"), "{}", modvet.log());
    // The origin is back, and went on meanwhile.
    mirrored.git(Side::Source, &["tag", "v1.1.0", "main"]);
    relay.set(Passage::Open);
    let start = Instant::now();
    loop {
        let list = get(&modvet, "@v/list");
        if list.text() == "v1.0.0\nv1.1.0\n" {
            assert_eq!(said(&list, "x-modvet-mirror"), "nothing", "{}", modvet.log());
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{}\n{}", list.text(), modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn a_stale_mirror_shortens_no_list_and_what_it_lacks_is_no_absence() {
    let mirrored = Mirrored::new();
    let relay = Relay::to(mirrored.source.address());
    let modvet = serve(&mirrored, relay.address(), relay.address(), "warn");
    until(&modvet, "in_sync");
    mirrored.commit(Side::Source, "main");
    mirrored.git(Side::Source, &["tag", "v1.1.0", "main"]);
    assert_eq!(get(&modvet, "@v/list").text(), "v1.0.0\nv1.1.0\n");
    until(&modvet, "stale");
    relay.set(Passage::Cut);
    let list = get(&modvet, "@v/list");
    assert_eq!((list.text().as_str(), said(&list, "x-modvet-cache")), ("v1.0.0\nv1.1.0\n", "stale"));
    let zip = get(&modvet, "@v/v1.0.0.zip");
    assert_eq!((zip.status, said(&zip, "x-modvet-cache")), (200, "stale"), "{}", modvet.log());
    let mirror = said(&zip, "x-modvet-mirror");
    assert!(mirror.starts_with("python-gitlab; stale; condition=stale; since="), "{mirror}");
    assert_eq!(said(&zip, "cache-control"), "public, max-age=60");
    let unknown = get(&modvet, "@v/v1.2.0.info");
    assert_eq!(unknown.status, 502, "{}", unknown.text());
    assert!(unknown.text().contains("modvet mirror status python-gitlab"), "{}", unknown.text());
}

#[test]
fn an_upstream_that_refuses_stale_mirrors_says_which_and_since_when_and_gives_what_is_kept() {
    let mirrored = Mirrored::new();
    let modvet = serve(&mirrored, mirrored.mirror.address(), mirrored.source.address(), "refuse");
    until(&modvet, "in_sync");
    let info = get(&modvet, "@v/v1.0.0.info");
    assert_eq!((info.status, said(&info, "x-modvet-mirror")), (200, NAME), "{}", info.text());
    mirrored.commit(Side::Source, "main");
    let since = until(&modvet, "stale")["since"].as_str().expect("a time").to_owned();
    let since = format!("{}Z", since.split(['.', 'Z']).next().expect("a time"));
    assert_eq!(get(&modvet, "@v/v1.0.0.info").status, 200, "kept");
    let refused = get(&modvet, "@v/list");
    assert_eq!(refused.status, 502);
    assert_eq!(
        refused.text(),
        format!(
            "{MODULE}: upstream corp: mirror python-gitlab is stale since {since} (expected in sync)\n\
             what is the matter with it: modvet mirror status python-gitlab\n\
             to read from it all the same: on_stale = \"warn\" for upstream corp\n"
        )
    );
    mirrored.carry(&["refs/heads/*:refs/heads/*"]);
    until(&modvet, "in_sync");
    assert_eq!(get(&modvet, "@v/list").text(), "v1.0.0\n");
}
