//! `modvet auth`: tells the go command which token to send where.
//! Rules: `go help goauth`.

use std::fmt::Write as _;
use std::path::Path;

use url::Url;

use super::environment::{self, variable};
use super::exit::{Exit, Failure};
use super::go_env::go_variable;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Tell the go command which token to send where: a command for its GOAUTH.
///
/// The token is that of MODVET_TOKEN, else of the file that MODVET_TOKEN_FILE names. It is for the first server of
/// GOPROXY if that is asked over https; with --host or MODVET_HOST for the servers named there and no other.
/// GOAUTH is heeded from Go 1.24 on.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// A server that the token is for: proxy.example, proxy.example:8443, https://proxy.example/registries/ci
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// The go command says here what it was refused
    #[arg(value_name = "URL")]
    url: Option<String>,
}

const EXAMPLES: &str = "Examples:
  GOAUTH=\"modvet auth\" MODVET_TOKEN_FILE=/run/secrets/modvet go build ./...
  GOAUTH=\"netrc;modvet auth --host proxy.example\" go mod download

Tokens are made by who runs the server: modvet token create --scope read";

pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let named = match arguments.host.is_empty() {
        true => variable("MODVET_HOST").map(|hosts| hosts.split([',', ' ']).map(str::to_owned).collect()),
        false => Some(arguments.host.clone()),
    };
    let servers = match named {
        Some(hosts) => hosts.iter().filter(|host| !host.trim().is_empty()).map(|host| host_server(host)).collect(),
        None => Ok(go_variable("GOPROXY").as_deref().and_then(listed_server).into_iter().collect()),
    };
    let servers: Vec<String> = servers.map_err(Failure::usage)?;
    if servers.is_empty() {
        eprintln!("modvet: GOPROXY names no https server first, and no other is named by --host or MODVET_HOST");
        return Ok(Exit::Well);
    }
    if arguments.url.as_deref().is_some_and(|url| !servers.iter().any(|server| is_below(server, url))) {
        return Ok(Exit::Well);
    }
    let token = token().map_err(Failure::usage)?;
    print!("{}", said(&servers, &token));
    Ok(Exit::Well)
}

fn token() -> Result<Secret> {
    let text = match (variable("MODVET_TOKEN"), variable("MODVET_TOKEN_FILE")) {
        (Some(token), _) => token,
        (None, Some(file)) => environment::read(Path::new(&file)).map_err(|error| error.about("MODVET_TOKEN_FILE"))?,
        (None, None) => {
            let error = Error::gone("there is no token: neither MODVET_TOKEN nor MODVET_TOKEN_FILE is set");
            return Err(error.remedy("who runs the server makes one: modvet token create --scope read"));
        }
    };
    let token = text.trim();
    // It becomes a line of a header.
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(token)),
        false => Err(Error::gone("the token is empty or has characters that no token has")),
    }
}

/// The first server of a GOPROXY list: the token is for one, and the others of the list are strangers. Where that one
/// cannot be told it, as over plain http, the next one must not be told instead.
fn listed_server(list: &str) -> Option<String> {
    let is_server = |entry: &&str| !matches!(*entry, "" | "direct" | "off") && !entry.starts_with("file:");
    list.split([',', '|']).map(str::trim).find(is_server).and_then(server)
}

fn host_server(text: &str) -> Result<String> {
    let text = text.trim();
    let address = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    server(&address).ok_or_else(|| {
        // What stands there may be a password.
        let error = Error::gone("--host or MODVET_HOST names no server (expected a host, or an https address)");
        error.remedy("write for example proxy.example:8443; the go command sends tokens over https only")
    })
}

/// An https address without credentials, as the go command writes it at the beginning of every request.
fn server(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let is_line = text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_server = url.scheme() == "https" && url.host_str().is_some() && url.fragment().is_none();
    (text.starts_with("https://") && is_plain && is_line && is_server).then(|| text.trim_end_matches('/').to_owned())
}

/// Whether an address is that of a server, or below it.
fn is_below(server: &str, url: &str) -> bool {
    let (Ok(server), Ok(url)) = (Url::parse(server), Url::parse(url)) else { return false };
    let path = server.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(path);
    server.origin() == url.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// In the form of `go help goauth`: addresses, an empty line, headers, an empty line.
fn said(servers: &[String], token: &Secret) -> String {
    let mut text = String::new();
    for server in servers {
        text.push_str(server);
        text.push('\n');
    }
    write!(text, "\nAuthorization: Bearer {}\n\n", token.expose()).expect("a string takes all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_the_first_server_of_a_list_and_no_other() {
        let table = [
            ("one", "https://proxy.example", Some("https://proxy.example")),
            ("a slash at its end", "https://proxy.example/", Some("https://proxy.example")),
            (
                "a registry",
                "https://proxy.example:8443/registries/ci,direct",
                Some("https://proxy.example:8443/registries/ci"),
            ),
            ("with a fallback", "https://a.example|https://b.example,direct", Some("https://a.example")),
            ("behind a folder", "file:///cache, https://a.example", Some("https://a.example")),
            ("a port that goes without saying", "https://a.example:443", Some("https://a.example:443")),
            ("plain http", "http://a.example,direct", None),
            ("plain http on the loopback", "http://127.0.0.1:3000", None),
            ("no server", "direct", None),
            ("off", "off", None),
            ("credentials of its own", "https://user:pass@a.example", None),
            ("plain http before a stranger", "http://127.0.0.1:3000,https://b.example,direct", None),
            ("credentials of its own before a stranger", "https://user:pass@a.example,https://b.example", None),
            ("git before it", "direct,https://a.example", Some("https://a.example")),
            ("nothing", "", None),
            ("more than an address", "https://a.example\nb", None),
        ];
        for (row, list, expected) in table {
            assert_eq!(listed_server(list).as_deref(), expected, "{row}");
        }
    }

    #[test]
    fn servers_are_named_by_host_or_by_address() {
        for (host, expected) in [
            ("proxy.example", "https://proxy.example"),
            (" proxy.example:8443 ", "https://proxy.example:8443"),
            ("https://proxy.example/registries/ci/", "https://proxy.example/registries/ci"),
        ] {
            assert_eq!(host_server(host).expect(host), expected);
        }
        for host in ["http://proxy.example", "", "a b", "user:pass@proxy.example", "ssh://proxy.example", "a\nb"] {
            let error = host_server(host).expect_err(host);
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    #[test]
    fn a_refused_request_gets_the_token_only_where_it_went_to_the_server() {
        let server = "https://proxy.example/registries/ci";
        let table = [
            ("https://proxy.example/registries/ci/example.com/m/@v/list", true),
            ("https://proxy.example:443/registries/ci/x", true),
            ("https://proxy.example/registries/ci", true),
            ("https://proxy.example/registries/cid/x", false),
            ("https://proxy.example/example.com/m/@v/list", false),
            ("https://proxy.example/registries/ci/../other/x", false),
            ("http://proxy.example/registries/ci/x", false),
            ("https://proxy.example:8443/registries/ci/x", false),
            ("https://proxy.example.evil.example/registries/ci/x", false),
            ("https://evil.example/?https://proxy.example/registries/ci/x", false),
            ("no address", false),
        ];
        for (url, expected) in table {
            assert_eq!(is_below(server, url), expected, "{url}");
        }
        assert!(is_below("https://proxy.example", "https://proxy.example/x/@v/list"));
    }

    #[test]
    fn the_go_command_gets_addresses_an_empty_line_headers_and_an_empty_line() {
        let servers = ["https://a.example".to_owned(), "https://b.example/x".to_owned()];
        let text = said(&servers, &Secret::new("modvet_1"));
        assert_eq!(text, "https://a.example\nhttps://b.example/x\n\nAuthorization: Bearer modvet_1\n\n");
    }
}
