//! `modvet rules`: what may pass, and by which rule.

use clap::Subcommand;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::control::{Control, Missing, Place, until_interrupted};
use super::exit::{Exit, Failure};
use super::{logging, wiring};
use crate::error::{Error, Kind};
use crate::registry::ruling::{Ruling, Word};
use crate::spec::path;

/// Look at what may pass: rules by module and version, and the least age of versions from outside.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    Test(Test),
}

/// Say whether a version would pass, and by which rule; every rule that was looked at is told.
///
/// MODULE alone is judged as a whole, a query by the version that it stands for. Beside a running server that one is
/// asked; without one the store is opened here. When a version was first seen may have to be asked for outside, as for
/// a request. Exit code 0 if it passes, 1 if it does not, 3 if that could not be found out.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
struct Test {
    /// What would be asked for, such as example.com/module@v1.2.3
    #[arg(value_name = "MODULE[@VERSION]")]
    subject: String,
    /// In this registry [default: the one at /]
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// At this date or time, such as 2027-01-31
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    /// Print JSON, as /api/v1/rules/MODULE@VERSION answers it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

const EXAMPLES: &str = "Examples:
  modvet rules test example.com/module@v1.2.3
  modvet rules test example.com/module@latest --registry ci --at 2027-01-31
  modvet rules test example.com/module --config modvet.toml --json";

pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    logging::start("warn").map_err(Failure::usage)?;
    let Work::Test(test) = arguments.work;
    wiring::runtime()?.block_on(until_interrupted(judge(&test)))
}

async fn judge(test: &Test) -> Result<Exit, Failure> {
    // What the rules of a file say can be asked before there is a server.
    let control = Control::open(test.place.settings().map_err(Failure::usage)?, Missing::Make).await?;
    let answer = match control.ask(Method::GET, &address(test), None::<&()>).await {
        Ok(answer) => answer,
        Err(error) => return Err(refused(&control, test, error).await),
    };
    let ruling: Ruling = serde_json::from_value(answer.clone())
        .map_err(|error| Error::internal("the server says what this modvet does not know").because(error))?;
    match test.json {
        true => println!("{answer:#}"),
        false => print!("{}", page(&ruling)),
    }
    Ok(match ruling.verdict {
        Word::Allowed | Word::Depends => Exit::Well,
        Word::Denied | Word::Young => Exit::Wrong,
    })
}

/// A registry that is not there is a slip of the pen; a version that is not there could not be judged.
async fn refused(control: &Control, test: &Test, error: Error) -> Failure {
    if let (Kind::NotFound, Some(name)) = (error.kind(), &test.registry) {
        let registry = format!("/api/v1/registries/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
        let known = control.ask(Method::GET, &registry, None::<&()>).await;
        if known.is_err_and(|error| error.kind() == Kind::NotFound) {
            return Failure::usage(error);
        }
    }
    error.into()
}

fn address(test: &Test) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let registry = test.registry.as_deref().map(|name| format!("/registries/{}", encoded(name))).unwrap_or_default();
    let at = test.at.as_deref().map(|at| format!("?at={}", encoded(at))).unwrap_or_default();
    // Slashes stay: they part the elements of a path.
    let subject = path::escape(&test.subject);
    let subject = subject.split('/').map(encoded).collect::<Vec<_>>().join("/");
    format!("{registry}/api/v1/rules/{subject}{at}")
}

/// The page that people read.
fn page(ruling: &Ruling) -> String {
    let version = ruling.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    let mut page = format!("{}{version} in registry {}: ", ruling.module, ruling.registry);
    let rule = ruling.rule.as_ref().map(|rule| format!(" by rule {rule}")).unwrap_or_default();
    match ruling.verdict {
        Word::Allowed => page.push_str(&format!("passes{rule}\n")),
        Word::Denied => page.push_str(&format!("denied{rule}\n")),
        Word::Young => page.push_str("too young\n"),
        Word::Depends => page.push_str("some versions pass\n"),
    }
    let time = |time: chrono::DateTime<chrono::Utc>| time.format("%FT%TZ").to_string();
    if let Some(seen) = ruling.first_seen {
        let list = if ruling.in_first_list { ", in the module's first list" } else { "" };
        page.push_str(&format!("first seen {}{list}\n", time(seen)));
    }
    if let Some(from) = ruling.passes_from {
        page.push_str(&format!("passes from {} on\n", time(from)));
    }
    let width = ruling.looked.iter().map(|looked| looked.rule.len()).max().unwrap_or_default();
    for looked in &ruling.looked {
        let sign = match (looked.decides, looked.matches) {
            (true, _) => "=>",
            (false, true) => " +",
            (false, false) => "  ",
        };
        let trial = if looked.dry_run { " (dry run)" } else { "" };
        let (rule, action, why) = (&looked.rule, &looked.action, &looked.why);
        page.push_str(&format!("{sign} {rule:<width$}  {action:<5}  {why}{trial}\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_an_address_of_the_interface() {
        let test = |subject: &str, registry: Option<&str>, at: Option<&str>| Test {
            subject: subject.to_owned(),
            registry: registry.map(str::to_owned),
            at: at.map(str::to_owned),
            json: false,
            place: Place { config: None, store: None },
        };
        for (test, expected) in [
            (test("example.com/M@v1.0.0", None, None), "/api/v1/rules/example%2Ecom/%21m%40v1%2E0%2E0"),
            (
                test("example.com/m@v2.0.0+incompatible", Some("ci"), Some("2027-01-31T00:00:00+01:00")),
                "/registries/ci/api/v1/rules/example%2Ecom/m%40v2%2E0%2E0%2Bincompatible\
                 ?at=2027%2D01%2D31T00%3A00%3A00%2B01%3A00",
            ),
        ] {
            assert_eq!(address(&test), expected);
        }
    }
}
