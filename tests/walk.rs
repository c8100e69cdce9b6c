//! The walk over a registry's upstreams, over the built binary: who answers, before and after a restart, and why.

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::modvet::{Home, Modvet};

const MODULE: &str = "example.com/Mod";

/// A module's versions in GOPROXY layout; their zips are nobody's business here.
fn publish(folder: &Path, versions: &[&str]) {
    let files = folder.join("example.com/!mod/@v");
    std::fs::create_dir_all(&files).expect("a writable folder");
    let write = |name: String, text: String| std::fs::write(files.join(name), text).expect("a writable folder");
    write("list".to_owned(), versions.iter().map(|version| format!("{version}\n")).collect());
    for version in versions {
        write(format!("{version}.info"), format!("{{\"Version\":\"{version}\",\"Time\":\"2019-08-13T06:44:41Z\"}}"));
        write(format!("{version}.mod"), format!("module {MODULE}\n"));
    }
}

/// Folders beside the configuration, each an upstream of its name.
fn configure(home: &Home, names: &[&str]) {
    let one = |name: &&str| {
        format!("[[upstream]]\nname = \"{name}\"\nkind = \"dir\"\npath = '{}'\n", at(home, name).display())
    };
    home.configure(&names.iter().map(one).collect::<String>());
}

fn at(home: &Home, name: &str) -> PathBuf {
    home.path().join(name)
}

/// Two upstreams; `low` has the module.
fn home() -> Home {
    let home = Home::new();
    for name in ["high", "low", "new"] {
        std::fs::create_dir(at(&home, name)).expect("a writable folder");
    }
    publish(&at(&home, "low"), &["v1.0.0", "v1.1.0"]);
    configure(&home, &["high", "low"]);
    home
}

fn upstream(modvet: &Modvet, tail: &str) -> String {
    let answer = modvet.get(MODULE, tail);
    assert_eq!(answer.status, 200, "{tail}: {}", answer.text());
    answer.header("x-modvet-upstream").expect("its name").to_owned()
}

fn explain(home: &Home, arguments: &[&str]) -> (String, Option<i32>) {
    let output = home.run(&[&["explain", "--walk"][..], arguments].concat());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (text, output.status.code())
}

/// The times of this run, made the same for all.
fn timeless(text: &str) -> String {
    let is_time =
        |word: &str| word.trim_end_matches([',', ';']).len() == 20 && word.contains("T") && word.contains("Z");
    let lines = text.lines().map(|line| {
        let words =
            line.split(' ').map(|word| if is_time(word) { word.replace(&word[..20], "TIME") } else { word.to_owned() });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn a_module_stays_with_its_upstream_over_a_restart_until_one_is_added_above() {
    let home = home();
    let modvet = home.serve();
    assert_eq!(upstream(&modvet, "@v/list"), "low");
    let home = modvet.killed();
    publish(&at(&home, "high"), &["v1.0.0", "v2.0.0-rc.1"]);
    let modvet = home.serve();
    for tail in ["@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.1.0.mod"] {
        assert_eq!(upstream(&modvet, tail), "low", "{tail}");
    }
    let absent = modvet.get(MODULE, "@v/v2.0.0-rc.1.info");
    assert_eq!(absent.status, 404);
    assert!(absent.text().contains("(asked low, which the module is bound to)\n"), "{}", absent.text());
    assert!(absent.text().contains("modvet cache rm --binding example.com/Mod\n"), "{}", absent.text());

    let home = modvet.killed();
    publish(&at(&home, "new"), &["v1.0.0"]);
    configure(&home, &["new", "high", "low"]);
    let modvet = home.serve();
    assert_eq!(upstream(&modvet, "@v/v1.0.0.info"), "new", "although low has it cached");
    assert_eq!(upstream(&modvet, "@v/list"), "new");
}

#[test]
fn explain_walk_prints_the_walk_of_a_server() {
    let home = home();
    configure(&home, &["high", "low", "new"]);
    let modvet = home.serve();
    let (home, url) = (modvet.home(), modvet.url());
    let ask = |subject: &str| explain(home, &["--proxy", &url, subject]);
    let expected = "example.com/Mod/@v/list in registry default\n\n  \
        1  high  absent     no file example.com/!mod/@v/list in the module folder\n  \
        2  low   answered   miss, 0 s old\n  \
        -  new   not asked  low answered\n\n\
        answered by low: 2 versions\n\
        a request binds example.com/Mod to low\n";
    let (text, code) = ask(MODULE);
    assert_eq!((text.as_str(), code), (expected, Some(0)));

    upstream(&modvet, "@v/v1.0.0.info");
    let expected = "example.com/Mod/@v/v9.0.0.info in registry default\n\
        bound to low since TIME\n\n  \
        -  high  not asked  the module is bound to low\n  \
        1  low   absent     no file example.com/!mod/@v/v9.0.0.info in the module folder\n  \
        -  new   not asked  the module is bound to low\n\n\
        example.com/Mod@v9.0.0: no file example.com/!mod/@v/v9.0.0.info in the module folder (asked low, which the module is bound to)\n\
        to have all asked anew: modvet cache rm --binding example.com/Mod\n\
        to say whose it is: name it in the `modules` and `not_modules` of the upstreams\n";
    let (text, code) = ask(&format!("{MODULE}@v9.0.0"));
    assert_eq!((timeless(&text).as_str(), code), (expected, Some(3)));

    let (json, _) = explain(home, &["--json", "--proxy", &url, &format!("{MODULE}@latest")]);
    let walked: Value = serde_json::from_str(&json).expect("json");
    let served = modvet.get("api/v1/walk/example.com", "!mod@latest");
    let served: Value = serde_json::from_str(&served.text()).expect("json");
    assert_eq!(walked["outcome"], served["outcome"]);
    assert_eq!(walked["outcome"]["version"], "v1.1.0", "{walked}");
}

#[test]
fn explain_walk_finds_out_by_itself_without_a_server() {
    let home = home();
    let (text, code) = explain(&home, &["--config", "modvet.toml", &format!("{MODULE}@v1.0.0")]);
    assert!(text.ends_with("answered by low: v1.0.0\na request binds example.com/Mod to low\n"), "{text}");
    assert_eq!(code, Some(0));
    let refused = home.run(&["explain", "--walk", "Mod@v1"]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}
