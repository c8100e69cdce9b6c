//! Where pages, redirects and answers may lead the built binary: nowhere private, unless the configuration says so.

mod support;

use std::os::unix::fs::PermissionsExt as _;

use support::client;
use support::modvet::{Home, Modvet};
use support::plain::{Plain, Said};
use support::release::Release;

const MODULE: &str = "evil.test/m";

/// A way on which somebody else says where modvet goes next.
struct Way {
    row: &'static str,
    /// What the server that the configuration names says; `{to}` is the address of the one that must not be reached.
    says: fn(target: &str, to: &str) -> Said,
    kind: &'static str,
    tail: &'static str,
}

fn page(tag: &str) -> Said {
    let page = format!("<html><head><meta name=\"go-import\" content=\"{MODULE} {tag}\"></head></html>");
    Said::new("200 OK", &page).header("Content-Type", "text/html")
}

const GIT: &str = "kind = 'git'";
const PROXY: &str = "kind = 'proxy'";

/// `git` redirects of a repository that the page names on the server itself.
const WAYS: &[Way] = &[
    Way {
        row: "a page names a repository",
        says: |_, to| page(&format!("git http://{to}/repo")),
        kind: GIT,
        tail: "@v/list",
    },
    Way {
        row: "a page names a proxy",
        says: |_, to| page(&format!("mod http://{to}/proxy")),
        kind: GIT,
        tail: "@v/list",
    },
    Way {
        row: "a page is elsewhere",
        says: |_, to| Said::redirect(&format!("http://{to}/page")),
        kind: GIT,
        tail: "@v/list",
    },
    Way {
        row: "a repository is elsewhere",
        says: |target, to| match target.contains("/info/refs") {
            true => Said::redirect(&format!("http://{to}/repo/info/refs?service=git-upload-pack")),
            false => page("git https://evil.test/repo"),
        },
        kind: GIT,
        tail: "@v/v1.0.0.zip",
    },
    Way {
        row: "a list is elsewhere",
        says: |_, to| Said::redirect(&format!("http://{to}/list")),
        kind: PROXY,
        tail: "@v/list",
    },
    Way {
        row: "an .info is elsewhere",
        says: |_, to| Said::redirect(&format!("http://{to}/info")),
        kind: PROXY,
        tail: "@v/v1.0.0.info",
    },
    Way {
        row: "a .mod is elsewhere",
        says: |target, to| info_or(target, Said::redirect(&format!("http://{to}/mod"))),
        kind: PROXY,
        tail: "@v/v1.0.0.mod",
    },
    Way {
        row: "a zip is elsewhere",
        says: |target, to| info_or(target, Said::redirect(&format!("http://{to}/zip"))),
        kind: PROXY,
        tail: "@v/v1.0.0.zip",
    },
];

fn info_or(target: &str, other: Said) -> Said {
    let info = || String::from_utf8(Release::new(MODULE, "v1.0.0").info()).expect("text");
    if target.ends_with(".info") {
        Said::new("200 OK", &info()).header("Content-Type", "application/json")
    } else {
        other
    }
}

/// Settings in which the named server stands for the module's host, and plain http is no obstacle.
fn settings(named: &Plain, kind: &str, more: &str) -> String {
    let url = if kind == PROXY { format!("url = '{}'\n", named.url()) } else { String::new() };
    format!(
        "{more}\n[git]\nallow_insecure = true\n\n[git.instead_of]\n'https://evil.test/' = '{}/'\n\n\
         [[upstream]]\nname = 'evil'\n{kind}\n{url}",
        named.url()
    )
}

#[test]
fn nobody_leads_to_a_private_address_by_a_page_or_a_redirect() {
    for Way { row, says, kind, tail } in WAYS {
        for host in ["127.0.0.1", "0x7f.1", "localhost", "[::ffff:7f00:1]"] {
            let inner = Plain::start(|_| Said::new("200 OK", "secret"));
            let to = format!("{host}:{}", inner.port());
            let named = Plain::start(move |heard| says(&heard.target, &to));
            let modvet = Modvet::start(&settings(&named, kind, ""));
            let answered = modvet.get(MODULE, tail);
            assert_eq!(answered.status, 403, "{row} {host}: {}\n{}", answered.text(), modvet.log());
            assert!(
                answered.text().contains("not public") || answered.text().contains("is not a public address"),
                "{row} {host}: {}",
                answered.text()
            );
            assert!(answered.text().contains("[net] allow_private"), "{row} {host}: {}", answered.text());
            assert!(!named.heard().is_empty(), "{row} {host}: nobody asked who leads there");
            assert_eq!(inner.connections(), 0, "{row} {host}");
        }
        // Allowed, it is reached: what is above could have been noticed.
        let inner = Plain::start(|_| Said::new("404 Not Found", "nothing"));
        let to = format!("127.0.0.1:{}", inner.port());
        let named = Plain::start(move |heard| says(&heard.target, &to));
        let modvet = Modvet::start(&settings(&named, kind, "[net]\nallow_private = ['127.0.0.1']\n"));
        let answered = modvet.get(MODULE, tail);
        assert!(inner.connections() > 0, "{row}: {} {}\n{}", answered.status, answered.text(), modvet.log());
    }
}

/// A program that stands in for ssh: it notes what it is told, and fails.
fn fake_ssh(home: &Home) -> String {
    let folder = home.path().join("bin");
    std::fs::create_dir(&folder).expect("a folder");
    let program = folder.join("ssh");
    std::fs::write(&program, "#!/bin/sh\necho \"$@\" >> \"$HOME/told\"\nexit 255\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    format!("{}:/usr/bin:/bin", folder.display())
}

#[test]
fn ssh_connects_to_no_private_address_that_a_page_names_and_to_the_one_that_was_checked() {
    // The host that the page names, what allows it, and what ssh is told then.
    let table: [(&str, &str, Option<&str>); 8] = [
        ("127.0.0.1", "", None),
        ("localhost", "", None),
        ("2130706433", "", None),
        ("0x7f.1:2222", "", None),
        ("[::1]", "", None),
        ("no-such-host.invalid", "", None),
        ("localhost", "127.0.0.0/8', '::1/128", Some("-o HostKeyAlias=localhost -o CheckHostIP=no")),
        ("localhost:2222", "localhost", Some("-p 2222 git@localhost git-upload-pack")),
    ];
    for (host, allowed, told) in table {
        let page = page(&format!("git ssh://git@{host}/repo"));
        let named = Plain::start(move |_| page.clone());
        let home = Home::new();
        let path = fake_ssh(&home);
        home.configure(&settings(
            &named,
            GIT,
            &format!("[net]\nallow_private = ['{allowed}']\n").replace("['']", "[]"),
        ));
        let mut command = home.command(&["serve", "--config", "modvet.toml"]);
        command.env("PATH", path);
        let modvet = home.serve_by(command);
        let answered = modvet.get(MODULE, "@v/list");
        let found = std::fs::read_to_string(modvet.home().path().join("told")).ok();
        match told {
            None => assert_eq!((found, answered.status >= 400), (None, true), "{host}: {}", answered.text()),
            Some(told) => assert!(found.as_deref().is_some_and(|found| found.contains(told)), "{host}: {found:?}"),
        }
    }
}

#[test]
fn what_the_configuration_names_is_taken_at_its_word() {
    let named = Plain::start(|heard| match heard.target.ends_with("list") {
        true => Said::new("200 OK", "v1.0.0\n").header("Content-Type", "text/plain"),
        false => Said::new("404 Not Found", ""),
    });
    let modvet = Modvet::start(&format!("[[upstream]]\nname = 'own'\nkind = 'proxy'\nurl = '{}'\n", named.url()));
    assert_eq!(client::get(modvet.address(), &format!("/{MODULE}/@v/list")).text(), "v1.0.0\n");
}
