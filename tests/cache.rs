//! `modvet cache`, `prefetch` and `completions`: beside a running server and without one.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::modvet::{Home, Modvet};
use support::tree::Tree;
use support::{client, h1};

const MODULE: &str = "example.test/m";
const MIB: u64 = 1 << 20;

/// A folder with versions of one module, v1.0.0 and so on, of so many bytes each.
fn tree(versions: usize, size: usize) -> Tree {
    let tree = Tree::new();
    for number in 0..versions {
        tree.add(MODULE, &format!("v1.{number}.0"), size);
    }
    tree
}

/// modvet over it; zips above 64 KiB lie in files. `store` are further lines of `[store]`.
fn over(tree: &Tree, store: &str) -> Modvet {
    Modvet::start(&format!("spill = \"64KiB\"\n{store}\n{}", tree.settings()))
}

fn zip_of(modvet: &Modvet, version: &str) -> String {
    let answered = modvet.get(MODULE, &format!("@v/{version}.zip"));
    assert_eq!(answered.status, 200, "{}", answered.text());
    answered.header("x-modvet-cache").expect("every answer says").to_owned()
}

fn cache(home: &Home, arguments: &[&str]) -> Output {
    let all = [&["cache"], arguments, &["--config", "modvet.toml"]].concat();
    home.run(&all)
}

/// What it printed, if it ended well.
fn well(home: &Home, arguments: &[&str]) -> String {
    let output = cache(home, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(home: &Home, arguments: &[&str]) -> Value {
    serde_json::from_str(&well(home, arguments)).expect("JSON")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes on the disk below a folder.
fn on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.map(|entry| {
        let entry = entry.expect("a readable folder");
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            // It went meanwhile.
            Err(_) => 0,
        }
    });
    sizes.sum()
}

/// Runs it beside the server, then again over what the server left.
fn beside_and_without(modvet: Modvet, check: impl Fn(&Home)) {
    check(modvet.home());
    check(&modvet.killed());
}

#[test]
fn stats_are_the_same_beside_a_server_and_without_one() {
    let tree = tree(2, 100_000);
    let modvet = over(&tree, "");
    for version in ["v1.0.0", "v1.1.0", "v1.1.0"] {
        zip_of(&modvet, version);
    }
    beside_and_without(modvet, |home| {
        let stats = json(home, &["stats", "--json"]);
        let share = &stats["upstreams"][0];
        assert_eq!((&share["upstream"], &share["configured"]), (&"tree".into(), &true.into()), "{stats}");
        assert!(share["entries"].as_u64() >= Some(2), "{stats}");
        assert!(share["bytes"].as_u64() > Some(200_000), "{stats}");
        let total = &stats["total"];
        let parts = ["tables", "files", "repository_bytes"].map(|part| total[part].as_u64().expect("a number"));
        assert_eq!(total["disk"].as_u64(), Some(parts.iter().sum()), "{stats}");
        assert!(parts[1] > 200_000, "{stats}");
        let shown = well(home, &["stats"]);
        assert!(shown.starts_with("upstream  entries"), "{shown}");
        assert!(shown.contains("\ntree  ") && shown.contains("\non disk "), "{shown}");
    });
}

#[test]
fn entries_are_listed_with_what_is_known_of_them() {
    let tree = tree(2, 100_000);
    let modvet = over(&tree, "");
    zip_of(&modvet, "v1.0.0");
    assert_eq!(modvet.get(MODULE, "@v/list").status, 200);
    beside_and_without(modvet, |home| {
        let all = lines(&well(home, &["list", "--json"]));
        let paths: Vec<&str> = all.iter().filter_map(|row| row["path"].as_str()).collect();
        assert!(paths.contains(&"@v/list") && paths.contains(&"@v/v1.0.0.zip"), "{paths:?}");
        let one = lines(&well(home, &["list", "--json", "--upstream", "tree", "example.test/m@v1.0.0"]));
        let zip = one.iter().find(|row| row["path"] == "@v/v1.0.0.zip").expect("the zip");
        assert_eq!((&zip["module"], &zip["upstream"]), (&MODULE.into(), &"tree".into()));
        assert!(zip["h1"].as_str().is_some_and(|h1| h1.starts_with("h1:")), "{zip}");
        let long = well(home, &["list", "--long", "example.test/..."]);
        let sha256 = zip["sha256"].as_str().expect("a hash");
        assert!(long.contains(&format!("sha256:{sha256}")), "{long}");
        assert_eq!(well(home, &["list", "--limit", "1"]).lines().count(), 1);
        assert_eq!(well(home, &["list", "example.test/other"]), "");
        let unknown = cache(home, &["list", "--upstream", "other"]);
        assert_eq!(unknown.status.code(), Some(2));
        let said = text(&unknown.stderr);
        assert!(said.contains("other: no such upstream, and nothing is kept of one\nknown are: tree"), "{said}");
    });
}

#[test]
fn what_is_removed_beside_a_running_server_is_fetched_anew() {
    let tree = tree(2, 100_000);
    let modvet = over(&tree, "");
    for version in ["v1.0.0", "v1.1.0"] {
        assert_eq!(zip_of(&modvet, version), "miss");
        assert_eq!(modvet.get(MODULE, &format!("@v/{version}.mod")).header("x-modvet-cache"), Some("miss"));
    }
    let would = well(modvet.home(), &["rm", "example.test/m@v1.0.0", "--dry-run"]);
    assert!(would.contains("tree  example.test/m/@v/v1.0.0.zip  "), "{would}");
    assert!(would.ends_with(")\n") && would.contains("would be removed: "), "{would}");
    assert_eq!(zip_of(&modvet, "v1.0.0"), "hit");
    let went = well(modvet.home(), &["rm", "example.test/m@v1.0.0"]);
    assert!(went.starts_with("removed: "), "{went}");
    assert_eq!(zip_of(&modvet, "v1.0.0"), "miss");
    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.mod").header("x-modvet-cache"), Some("miss"), "also from memory");
    assert_eq!(zip_of(&modvet, "v1.1.0"), "hit", "nothing else went");
    assert_eq!(well(modvet.home(), &["rm", "example.test/other"]), "nothing of it is kept\n");
    let home = modvet.killed();
    assert!(well(&home, &["rm", "--upstream", "tree"]).starts_with("removed: "));
    assert_eq!(well(&home, &["list"]), "");
}

#[test]
fn a_removal_that_names_nothing_is_refused() {
    let tree = tree(1, 1000);
    let home = over(&tree, "").killed();
    for (arguments, expected) in [
        (&["rm"][..], "modvet: nothing is named that is to go\n"),
        (&["rm", "m"], "malformed module path \"m\": missing dot in first path element"),
        (&["rm", "--upstream", "other"], "other: no such upstream, and nothing is kept of one"),
        (&["prune", "--max-size", "much"], "max_size: \"much\" (expected a size such as 20GiB)"),
    ] {
        let output = cache(&home, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn space_returns_to_the_disk_least_recently_used_first() {
    let tree = tree(8, 2 << 20);
    let modvet = over(&tree, "");
    for number in [1, 2, 3, 4, 5, 6, 7, 0] {
        zip_of(&modvet, &format!("v1.{number}.0"));
    }
    let home = modvet.home();
    let before = on_disk(&home.store());
    let tables = json(home, &["stats", "--json"])["total"]["tables"].as_u64().expect("a number");
    let limit = format!("{}B", tables + 9 * MIB);
    let would = well(home, &["prune", "--max-size", &limit, "--dry-run"]);
    assert!(would.contains("v1.1.0.zip") && would.contains("would go: "), "{would}");
    assert!(!would.contains("v1.0.0.zip"), "{would}");
    assert!(on_disk(&home.store()) + MIB > before, "a dry run frees nothing");
    let said = well(home, &["prune", "--max-size", &limit]);
    assert!(said.starts_with("gone: ") && said.contains(" freed\n"), "{said}");
    let after = on_disk(&home.store());
    assert!(before - after > 7 * MIB, "{before} before, {after} after: {said}");
    assert_eq!(zip_of(&modvet, "v1.0.0"), "hit", "the last that was used");
    assert_eq!(zip_of(&modvet, "v1.1.0"), "miss", "the first that was used");
}

#[test]
fn what_is_being_sent_is_sent_to_its_end() {
    let tree = Tree::new();
    let zip = tree.add(MODULE, "v1.0.0", 24 << 20);
    let modvet = over(&tree, "");
    zip_of(&modvet, "v1.0.0");
    let mut stream = TcpStream::connect(modvet.address()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time limit above zero");
    let request = format!("GET /{MODULE}/@v/v1.0.0.zip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut got = vec![0; 1000];
    stream.read_exact(&mut got).expect("it answers");
    let said = well(modvet.home(), &["prune", "--max-size", "1B"]);
    assert!(said.starts_with("gone: "), "{said}");
    assert_eq!(well(modvet.home(), &["list", "example.test/m@v1.0.0"]), "");
    stream.read_to_end(&mut got).expect("it goes on");
    assert!(got.ends_with(&zip), "{} bytes came", got.len());
    assert_eq!(zip_of(&modvet, "v1.0.0"), "miss");
}

#[test]
fn strangers_neither_see_nor_remove_anything() {
    let tree = tree(1, 1000);
    let modvet = over(&tree, "");
    zip_of(&modvet, "v1.0.0");
    for (method, path) in [
        ("GET", "/api/v1/cache/stats"),
        ("GET", "/api/v1/cache/entries"),
        ("POST", "/api/v1/cache/rm"),
        ("POST", "/api/v1/cache/prune"),
        ("POST", "/api/v1/cache/verify"),
    ] {
        let answered = client::request(modvet.address(), method, path, &[("Content-Type", "application/json")]);
        assert_eq!(answered.status, 401, "{path}: {}", answered.text());
    }
    assert_eq!(zip_of(&modvet, "v1.0.0"), "hit");
}

#[test]
fn compaction_gives_back_what_was_removed_from_the_tables() {
    let tree = tree(12, 4 << 20);
    let modvet = Modvet::start(&format!("spill = \"1GiB\"\n\n{}", tree.settings()));
    for number in 0..12 {
        zip_of(&modvet, &format!("v1.{number}.0"));
    }
    let home = modvet.home();
    let before = on_disk(&home.store());
    assert!(before > 48 * MIB, "all lies in the tables: {before}");
    well(home, &["rm", "--upstream", "tree"]);
    let said = well(home, &["prune", "--compact"]);
    assert!(said.contains("tables compacted"), "{said}");
    let after = on_disk(&home.store());
    assert!(after < before / 2, "{before} before, {after} after: {said}");
    assert_eq!(zip_of(&modvet, "v1.0.0"), "miss");
}

#[test]
fn verify_finds_a_flipped_byte_in_a_file() {
    let tree = tree(2, 300_000);
    let modvet = over(&tree, "");
    for version in ["v1.0.0", "v1.1.0"] {
        zip_of(&modvet, version);
    }
    let sound = well(modvet.home(), &["verify"]);
    assert!(sound.contains(" looked at, 0 damaged"), "{sound}");
    let zip = lines(&well(modvet.home(), &["list", "--json", "example.test/m@v1.0.0"]));
    let zip = zip.iter().find(|row| row["path"] == "@v/v1.0.0.zip").expect("the zip");
    flip(&file_named(&modvet.home().store(), zip["sha256"].as_str().expect("a hash")));
    let found = cache(modvet.home(), &["verify"]);
    let said = text(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{said}");
    let damaged = said.lines().find(|line| line.starts_with("damaged, removed: ")).expect("the entry is named");
    assert!(damaged.contains("/example.test/m/@v/v1.0.0.zip: its body is not what it was"), "{damaged}");
    assert!(said.contains(" looked at, 1 damaged"), "{said}");
    assert_eq!(zip_of(&modvet, "v1.0.0"), "miss", "it is fetched anew");
    assert_eq!(zip_of(&modvet, "v1.1.0"), "hit");
    assert!(well(&modvet.killed(), &["verify"]).contains("0 damaged"));
}

/// The file below a folder whose name or path holds a hash.
fn file_named(folder: &Path, sha256: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().replace('/', "").contains(sha256) {
                return path;
            }
        }
    }
    panic!("no file holds {sha256}");
}

fn flip(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut bytes = std::fs::read(file).expect("a readable file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).expect("our own file");
    std::fs::write(file, bytes).expect("a writable file");
}

#[test]
fn the_server_keeps_its_limit_by_itself() {
    let tree = tree(30, 2 << 20);
    let modvet = over(&tree, "max_size = \"48MiB\"");
    for number in 0..30 {
        zip_of(&modvet, &format!("v1.{number}.0"));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let on_disk = || json(modvet.home(), &["stats", "--json"])["total"]["disk"].as_u64().expect("a number");
    while on_disk() > 48 * MIB || !modvet.log().contains("evicted") {
        assert!(Instant::now() < deadline, "{} bytes on disk: {}", on_disk(), modvet.log());
    }
    assert_eq!(zip_of(&modvet, "v1.29.0"), "hit", "the last that was used");
}

fn prefetch(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let all = [&["prefetch"], arguments, &["--config", "modvet.toml"]].concat();
    let output = home.run(&all);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn prefetch_brings_what_a_go_sum_names_and_compares_it() {
    let tree = Tree::new();
    let zip = tree.add(MODULE, "v1.0.0", 100_000);
    tree.add(MODULE, "v0.9.0", 1000);
    let (h1, go_mod) = (h1::of_zip(&zip).expect("a zip"), h1::of_go_mod(b"module example.test/m\n"));
    let modvet = over(&tree, "");
    let sums = format!("{MODULE} v1.0.0 {h1}\n{MODULE} v1.0.0/go.mod {go_mod}\n{MODULE} v0.9.0/go.mod {go_mod}\n");
    modvet.home().write("go.sum", &sums);
    modvet.home().write("go.mod", "module example.test/main\n");
    assert_eq!(prefetch(modvet.home(), &[]), (Some(0), "4 fetched, 0 already there, 0 failed\n".to_owned()));
    assert_eq!(prefetch(modvet.home(), &["go.mod"]), (Some(0), "0 fetched, 4 already there, 0 failed\n".to_owned()));
    assert_eq!(zip_of(&modvet, "v1.0.0"), "hit");
    modvet.home().write("go.sum", &sums.replace(&h1, "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let (code, said) = prefetch(modvet.home(), &["go.sum"]);
    assert_eq!(code, Some(1), "{said}");
    let wrong = format!("wrong  {MODULE}@v1.0.0.zip: {h1} (expected h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert!(said.starts_with(&wrong) && said.contains("go.sum"), "{said}");
}

#[test]
fn prefetch_works_without_a_server_and_says_what_is_not_to_be_had() {
    let tree = tree(2, 1000);
    let home = Home::new();
    home.configure(&tree.settings());
    let named = ["example.test/m@v1.0.0", "example.test/m@latest", "example.test/gone@v1.0.0"];
    let (code, said) = prefetch(&home, &named);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("failed  example.test/gone@v1.0.0.info: "), "{said}");
    // The .info of v1.1.0 came with latest.
    assert!(said.contains("\n5 fetched, 1 already there, 1 failed\n"), "{said}");
    assert!(said.contains(&format!("the store {} was made: none was there\n", home.store().display())), "{said}");
    let all = well(&home, &["list", "example.test/m"]);
    assert!(all.contains("v1.0.0.zip") && all.contains("v1.1.0.zip"), "{all}");
    let summary: Value = {
        let (code, said) = prefetch(&home, &["example.test/m@v1.0.0", "--json"]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&said).expect("JSON")
    };
    assert_eq!((&summary["fetched"], &summary["already_there"]), (&0.into(), &3.into()), "{summary}");
}

#[test]
fn prefetch_of_a_go_mod_follows_its_graph() {
    let tree = tree(1, 1000);
    tree.add("example.test/n", "v1.0.0", 1000);
    let go_mod = tree.path().join("example.test/n/@v/v1.0.0.mod");
    std::fs::write(go_mod, "module example.test/n\n\nrequire example.test/m v1.0.0\n").expect("a writable folder");
    let home = Home::new();
    home.configure(&tree.settings());
    home.write("go.mod", "module example.test/main\n\ngo 1.17\n\nrequire example.test/n v1.0.0\n");
    let (code, said) = prefetch(&home, &["go.mod"]);
    assert_eq!(code, Some(0), "{said}");
    let all = well(&home, &["list"]);
    for kept in ["n/@v/v1.0.0.zip", "n/@v/v1.0.0.mod", "m/@v/v1.0.0.mod", "m/@v/v1.0.0.info"] {
        assert!(all.contains(&format!("example.test/{kept}")), "{kept}: {all}");
    }
    assert!(!all.contains("m/@v/v1.0.0.zip"), "go mod download would not fetch it: {all}");
    let (code, said) = prefetch(&home, &["go.mod", "--zips=false"]);
    assert_eq!((code, said.as_str()), (Some(0), "0 fetched, 4 already there, 0 failed\n"));
}

#[test]
fn completions_load() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = home.run(&["completions", shell]);
        let script = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(script.contains("prefetch") && script.contains("keep-days"), "{shell}: {script}");
        home.write(&format!("modvet.{shell}"), &script);
    }
    let load = "source ./modvet.bash && complete -p modvet && COMP_WORDS=(modvet cac) COMP_CWORD=1 && _modvet modvet cac modvet && echo \"${COMPREPLY[@]}\"";
    let loaded = Command::new("bash").args(["--norc", "-c", load]).current_dir(home.path()).output().expect("bash");
    let said = text(&loaded.stdout);
    assert!(loaded.status.success(), "{}", text(&loaded.stderr));
    assert!(said.starts_with("complete ") && said.trim_end().ends_with("\ncache"), "{said}");
}
