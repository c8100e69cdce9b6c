//! Notices by the built binary: every channel is tried, and no secret of any is said.

mod support;

use std::path::Path;
use std::process::Output;

use support::authority::Authority;
use support::modvet::Home;
use support::plain::{Plain, Said};
use support::smtp::{Account, Fault, Smtp, Tls};

const HOOK: &str = "h00k-of-the-chat-Ab12";
const MAIL: &str = "ma1l-password-Cd34";
const PAGER: &str = "pager-t0ken-Ef56";

/// All that lies in a folder, and what it says of a secret.
fn search(folder: &Path, secret: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            search(&path, secret, found);
        } else if std::fs::read(&path).is_ok_and(|text| memchr::memmem::find(&text, secret.as_bytes()).is_some()) {
            found.push(format!("{secret} in {}", path.display()));
        }
    }
}

struct World {
    home: Home,
    hook: String,
}

impl World {
    /// Trusts this authority alone.
    fn new(authority: &Authority, chat: &Plain, pager: &Plain, mail: &str) -> World {
        let home = Home::new();
        home.write("authority.pem", &authority.pem());
        home.configure(&format!(
            r#"
            [smtp]
            url = "{mail}"
            from = "modvet <modvet@example.com>"
            username = "modvet"
            password_env = "MAIL_PASSWORD"
            [[notify]]
            name = "chat"
            kind = "webhook"
            url_env = "CHAT_HOOK"
            [[notify]]
            name = "pager"
            kind = "webhook"
            url = "{}/page"
            auth = {{ token_env = "PAGER_TOKEN" }}
            [[notify]]
            name = "post"
            kind = "email"
            to = ["ops@example.com", "dev@example.com"]
            [[mirror]]
            name = "m"
            source = "http://127.0.0.1:1/source.git"
            mirror = "http://127.0.0.1:1/mirror.git"
            renewal = {{ what = "a subscription", date = "2099-01-01", owner = "owner@example.com" }}
            "#,
            pager.url()
        ));
        World { home, hook: format!("{}/services/{HOOK}", chat.url()) }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.home.command(arguments);
        command.env("CHAT_HOOK", &self.hook).env("MAIL_PASSWORD", MAIL).env("PAGER_TOKEN", PAGER);
        command.env("SSL_CERT_FILE", self.home.path().join("authority.pem"));
        command.env("MODVET_LOG", "trace").output().expect("the binary was built")
    }
}

fn pair(authority: &Authority) -> (String, String) {
    let issued = authority.issue();
    (issued.certificate, issued.key)
}

fn account() -> Account {
    Account { mechanism: "PLAIN", username: "modvet".to_owned(), password: MAIL.to_owned() }
}

/// Repeats what it was shown, as servers sometimes do.
fn echo(status: &'static str) -> Plain {
    Plain::start(move |heard| {
        Said::new(status, &format!("no such hook {} for {}", heard.target, heard.header("authorization")))
    })
}

#[test]
fn a_test_letter_goes_over_every_channel_and_every_outcome_is_told() {
    let (chat, pager) = (Plain::start(|_| Said::new("200 OK", "ok")), echo("404 Not Found"));
    let authority = Authority::new();
    let (certificate, key) = pair(&authority);
    let server = Smtp::start(Tls::Offered, (&certificate, &key), vec![account()], |step| {
        step.contains("dev@example.com").then(|| Fault::Says("550 5.1.1 no such user".to_owned()))
    });
    let world = World::new(&authority, &chat, &pager, &format!("smtp://127.0.0.1:{}", server.port()));
    let output = world.run(&["mirror", "check", "--notify-test", "--config", "modvet.toml", "--json"]);
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let rows: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{told}{errors}"))).collect();
    let row = |at: usize| {
        let text = |key: &str| rows[at][key].as_str().unwrap_or("-").to_owned();
        format!("{} {}: {}", text("channel"), text("address"), text("error"))
    };
    assert_eq!(
        (0..rows.len()).map(row).collect::<Vec<_>>(),
        [
            "chat -: -",
            "pager -: 127.0.0.1 answered 404: no such hook /page for Bearer …",
            "post ops@example.com: -",
            "post dev@example.com: 127.0.0.1 does not take mail for dev@example.com: 550 5.1.1 no such user",
            "owner owner@example.com: -",
        ],
        "{errors}"
    );
    assert_eq!(output.status.code(), Some(1));
    let letter: serde_json::Value = serde_json::from_str(&chat.heard()[0].body).expect("JSON");
    assert_eq!(letter["subject"], "modvet: a test notice");
    let mails = server.wait_for(2);
    let to: Vec<&String> = mails.iter().flat_map(|mail| &mail.to).collect();
    assert_eq!(to.len(), 2, "{to:?}");
    assert!(mails.iter().all(|mail| mail.encrypted && mail.user.as_deref() == Some("modvet")), "{mails:?}");
    assert!(mails.iter().all(|mail| mail.header("auto-submitted") == "auto-generated"), "{mails:?}");
}

#[test]
fn no_secret_of_a_channel_is_said_whatever_servers_say() {
    let (chat, pager) = (echo("500 Internal Server Error"), echo("403 Forbidden"));
    let authority = Authority::new();
    let (certificate, key) = pair(&authority);
    // It lets in nobody that comes, and says with what they came.
    let other = Account { password: "another".to_owned(), ..account() };
    let server = Smtp::start(Tls::Implicit, (&certificate, &key), vec![other], |_| None);
    let world = World::new(&authority, &chat, &pager, &format!("smtps://127.0.0.1:{}", server.port()));
    let mut outputs = Vec::new();
    for arguments in
        [&["mirror", "check", "--notify-test"][..], &["config", "show"], &["config", "check", "modvet.toml"]]
    {
        let mut arguments = arguments.to_vec();
        if arguments[1] != "check" || arguments[0] == "mirror" {
            arguments.extend(["--config", "modvet.toml"]);
        }
        let output = world.run(&arguments);
        outputs.extend([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()));
    }
    assert!(outputs[0].contains("answered 500") && outputs[0].contains("does not let us in"), "{outputs:?}");
    for secret in [HOOK, MAIL, PAGER] {
        assert!(!outputs.iter().any(|output| output.contains(secret)), "{secret}: {outputs:?}");
        let mut found = Vec::new();
        search(&world.home.store(), secret, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(server.mails().len(), 0);
}

#[test]
fn why_a_letter_is_not_there_yet_is_told_with_the_mirror_and_that_its_owner_gets_no_mail() {
    let (chat, pager) = (echo("500 Internal Server Error"), Plain::start(|_| Said::new("200 OK", "ok")));
    let home = Home::new();
    home.configure(&format!(
        r#"
        [[notify]]
        name = "chat"
        kind = "webhook"
        url = "{}/services/{HOOK}"
        [[notify]]
        name = "pager"
        kind = "webhook"
        url = "{}/page"
        [[mirror]]
        name = "m"
        source = "http://127.0.0.1:1/source.git"
        mirror = "http://127.0.0.1:1/mirror.git"
        renewal = {{ what = "a subscription", date = "2020-01-01", owner = "owner@example.com" }}
        "#,
        chat.url(),
        pager.url()
    ));
    let run = |arguments: &[&str]| {
        let output = home.run(&[arguments, &["--config", "modvet.toml"]].concat());
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{told}{errors}");
        assert!(!told.contains(HOOK) && !errors.contains(HOOK), "{told}{errors}");
        told.into_owned()
    };
    let why = "127.0.0.1 answered 500: no such hook";
    for told in [run(&["mirror", "check"]), run(&["mirror", "status"])] {
        assert!(told.contains(&format!("m: 1 notice by chat not delivered yet: {why}")), "{told}");
        assert!(told.contains("m: owner@example.com gets no mail"), "{told}");
        // What arrived while the command ran is not on its way.
        assert!(!told.contains("pager"), "{told}");
    }
    assert!(run(&["mirror", "check", "--notify-test"]).contains("owner@example.com gets no mail"));
    let page = run(&["mirror", "status", "m"]);
    assert!(page.contains("by chat not delivered yet (1 try, ") && page.contains(why), "{page}");
    let status: serde_json::Value = serde_json::from_str(&run(&["mirror", "status", "--json"])).expect("JSON");
    assert_eq!(status["renewal"]["is_owner_told"], false, "{status}");
    let notices = status["notices"].as_array().expect("a list");
    assert_eq!(notices.len(), 1, "{status}");
    assert_eq!((&notices[0]["channel"], &notices[0]["state"]), (&"chat".into(), &"waiting".into()), "{status}");
    assert!(notices[0]["error"].as_str().is_some_and(|error| error.starts_with(why)), "{status}");
    assert!(notices[0]["next"].is_string(), "{status}");
    let mut found = Vec::new();
    search(&home.store(), HOOK, &mut found);
    assert!(found.is_empty(), "{found:?}");
}
