//! The alert rules of docs/alerts.yml, read and run by Prometheus' own tool. That every figure in them is one of ours
//! is checked where the figures are made.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// `PROMTOOL` names it where it is not in the path.
fn promtool() -> Option<Command> {
    let program = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut asked = Command::new(&program);
    let is_there = asked.arg("--version").output().is_ok_and(|output| output.status.success());
    is_there.then(|| Command::new(program))
}

fn run(arguments: &[&str]) -> Option<(bool, String)> {
    let Some(mut command) = promtool() else {
        // Past what the test harness holds back: a test that did nothing must not look like one that passed.
        let skipped = "skipped: promtool is not here (it comes with Prometheus; PROMTOOL names it outside of the path)";
        writeln!(std::io::stderr(), "{}: {skipped}", arguments.join(" ")).expect("standard error");
        return None;
    };
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = command.args(arguments).current_dir(top).output().expect("it was there a moment ago");
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn prometheus_reads_the_rules() {
    let Some((is_good, text)) = run(&["check", "rules", "docs/alerts.yml"]) else { return };
    assert!(is_good, "{text}");
}

#[test]
fn the_rules_fire_when_they_should_and_not_before() {
    let Some((is_good, text)) = run(&["test", "rules", "testdata/alerts/rules_test.yml"]) else { return };
    assert!(is_good, "{text}");
}

/// A rule that no test makes fire may never do so, and nobody would know.
#[test]
fn every_rule_is_made_to_fire() {
    let read = |path: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the repository")
    };
    let (rules, tests) = (read("docs/alerts.yml"), read("testdata/alerts/rules_test.yml"));
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        let is_expected =
            tests.contains(&format!("alertname=\"{name}\"")) || tests.contains(&format!("alertname: {name}\n"));
        assert!(is_expected, "{name} is in no test");
        let rule = rules.split("- alert: ").find(|rule| rule.lines().next() == Some(name)).expect("it was found");
        for wanted in ["summary:", "description:", "severity:"] {
            assert!(rule.contains(wanted), "{name} has no {wanted}");
        }
    }
}
