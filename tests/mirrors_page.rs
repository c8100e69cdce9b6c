//! docs/mirrors.md: its worked example is carried out, addresses replaced by those of two real git servers.

mod support;

use std::process::Command;

use support::mirrored::{Mirrored, Side};
use support::modvet::Home;
use support::top;

/// The blocks of a kind, in order.
fn blocks<'a>(page: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    let blocks = page.split(fence.as_str()).skip(1);
    blocks.filter_map(|rest| rest.split("```").next()).collect()
}

/// A table without what depends on the moment: every number and every run of blanks.
fn shape(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| {
            let is_id = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digits =
                |word: &str| word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
            let word = if is_id { "ID".to_owned() } else { digits(word) };
            // However long a check takes.
            ["00s", "000d)"].iter().fold(word, |word, long| word.replace(long, &long[1..]))
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect()
}

#[test]
fn the_worked_example_of_the_page_is_carried_out() {
    let page = std::fs::read_to_string(top().join("docs/mirrors.md")).expect("the page");
    let [toml] = blocks(&page, "toml")[..] else { panic!("one example") };
    let (mirrored, home) = (Mirrored::new(), Home::new());
    let (source, mirror) = (mirrored.url(Side::Source), mirrored.url(Side::Mirror));
    let pages = ["https://git.example/python-gitlab.git", "https://mirror.example/python-gitlab.git"];
    let today: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    let after = |days| (today + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let (due, later) = (after(40), after(400));
    assert!(pages.iter().all(|url| toml.contains(url)) && toml.contains("2027-02-01"), "{toml}");
    let text = toml.replace(pages[0], &source).replace(pages[1], &mirror).replace("2027-02-01", &due);
    home.configure(&format!("[git]\nallow_insecure = [\"127.0.0.1\"]\n\n{text}"));
    let run = |script: &str| {
        let mut shell = Command::new("sh");
        let path = format!("{}:/usr/bin:/bin", bin().display());
        shell.args(["-euc", script]).env_clear().env("PATH", path).env("HOME", home.path());
        let output = shell.current_dir(home.path()).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let (commands, shown) = (blocks(&page, "sh"), blocks(&page, "text"));
    let [config, check, lagging, dry_run, sync, renew, status] = commands[..] else { panic!("{commands:#?}") };
    assert!(run(config).contains("well"));
    assert_eq!(shape(&run(check)), shape(shown[0]));
    for _ in 0..3 {
        mirrored.commit(Side::Source, "main");
    }
    mirrored.git(Side::Source, &["tag", "v4.5.0", "main"]);
    let found = run(lagging);
    assert_eq!(shape(&found)[..2], shape(shown[1])[..2], "{found}");
    let planned = run(dry_run).replace(&source, pages[0]).replace(&mirror, pages[1]);
    assert_eq!(shape(&planned), shape(shown[2]), "{planned}");
    assert!(run(sync).contains("updated: 2 refs"));
    mirrored.are_the_same();
    assert!(run(&renew.replace("2028-02-01", &later)).contains(&format!("renewed until {later} by ann@example.com")));
    let all = run(status);
    let renewed = format!("renewed until {later} by ann@example.com");
    for expected in ["synced: 2 refs", &renewed, "in sync -> lagging"] {
        assert!(all.contains(expected), "no {expected} in\n{all}");
    }
}

/// The folder of the built binary.
fn bin() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_BIN_EXE_modvet")).parent().expect("it lies in a folder")
}
