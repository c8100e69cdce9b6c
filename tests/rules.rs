//! What the rules let pass, as the real go command meets it: what it is told, and that nothing walks around it.

mod support;

use std::time::{Duration, Instant};

use support::double::{Double, Validator};
use support::go::Go;
use support::modvet::{Home, Modvet};
use support::project::Project;
use support::release::Release;

const MODULE: &str = "example.test/m";

/// A proxy with these versions of the module, and modvet before it under these rules.
fn world(versions: &[&str], rules: &str) -> (Double, Modvet) {
    let double = Double::start();
    double.tell(Validator::None);
    versions.iter().for_each(|version| double.add(&Release::new(MODULE, version)));
    let modvet = Modvet::start(&settings(&double, rules));
    (double, modvet)
}

/// Lists are asked for anew every time.
fn settings(double: &Double, rules: &str) -> String {
    format!("{}list_validity = \"0s\"\n{rules}", double.settings("public"))
}

const DENIED: &str = "
[[rule]]
name = \"no-m\"
action = \"deny\"
modules = [\"example.test/*\"]
versions = \">=1.2.0, <1.4.0\"
reason = \"CVE-2026-1\"
";

const COOLDOWN: &str = "
[cooldown]
min_age = \"7d\"
";

/// What go prints, with what differs from run to run left out.
fn shown(text: &str, modvet: &Modvet) -> String {
    text.replace(&modvet.url(), "MODVET")
}

fn logged(modvet: &Modvet, words: &str) {
    logged_times(modvet, words, 1);
}

fn logged_times(modvet: &Modvet, words: &str, times: usize) {
    let started = Instant::now();
    while modvet.log().matches(words).count() < times {
        assert!(started.elapsed() < Duration::from_secs(60), "{words} is not logged: {}", modvet.log());
        std::thread::yield_now();
    }
}

#[test]
fn a_denied_version_stops_go_get_and_is_asked_of_nobody_else() {
    let (double, modvet) = world(&["v1.1.0", "v1.2.0", "v1.4.0"], DENIED);
    let go = Go::new("http://127.0.0.1:9/", &[]);
    // The comma goes on after 404 and 410 only; direct would ask somebody else.
    let project = Project::new(&go, &format!("{},direct", modvet.url()));
    let got = project.go(&["get", "example.test/m@v1.2.0"]);
    assert!(!got.success);
    assert_eq!(
        shown(got.stderr.trim(), &modvet),
        "go: example.test/m@v1.2.0: reading MODVET/example.test/m/@v/v1.2.0.info: 403 Denied by rule no-m\n\
         \tserver response:\n\
         \texample.test/m@v1.2.0: denied by rule no-m: CVE-2026-1\n\
         \tversions that pass: go list -m -versions example.test/m\n\
         \twhy: modvet rules test example.test/m@v1.2.0"
    );
    // The go command asks for every parent path; that one no rule is about.
    assert_eq!(double.count("m/@v/v1.2.0.info"), 0, "{:?}", double.asked());
    project.go(&["get", "example.test/m@v1.4.0"]).well();
    let versions = project.go(&["list", "-m", "-versions", MODULE]).well();
    assert_eq!(versions.stdout.trim(), "example.test/m v1.1.0 v1.4.0");
    // A go.mod that names it stops the build as well.
    project.write("go.mod", "module example.test/app\n\ngo 1.26\n\nrequire example.test/m v1.2.0\n");
    let built = project.go(&["mod", "download"]);
    assert!(!built.success && built.stderr.contains("denied by rule no-m: CVE-2026-1"), "{}", built.stderr);
    let page = support::client::get(modvet.address(), "/metrics").text();
    assert!(page.contains("modvet_rules_denied_total{registry=\"default\",rule=\"no-m\"}"), "{page}");
}

#[test]
fn a_version_that_just_came_is_not_latest_and_not_to_be_had() {
    let (double, modvet) = world(&["v1.0.0", "v1.1.0"], COOLDOWN);
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let project = Project::new(&go, &format!("{},direct", modvet.url()));
    project.go(&["get", "example.test/m@latest"]).well();
    assert!(project.read("go.mod").contains("example.test/m v1.1.0"), "the first list is trusted");
    double.add(&Release::new(MODULE, "v1.2.0"));
    project.go(&["get", "-u", "example.test/m@latest"]).well();
    assert!(project.read("go.mod").contains("example.test/m v1.1.0"), "{}", project.read("go.mod"));
    let pinned = project.go(&["get", "example.test/m@v1.2.0"]);
    let text = shown(pinned.stderr.trim(), &modvet);
    assert!(!pinned.success && text.contains("403 Denied by rule cooldown"), "{text}");
    assert!(text.contains("example.test/m@v1.2.0: too young: first seen 20"), "{text}");
    assert!(text.contains("(rule cooldown: 7days)"), "{text}");
    for ending in ["info", "mod", "zip"] {
        let answered = modvet.get(MODULE, &format!("@v/v1.2.0.{ending}"));
        let wait: u64 = answered.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
        assert_eq!(answered.status, 403, "{ending}");
        assert!((604_000..=604_800).contains(&wait), "{ending}: {wait}");
    }
    // A restart makes nothing old, and what was old stays so.
    let modvet = modvet.killed().serve();
    assert_eq!(modvet.get(MODULE, "@v/v1.2.0.zip").status, 403, "{}", modvet.log());
    assert_eq!(modvet.get(MODULE, "@v/v1.1.0.zip").status, 200, "{}", modvet.log());
    assert_eq!(modvet.get(MODULE, "@v/list").text(), "v1.0.0\nv1.1.0\n");
}

#[test]
fn what_an_upstream_has_had_for_long_is_old_whenever_it_is_first_seen() {
    let (double, modvet) = world(&["v1.0.0"], "[cooldown]\nmin_age = \"7d\"\nfirst_sight = \"wait\"\n");
    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.zip").status, 403, "its .info says 2019, which its author may say");
    assert_eq!(modvet.get(MODULE, "@v/list").text(), "");
    let home = Home::new();
    home.configure(&settings(&double, "[cooldown]\nmin_age = \"7d\"\nfirst_sight = \"wait\"\n"));
    double.tell(Validator::LastModified);
    let modvet = home.serve();
    assert_eq!(modvet.get(MODULE, "@v/v1.0.0.zip").status, 200, "{}", modvet.log());
    assert_eq!(modvet.get(MODULE, "@v/list").text(), "v1.0.0\n");
}

#[test]
fn rules_change_without_a_restart_and_faulty_ones_change_nothing() {
    let (double, modvet) = world(&["v1.2.0"], "");
    let status = || modvet.get(MODULE, "@v/v1.2.0.info").status;
    assert_eq!(status(), 200);
    modvet.home().configure(&settings(&double, DENIED));
    modvet.signal(libc::SIGHUP);
    logged(&modvet, "configuration reloaded");
    assert_eq!(status(), 403);
    modvet.home().configure(&settings(&double, &DENIED.replace("deny", "denny").replace("<1.4.0", "<1.x")));
    modvet.signal(libc::SIGHUP);
    logged(&modvet, "the configuration is not reloaded: all stays as it was");
    let log = modvet.log();
    assert!(log.contains("modvet.toml: line 14: rule.action: \"denny\" (expected allow or deny)"), "{log}");
    assert!(log.contains("rule.versions: \">=1.2.0, <1.x\""), "all of it is named: {log}");
    let checked = modvet.home().run(&["config", "check", "--config", "modvet.toml"]);
    let text = format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(text.contains("rule.action") && text.contains("rule.versions: \">=1.2.0, <1.x\""), "{text}");
    assert_eq!(status(), 403, "the old rules stay");
    modvet.home().configure(&settings(&double, &format!("{DENIED}dry_run = true\n")));
    modvet.signal(libc::SIGHUP);
    logged_times(&modvet, "configuration reloaded", 2);
    assert_eq!(status(), 200, "{}", modvet.log());
}

#[test]
fn a_rule_on_trial_lets_pass_and_says_so() {
    let (_double, modvet) = world(&["v1.2.0"], &format!("{DENIED}dry_run = true\n"));
    assert_eq!(modvet.get(MODULE, "@v/v1.2.0.zip").status, 200);
    logged(&modvet, "would be denied");
    let page = support::client::get(modvet.address(), "/metrics").text();
    let line = "modvet_rules_would_deny_total{registry=\"default\",rule=\"no-m\"} 1";
    assert!(page.lines().any(|found| found == line), "{page}");
}

#[test]
fn rules_test_says_beside_a_server_and_without_one_what_passes() {
    let rules = format!("{DENIED}{COOLDOWN}");
    let (double, modvet) = world(&["v1.1.0", "v1.2.0"], &rules);
    let test = |home: &Home, arguments: &[&str]| {
        let all = [&["rules", "test", "--config", "modvet.toml"], arguments].concat();
        let output = home.run(&all);
        let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().expect("an exit code"), format!("{said}{error}"))
    };
    let denied = "example.test/m@v1.2.0 in registry default: denied by rule no-m\n\
                  => no-m      deny   it is about it: CVE-2026-1\n   \
                  default   allow  a rule before it decides\n   \
                  cooldown  wait   nobody looked when it was first seen: a rule denies it\n";
    assert_eq!(test(modvet.home(), &["example.test/m@v1.2.0"]), (1, denied.to_owned()));
    assert!(double.asked().is_empty(), "{:?}", double.asked());
    let (exit, passes) = test(modvet.home(), &["example.test/m@v1.1.0"]);
    assert!(passes.starts_with("example.test/m@v1.1.0 in registry default: passes\nfirst seen 20"), "{passes}");
    assert!(passes.contains("it stood in the module's first list"), "{passes}");
    assert_eq!(exit, 0);
    assert_eq!(test(modvet.home(), &["example.test/m"]).0, 0);
    double.add(&Release::new(MODULE, "v1.5.0"));
    let (exit, young) = test(modvet.home(), &["example.test/m@v1.5.0"]);
    assert!(exit == 1 && young.contains(": too young\nfirst seen 20"), "{young}");
    assert_eq!(test(modvet.home(), &["example.test/m@v1.5.0", "--at", "2100-01-01"]).0, 0);
    assert_eq!(test(modvet.home(), &["example.test/m@v1.9.0"]).0, 3, "there is no such version");
    assert_eq!(test(modvet.home(), &["example.test/m@v1.9.0", "--registry", "default"]).0, 3, "nor there");
    assert_eq!(test(modvet.home(), &["example.test/m@v1.1.0", "--registry", "none"]).0, 2, "no such registry");
    assert_eq!(test(modvet.home(), &["m@v1.9.0"]).0, 2);
    assert_eq!(test(modvet.home(), &["example.test/m@v1.2.0", "--at", "soon"]).0, 2);
    let home = modvet.killed();
    assert_eq!(test(&home, &["example.test/m@v1.2.0"]), (1, denied.to_owned()));
    assert_eq!(test(&home, &["example.test/m@v1.5.0"]).0, 1, "the store knows when it was first seen");
    let (exit, json) = test(&home, &["example.test/m@v1.2.0", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((exit, &value["verdict"], &value["rule"]), (1, &"denied".into(), &"no-m".into()));
}

#[test]
fn the_go_command_gets_the_toolchain_that_it_switches_to() {
    let rules = "[rules]\ndefault = \"deny\"\n[cooldown]\nmin_age = \"7d\"\nfirst_sight = \"wait\"\n";
    let (double, modvet) = world(&["v1.0.0"], rules);
    let tool = "golang.org/toolchain";
    for ending in ["info", "mod", "zip"] {
        double.put(
            &format!("{tool}/@v/v0.0.1-go1.26.1.linux-amd64.{ending}"),
            match ending {
                "info" => b"{\"Version\":\"v0.0.1-go1.26.1.linux-amd64\"}".to_vec(),
                "mod" => b"module golang.org/toolchain\n".to_vec(),
                _ => Release::new(tool, "v0.0.1-go1.26.1.linux-amd64").zip(),
            },
        );
    }
    for ending in ["info", "mod", "zip"] {
        let answered = modvet.get(tool, &format!("@v/v0.0.1-go1.26.1.linux-amd64.{ending}"));
        assert_eq!(answered.status, 200, "{ending}: {}", answered.text());
    }
    assert_eq!(modvet.get(MODULE, "@v/list").status, 403);
}

#[test]
fn what_alone_may_pass_is_had_although_its_parent_paths_are_denied() {
    let rules =
        "[rules]\ndefault = \"deny\"\n[[rule]]\nname = \"ours\"\naction = \"allow\"\nmodules = [\"example.test/m\"]\n";
    let (double, modvet) = world(&["v1.0.0"], rules);
    double.add(&Release::new("example.test/other", "v1.0.0"));
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let project = Project::new(&go, &modvet.url());
    project.go(&["get", "example.test/m@latest"]).well();
    assert!(project.read("go.mod").contains("example.test/m v1.0.0"), "{}", project.read("go.mod"));
    let other = project.go(&["get", "example.test/other@v1.0.0"]);
    assert!(other.stderr.contains("denied by rule default: no rule lets it pass"), "{}", other.stderr);
    assert!(double.asked().iter().all(|asked| asked.path.starts_with("example.test/m/")), "{:?}", double.asked());
}
