//! The upstream double of the other tests does what they tell it to.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use support::client::{self, Answered};
use support::double::{Conduct, Double, Lie, Ticket, Validator};
use support::go::Go;
use support::project::Project;
use support::release::Release;

const LIST: &str = "/example.test/m/@v/list";
const INFO: &str = "/example.test/m/@v/v1.0.0.info";

fn release() -> Release {
    Release::new("example.test/m", "v1.0.0")
}

fn double() -> Double {
    let double = Double::start();
    double.add(&release());
    double
}

/// All bytes until the server ends the connection, or until it says nothing for this long.
fn raw(server: SocketAddr, path: &str, patience: Duration) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(patience)).expect("a time limit above zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: double\r\n\r\n").expect("the request is small");
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).is_ok();
    (bytes, ended)
}

/// An answer on a connection that ends with it.
fn get(double: &Double, path: &str, headers: &[(&str, &str)]) -> Answered {
    let cut = Conduct::CutsAfter(usize::MAX);
    double.set("", cut);
    let answered = client::request(double.address(), "GET", path, headers);
    double.behave();
    answered
}

fn body(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &bytes[end + 4..]
}

#[test]
fn the_go_command_downloads_from_a_double_that_behaves() {
    let double = double();
    double.add(&Release::new("example.test/Upper", "v1.2.0"));
    let go = Go::new("http://127.0.0.1:9/", &[]);
    let project = Project::new(&go, &double.url());
    project.go(&["get", "example.test/m@v1.0.0", "example.test/Upper@latest"]).well();
    project.go(&["mod", "verify"]).well();
    let asked = double.asked();
    assert!(asked.iter().any(|asked| asked.path == "example.test/!upper/@v/v1.2.0.zip" && asked.status == 200));
    assert!(asked.iter().any(|asked| asked.header("user-agent").is_some()));
}

#[test]
fn each_conduct_is_seen_on_the_wire() {
    let double = double();
    let soon = Duration::from_millis(300);
    let info = release().info();

    double.set(".info", Conduct::Hangs);
    assert_eq!(raw(double.address(), INFO, soon), (Vec::new(), false));
    double.set(".info", Conduct::HangsAfter(10));
    let (bytes, ended) = raw(double.address(), INFO, soon);
    assert_eq!((body(&bytes), ended), (&info[..10], false));
    double.set(".info", Conduct::CutsAfter(20));
    let (bytes, ended) = raw(double.address(), INFO, soon);
    assert_eq!((bytes.len(), ended), (20, true));
    double.set(".info", Conduct::Truncates);
    let (bytes, ended) = raw(double.address(), INFO, soon);
    assert!(ended && String::from_utf8_lossy(&bytes).contains(&format!("Content-Length: {}\r\n", info.len())));
    assert_eq!(body(&bytes), &info[..info.len() / 2]);
    double.set(".info", Conduct::Late(Duration::from_millis(100)));
    let (bytes, _) = raw(double.address(), INFO, soon);
    assert_eq!(body(&bytes), info);
    // Elsewhere nothing happened.
    assert_eq!(get(&double, LIST, &[]).text(), "v1.0.0\n");
    assert_eq!(double.asked().iter().map(|asked| asked.status).collect::<Vec<_>>(), [0, 200, 200, 200, 200, 200]);
}

#[test]
fn lies_and_statuses_come_with_a_good_conscience() {
    let double = double();
    let asked = |path: &str, conduct: Conduct| {
        double.behave();
        double.set("", conduct);
        let (bytes, _) = raw(double.address(), path, Duration::from_millis(300));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(asked(LIST, Conduct::Status(410)).starts_with("HTTP/1.1 410 "));
    assert!(asked(LIST, Conduct::Retry(429, 7)).contains("\r\nRetry-After: 7\r\n"));
    assert!(asked(LIST, Conduct::Lies(Lie::Page)).ends_with("</html>\n"));
    let other = Lie::Of(Box::new(Release::new("example.test/other", "v9.9.9")));
    assert!(asked(INFO, Conduct::Lies(other.clone())).contains("{\"Version\":\"v9.9.9\""));
    assert!(
        asked("/example.test/m/@v/v1.0.0.mod", Conduct::Lies(other))
            .ends_with("module example.test/other\n\ngo 1.20\n")
    );
    assert!(asked(INFO, Conduct::Lies(Lie::Bytes(b"nonsense".to_vec()))).ends_with("nonsense"));
    let half = asked(LIST, Conduct::Halves);
    assert!(half.contains("Content-Length: 3\r\n") && half.ends_with("\r\n\r\nv1."), "{half}");
}

#[test]
fn it_says_304_for_what_is_the_same_until_it_changes() {
    for (validator, name, condition) in
        [(Validator::ETag, "etag", "If-None-Match"), (Validator::LastModified, "last-modified", "If-Modified-Since")]
    {
        let double = double();
        double.tell(validator);
        let first = get(&double, INFO, &[]);
        let value = first.header(name).expect(name).to_owned();
        assert_eq!(get(&double, INFO, &[(condition, &value)]).status, 304, "{name}");
        double.add(&release().at("2020-01-01T00:00:00Z"));
        let changed = get(&double, INFO, &[(condition, &value)]);
        assert!(changed.status == 200 && changed.text().contains("2020"), "{name}: {}", changed.text());
        assert_ne!(changed.header(name), Some(value.as_str()));
    }
}

#[test]
fn it_lets_in_only_who_has_a_ticket() {
    let table = [
        (Ticket::Basic("ci", "pw"), "Authorization", "Basic Y2k6cHc="),
        (Ticket::Bearer("token"), "Authorization", "Bearer token"),
        (Ticket::Header("Private-Token", "t"), "Private-Token", "t"),
    ];
    for (ticket, name, value) in table {
        let double = double();
        double.require(ticket);
        assert_eq!(get(&double, LIST, &[]).status, 401, "{value}");
        assert_eq!(get(&double, LIST, &[(name, "wrong")]).status, 401, "{value}");
        assert_eq!(get(&double, LIST, &[(name, value)]).status, 200, "{value}");
    }
}

#[test]
fn it_compresses_for_those_who_take_it() {
    let double = double();
    double.gzip();
    assert_eq!(get(&double, LIST, &[]).text(), "v1.0.0\n");
    let answered = get(&double, LIST, &[("Accept-Encoding", "gzip")]);
    assert_eq!(answered.header("content-encoding"), Some("gzip"));
    assert_eq!(answered.body[..2], [0x1f, 0x8b]);
}

#[test]
fn a_dropped_double_is_no_longer_there() {
    let double = double();
    let address = double.address();
    drop(double);
    assert!(TcpStream::connect(address).is_err());
}
