//! Upstreams that are down, slow, broken or lying: every cell of the tables of docs/reliability.md against the binary.

mod aged;
mod support;

use std::time::{Duration, Instant};

use aged::age;
use support::client::Answered;
use support::double::{Conduct, Double, Lie, Validator};
use support::modvet::{Home, Modvet};
use support::release::Release;

const PAGE: &str = include_str!("../docs/reliability.md");

const FILES: [&str; 3] = ["@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip"];
/// What goes stale soon. These stand behind the files: what they stand for is kept under its own name too.
const LISTS: [&str; 3] = ["@v/list", "@latest", "@v/main.info"];

/// How long a request may take that has to wait for its upstream's time limits, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is wrong with an upstream.
#[derive(Debug, Clone)]
enum Trouble {
    None,
    /// It cannot be asked whether an answer is the same.
    NoValidators,
    Down,
    /// Its certificate is not trusted any more.
    Distrusted,
    Does(Conduct),
}

/// An upstream, what becomes of it, and what is asked of it.
struct Scenario {
    /// As the page names it.
    row: String,
    trouble: Trouble,
    tails: Vec<&'static str>,
}

/// What is kept when the trouble begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Fresh,
    /// For two hours: files are fresh, lists are not.
    Hours,
    /// For more than a day.
    Days,
}

struct Seen {
    row: String,
    tail: &'static str,
    kept: Kept,
    upstream: String,
    answered: Answered,
    took: Duration,
}

impl Seen {
    /// As a cell of the page says it.
    fn cell(&self) -> String {
        match self.answered.header("x-modvet-cache") {
            Some(word) if self.answered.status == 200 => format!("200 {word}"),
            _ => self.answered.status.to_string(),
        }
    }
}

/// The rows of the table below a heading of the page, without its head.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = PAGE.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let text = text.split("\n## ").next().expect("a first part");
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.map(cells).collect()
}

/// The trouble that a row of the page is about.
fn trouble(row: &str, tail: &str) -> Trouble {
    let conduct = match row {
        "is well" => return Trouble::None,
        "has no validators" => return Trouble::NoValidators,
        "is down" => return Trouble::Down,
        "has a certificate that nobody trusts" => return Trouble::Distrusted,
        "hangs" => Conduct::Hangs,
        "hangs in the middle of an answer" => Conduct::HangsAfter(3),
        "cuts the connection" => Conduct::CutsAfter(0),
        "sends less than it announced" => Conduct::Truncates,
        "answers 429" => Conduct::Retry(429, 3600),
        "answers 503" => Conduct::Retry(503, 3600),
        "sends a page" => Conduct::Lies(Lie::Page),
        "sends another version" => Conduct::Lies(Lie::Of(Box::new(release("other.test/m", "v1.9.9")))),
        "sends another module's" => Conduct::Lies(Lie::Of(Box::new(release("other.test/m", "v1.0.0")))),
        "sends what is no JSON" => Conduct::Lies(Lie::Bytes(b"v1.0.0".to_vec())),
        "sends half a file as a whole" => Conduct::Halves,
        _ => match row.strip_prefix("answers ").and_then(|status| status.parse().ok()) {
            Some(status) => Conduct::Status(status),
            None => panic!("no test knows what the page means by {row:?} ({tail})"),
        },
    };
    Trouble::Does(conduct)
}

fn release(module: &str, version: &str) -> Release {
    Release::new(module, version)
}

/// An upstream that has what is asked for, of three modules of its own.
fn upstream(number: usize, trouble: &Trouble) -> Double {
    let double = match trouble {
        Trouble::Distrusted => Double::start_tls(),
        _ => Double::start(),
    };
    if let Trouble::NoValidators = trouble {
        double.tell(Validator::None);
    }
    for module in ["none", "kept", "older"] {
        let release = release(&module_path(number, module), "v1.0.0");
        double.add(&release);
        double.put(&format!("{}/main.info", release.folder()), release.info());
        double.put(&format!("{}/@latest", release.folder().trim_end_matches("/@v")), release.info());
    }
    double
}

fn module_path(number: usize, module: &str) -> String {
    format!("row{number}.test/{module}")
}

/// Runs the scenarios, each with an upstream of its own behind one modvet, and tells all that was seen.
fn play(scenarios: &[Scenario]) -> Vec<Seen> {
    let mut doubles: Vec<Option<Double>> =
        scenarios.iter().enumerate().map(|(number, scenario)| Some(upstream(number, &scenario.trouble))).collect();
    let home = Home::new();
    home.configure(&settings(scenarios, &doubles));
    // Only now every certificate is trusted.
    let mut serve = home.command(&["serve", "--config", "modvet.toml"]);
    serve.env("SSL_CERT_FILE", support::top().join("testdata/net/authority.pem"));
    let modvet = home.serve_by(serve);
    for module in ["kept", "older"] {
        for seen in ask(&modvet, scenarios, module, &[&FILES[..], &LISTS].concat(), Kept::Nothing) {
            assert_eq!(seen.answered.status, 200, "{}: {}: {}", seen.row, seen.tail, seen.answered.text());
        }
    }
    for (scenario, double) in scenarios.iter().zip(&mut doubles) {
        match (&scenario.trouble, double.as_ref()) {
            (Trouble::Down, _) => *double = None,
            (Trouble::Does(conduct), Some(double)) => {
                // Else it would say rightly that nothing has changed.
                double.tell(Validator::None);
                double.set("", conduct.clone());
            }
            _ => {}
        }
    }
    let modvet = modvet.killed().serve();
    let mut seen = ask(&modvet, scenarios, "none", &[&FILES[..], &LISTS].concat(), Kept::Nothing);
    seen.extend(ask(&modvet, scenarios, "kept", &[&FILES[..], &LISTS].concat(), Kept::Fresh));
    let home = modvet.killed();
    age(&home, 2);
    let modvet = home.serve();
    seen.extend(ask(&modvet, scenarios, "older", &LISTS, Kept::Hours));
    let home = modvet.killed();
    age(&home, 30);
    let modvet = home.serve();
    seen.extend(ask(&modvet, scenarios, "kept", &[&FILES[..], &LISTS].concat(), Kept::Days));
    seen
}

fn settings(scenarios: &[Scenario], doubles: &[Option<Double>]) -> String {
    let upstreams = doubles.iter().zip(scenarios).enumerate().map(|(number, (double, _))| {
        let double = double.as_ref().expect("all are up at first");
        let settings = double.settings(&format!("up{number}"));
        // Half an hour, since a busy machine may take a minute for all of this.
        format!(
            "{settings}modules = [\"row{number}.test\"]\nlist_validity = \"30m\"\n\
             timeouts = {{ first_byte = \"1s\", total = \"3s\" }}\n\n"
        )
    });
    upstreams.collect()
}

/// Asks for these tails of every scenario's module, the scenarios beside one another.
fn ask(modvet: &Modvet, scenarios: &[Scenario], module: &str, tails: &[&'static str], kept: Kept) -> Vec<Seen> {
    let one = |number: usize, scenario: &Scenario| -> Vec<Seen> {
        let asked = tails.iter().filter(|tail| scenario.tails.contains(tail));
        let seen = asked.map(|tail| {
            let start = Instant::now();
            let answered = modvet.get(&module_path(number, module), tail);
            let (row, upstream) = (scenario.row.clone(), format!("up{number}"));
            Seen { row, tail, kept, upstream, answered, took: start.elapsed() }
        });
        seen.collect()
    };
    let one = &one;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            scenarios.iter().enumerate().map(|(number, scenario)| scope.spawn(move || one(number, scenario))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

/// What of the page is not so.
fn differences(expected: &[String], seen: &[Seen], of_row: impl Fn(&Seen) -> Option<usize>) -> Vec<String> {
    let mut faults = Vec::new();
    for seen in seen {
        let Some(column) = of_row(seen) else { continue };
        let (found, expected) = (seen.cell(), &expected[column]);
        let subject = format!("{}: {} with {:?} kept", seen.row, seen.tail, seen.kept);
        let text =
            if seen.tail.ends_with("zip") && found.starts_with("200") { String::new() } else { seen.answered.text() };
        if found != *expected {
            faults.push(format!("{subject}: {found} (expected {expected}): {text}"));
        }
        if seen.answered.status != 200 && !text.contains(&seen.upstream) {
            faults.push(format!("{subject}: the upstream is not named: {text}"));
        }
        if seen.took > PATIENCE {
            faults.push(format!("{subject}: took {:?}", seen.took));
        }
    }
    faults
}

#[test]
fn each_trouble_of_an_upstream_gives_what_the_page_says() {
    let (files, lists) = (rows("The files of a version"), rows("Lists, `@latest`, branches and hashes"));
    let names = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(&files), names(&lists), "both tables have the same rows");
    let tails = [&FILES[..], &LISTS].concat();
    let scenarios: Vec<Scenario> = files
        .iter()
        .map(|row| Scenario { row: row[0].clone(), trouble: trouble(&row[0], "all"), tails: tails.clone() })
        .collect();
    let seen = play(&scenarios);
    let mut faults = Vec::new();
    for (file, list) in files.iter().zip(&lists) {
        let is_file = |seen: &Seen| FILES.contains(&seen.tail);
        faults.extend(differences(&file[1..], &seen, |seen| match seen.kept {
            _ if seen.row != file[0] || !is_file(seen) => None,
            Kept::Nothing => Some(0),
            Kept::Fresh | Kept::Hours => Some(1),
            Kept::Days => Some(2),
        }));
        faults.extend(differences(&list[1..], &seen, |seen| match seen.kept {
            _ if seen.row != list[0] || is_file(seen) => None,
            Kept::Nothing => Some(0),
            Kept::Fresh => Some(1),
            Kept::Hours => Some(2),
            Kept::Days => Some(3),
        }));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_does_not_fit_is_never_served_nor_kept() {
    let table = rows("Upstreams that lie");
    let ending = |row: &[String]| row[1].trim_matches('`').to_owned();
    let scenarios: Vec<Scenario> = table
        .iter()
        .map(|row| {
            let tail = FILES.into_iter().find(|tail| tail.ends_with(&ending(row))).expect("a file");
            Scenario { row: format!("{} ({tail})", row[0]), trouble: trouble(&row[0], tail), tails: vec![tail] }
        })
        .collect();
    let seen = play(&scenarios);
    let mut faults = Vec::new();
    for (row, scenario) in table.iter().zip(&scenarios) {
        faults.extend(differences(&row[2..], &seen, |seen| match seen.kept {
            _ if seen.row != scenario.row => None,
            Kept::Nothing => Some(0),
            Kept::Fresh | Kept::Hours => Some(1),
            Kept::Days => Some(2),
        }));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
