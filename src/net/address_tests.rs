//! Every form of an address that must not be reached, tried by the client itself: asked for, named by a redirect,
//! given for a name, and through a proxy; before listeners that notice whoever comes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use super::double::{Answer, Server};
use super::*;
use crate::error::Kind;

/// Counts connections, also those on which nothing is asked.
struct Watch {
    address: SocketAddr,
    seen: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    async fn on(address: &str) -> Watch {
        let listener = TcpListener::bind(address).await.expect("an address of this machine");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 4096]).await;
                    // Each request comes over a connection of its own, so each is a new look at the address.
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                });
            }
        });
        Watch { address, seen, task }
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Names whose addresses are what a test says, in turn.
#[derive(Debug, Default)]
struct Book(Mutex<HashMap<String, Vec<Vec<IpAddr>>>>);

impl Book {
    fn with(name: &str, turns: &[&[&str]]) -> Arc<Book> {
        let addresses = |turn: &&[&str]| turn.iter().map(|text| text.parse().expect("an address")).collect();
        let turns = turns.iter().map(addresses).collect();
        Arc::new(Book(Mutex::new(HashMap::from([(name.to_owned(), turns)]))))
    }
}

#[async_trait]
impl Names for Book {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut book = self.0.lock().expect("no panic");
        let turns = book.get_mut(name.trim_end_matches('.')).ok_or_else(|| io::Error::other("no such name"))?;
        turns.rotate_left(1);
        Ok(turns.last().cloned().unwrap_or_default())
    }
}

fn settings() -> Settings {
    let limits = Limits { connect: Duration::from_millis(300), tries: 1, ..Limits::default() };
    Settings { proxies: Proxies::none(), allow_insecure: AllowInsecure::All, limits, ..Settings::default() }
}

fn through(proxy: &Watch) -> Proxies {
    let url = Url::parse(&format!("http://{}/", proxy.address)).expect("url");
    // Not even what never goes through a proxy is reached directly.
    Proxies { http: Some(url.clone()), https: Some(url), no_proxy: String::new() }
}

fn client(settings: Settings) -> Client {
    Client::new(settings).expect("settings are fine")
}

/// How a host is written, and the address that it stands for.
const WRITTEN: &[(&str, &str, &str)] = &[
    ("plain", "127.0.0.1", "127.0.0.1"),
    ("all of loopback is", "127.255.255.254", "127.255.255.254"),
    ("short", "127.1", "127.0.0.1"),
    ("two parts", "127.0.1", "127.0.0.1"),
    ("decimal", "2130706433", "127.0.0.1"),
    ("octal", "0177.0.0.1", "127.0.0.1"),
    ("octal in full", "0177.0000.0000.0001", "127.0.0.1"),
    ("octal as one number", "017700000001", "127.0.0.1"),
    ("hexadecimal", "0x7f.0x0.0x0.0x1", "127.0.0.1"),
    ("hexadecimal, short", "0x7f.1", "127.0.0.1"),
    ("hexadecimal as one number", "0x7F000001", "127.0.0.1"),
    ("mixed", "0x7f.0.01.1", "127.0.1.1"),
    ("a dot at the end", "127.0.0.1.", "127.0.0.1"),
    ("percent-encoded", "%31%32%37.0.0.1", "127.0.0.1"),
    ("full width digits", "\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}", "127.0.0.1"),
    ("circled digits", "\u{2460}\u{2461}\u{2466}.0.0.1", "127.0.0.1"),
    ("ideographic dots", "127\u{3002}0\u{3002}0\u{3002}1", "127.0.0.1"),
    ("an invisible character", "127.0.0.\u{ad}1", "127.0.0.1"),
    ("a user before it", "good.example@127.0.0.1", "127.0.0.1"),
    ("a user and a password before it", "good.example:443@127.0.0.1", "127.0.0.1"),
    ("a tab in it", "127.0.\t0.1", "127.0.0.1"),
    ("this host", "0.0.0.0", "0.0.0.0"),
    ("this host as a number", "0", "0.0.0.0"),
    ("this host in hexadecimal", "0x0", "0.0.0.0"),
    ("metadata", "169.254.169.254", "169.254.169.254"),
    ("metadata as a number", "2852039166", "169.254.169.254"),
    ("metadata in octal", "0251.0376.0251.0376", "169.254.169.254"),
    ("metadata in hexadecimal", "0xa9fea9fe", "169.254.169.254"),
    ("metadata of another cloud", "100.100.100.200", "100.100.100.200"),
    ("metadata of a third", "192.0.0.192", "192.0.0.192"),
    ("metadata in public space", "168.63.129.16", "168.63.129.16"),
    ("private", "10.0.0.1", "10.0.0.1"),
    ("private 172", "172.16.0.1", "172.16.0.1"),
    ("private 192", "192.168.0.1", "192.168.0.1"),
    ("shared by a carrier", "100.64.0.1", "100.64.0.1"),
    ("documentation", "192.0.2.1", "192.0.2.1"),
    ("more documentation", "198.51.100.1", "198.51.100.1"),
    ("benchmarks", "198.18.0.1", "198.18.0.1"),
    ("6to4 relays", "192.88.99.1", "192.88.99.1"),
    ("multicast", "239.255.255.250", "239.255.255.250"),
    ("reserved", "240.0.0.1", "240.0.0.1"),
    ("broadcast", "255.255.255.255", "255.255.255.255"),
    ("broadcast as a number", "4294967295", "255.255.255.255"),
    ("v6 loopback", "[::1]", "::1"),
    ("v6 loopback in full", "[0000:0000:0000:0000:0000:0000:0000:0001]", "::1"),
    ("v6 unspecified", "[::]", "::"),
    ("mapped", "[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    ("mapped in hexadecimal", "[::ffff:7f00:1]", "::ffff:127.0.0.1"),
    ("mapped metadata", "[::ffff:169.254.169.254]", "::ffff:169.254.169.254"),
    ("mapped this host", "[::ffff:0.0.0.0]", "::ffff:0.0.0.0"),
    ("compatible", "[::127.0.0.1]", "::7f00:1"),
    ("compatible, private", "[::10.0.0.1]", "::a00:1"),
    ("translated", "[::ffff:0:127.0.0.1]", "::ffff:0:7f00:1"),
    ("nat64", "[64:ff9b::127.0.0.1]", "64:ff9b::7f00:1"),
    ("nat64 of metadata", "[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
    ("local nat64", "[64:ff9b:1::1.1.1.1]", "64:ff9b:1::101:101"),
    ("6to4", "[2002:7f00:1::1]", "2002:7f00:1::1"),
    ("6to4 of metadata", "[2002:a9fe:a9fe::]", "2002:a9fe:a9fe::"),
    ("teredo to a private client", "[2001:0:101:101::f5ff:fffe]", "2001:0:101:101::f5ff:fffe"),
    ("teredo by a private server", "[2001:0:a00:1::fefe:fefe]", "2001:0:a00:1::fefe:fefe"),
    ("isatap", "[2606:4700::5efe:127.0.0.1]", "2606:4700::5efe:7f00:1"),
    ("unique local", "[fc00::1]", "fc00::1"),
    ("metadata by v6", "[fd00:ec2::254]", "fd00:ec2::254"),
    ("v6 link-local", "[fe80::1]", "fe80::1"),
    ("site-local", "[fec0::1]", "fec0::1"),
    ("v6 multicast", "[ff02::1]", "ff02::1"),
    ("v6 documentation", "[2001:db8::1]", "2001:db8::1"),
    ("more v6 documentation", "[3fff::1]", "3fff::1"),
    ("v6 benchmarks", "[2001:2::1]", "2001:2::1"),
    ("orchid", "[2001:10::1]", "2001:10::1"),
    ("orchid of version 2", "[2001:20::1]", "2001:20::1"),
    ("discard", "[100::1]", "100::1"),
    ("segment routing", "[5f00::1]", "5f00::1"),
    ("nobody's", "[4000::1]", "4000::1"),
];

/// What is no address at all, so that nothing can be asked.
const UNREADABLE: &[(&str, &str)] = &[
    ("a zone", "[fe80::1%25eth0]"),
    ("too large a part", "127.0.0.256"),
    ("too many parts", "127.0.0.0.1"),
    ("no octal digit", "0189.0.0.1"),
    ("too large a number", "4294967296"),
    ("a mapped address without brackets", "::ffff:127.0.0.1"),
    ("an encoded slash", "good.example%2f@"),
    ("an encoded null", "127.0.0.1%00.good.example"),
    ("a blank", "127.0.0.1 .good.example"),
    ("brackets around a name", "[localhost]"),
];

/// Names that this system itself knows, or nobody.
const NAMES: &[(&str, &str)] = &[
    ("localhost", "localhost"),
    ("in another case", "LocalHost"),
    ("percent-encoded", "%6cocalhost"),
    ("circled letters", "\u{24db}ocalhost"),
    ("full width letters", "\u{ff4c}\u{ff4f}\u{ff43}\u{ff41}\u{ff4c}\u{ff48}\u{ff4f}\u{ff53}\u{ff54}"),
];

fn refused(row: &str, way: &str, answer: crate::error::Result<Response>, address: &str) {
    let error = answer.err().unwrap_or_else(|| panic!("{row}, {way}: reached"));
    assert_eq!(error.kind(), Kind::Forbidden, "{row}, {way}: {error}");
    assert!(error.what().contains(address), "{row}, {way}: {error}");
    assert_eq!(
        error.remedies(),
        ["if it is meant to be reached, name the host or its range in [net] allow_private"],
        "{row}, {way}"
    );
}

#[tokio::test]
async fn an_address_is_not_reached_however_it_is_written() {
    let watch = Watch::on("127.0.0.1:0").await;
    let proxy = Watch::on("127.0.0.1:0").await;
    let to = Arc::new(Mutex::new(String::new()));
    let location = to.clone();
    let redirecting = Server::start(move |_| Answer::redirect(302, &*location.lock().expect("no panic"))).await;
    let direct = client(settings());
    let proxied = client(Settings { proxies: through(&proxy), ..settings() });
    for (row, host, address) in WRITTEN {
        for scheme in ["http", "https"] {
            let text = format!("{scheme}://{host}:{}/latest/meta-data", watch.port());
            let url = || Url::parse(&text).unwrap_or_else(|error| panic!("{row}: {error}"));
            refused(row, "asked for", direct.send(Request::get(url())).await, address);
            refused(row, "asked for through a proxy", proxied.send(Request::get(url())).await, address);
            // Header values are bytes; a server may send what it likes, and a URL in ASCII names the same.
            let ascii = url().to_string();
            to.lock().expect("no panic").clone_from(&ascii);
            let asked = Request::get(redirecting.url("/")).trust(Trust::Named);
            refused(row, "by a redirect", direct.send(asked).await, address);
        }
    }
    for (row, host) in UNREADABLE {
        let text = format!("http://{host}:{}/", watch.port());
        assert!(Url::parse(&text).is_err(), "{row}: {:?}", Url::parse(&text));
        if !text.is_ascii() {
            continue;
        }
        to.lock().expect("no panic").clone_from(&text);
        let error = direct.send(Request::get(redirecting.url("/")).trust(Trust::Named)).await.expect_err(row);
        assert!(error.what().ends_with("redirects to no valid address"), "{row}: {error}");
    }
    for (row, host) in NAMES {
        let url = Url::parse(&format!("http://{host}:{}/", watch.port())).expect(row);
        refused(row, "asked for", direct.send(Request::get(url.clone())).await, "which is not public");
        refused(row, "through a proxy", proxied.send(Request::get(url)).await, "which is not public");
    }
    assert_eq!((watch.seen(), proxy.seen()), (0, 0));
    assert!(WRITTEN.len() + UNREADABLE.len() + NAMES.len() > 80);
}

#[tokio::test]
async fn the_listener_would_have_noticed() {
    let forms = ["127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "0"];
    for host in forms.into_iter().chain(["localhost", "LocalHost"]) {
        let watch = Watch::on("127.0.0.1:0").await;
        let allow_private = ["127.0.0.0/8", "0.0.0.0"].map(|entry| entry.parse().expect("entry")).to_vec();
        let client = client(Settings { allow_private, ..settings() });
        let url = Url::parse(&format!("http://{host}:{}/", watch.port())).expect(host);
        let response = client.send(Request::get(url)).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!((response.status.as_u16(), watch.seen()), (200, 1), "{host}: allowed, so it is reached");
    }
}

#[tokio::test]
async fn a_name_leads_to_no_such_address_either() {
    let watch = Watch::on("127.0.0.1:0").await;
    let proxy = Watch::on("127.0.0.1:0").await;
    for (row, _, address) in WRITTEN {
        let names = Book::with("inner.go.test", &[&[address]]);
        let direct = client(Settings { names: names.clone(), ..settings() });
        let proxied = client(Settings { names, proxies: through(&proxy), ..settings() });
        let url = Url::parse(&format!("http://inner.go.test:{}/", watch.port())).expect("url");
        let expected = format!("inner.go.test has the address {address}, which is not public");
        refused(row, "a name", direct.send(Request::get(url.clone())).await, &expected);
        refused(row, "a name through a proxy", proxied.send(Request::get(url)).await, &expected);
    }
    let client = client(Settings { names: Book::with("inner.go.test", &[&["127.0.0.1"]]), ..settings() });
    for host in ["INNER.go.test", "inner.go.test.", "good.example@inner.go.test", "inner\u{3002}go\u{ff0e}test"] {
        let url = Url::parse(&format!("http://{host}:{}/", watch.port())).expect(host);
        refused(host, "a name", client.send(Request::get(url)).await, "has the address 127.0.0.1, which is not public");
    }
    assert_eq!((watch.seen(), proxy.seen()), (0, 0));
}

#[tokio::test]
async fn of_several_addresses_the_bad_ones_are_not_reached() {
    // Both can be reached; one of them may be.
    let good = Watch::on("127.0.0.2:0").await;
    let bad = Watch::on(&format!("127.0.0.1:{}", good.port())).await;
    let allow_private = vec!["127.0.0.2".parse().expect("address")];
    let url = Url::parse(&format!("http://mixed.go.test:{}/", good.port())).expect("url");
    for order in [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]] {
        let names = Book::with("mixed.go.test", &[&order]);
        let client = client(Settings { names, allow_private: allow_private.clone(), ..settings() });
        client.send(Request::get(url.clone())).await.expect("the good one answers");
    }
    assert_eq!((good.seen(), bad.seen()), (2, 0));
    drop(good);
    let names = Book::with("mixed.go.test", &[&["127.0.0.1", "127.0.0.2"]]);
    let client = client(Settings { names, allow_private: allow_private.clone(), ..settings() });
    client.send(Request::get(url.clone())).await.expect_err("the good one is gone");
    assert_eq!(bad.seen(), 0, "the bad one does not stand in for it");

    // A proxy chooses by itself, so it is not asked at all.
    let proxy = Watch::on("127.0.0.1:0").await;
    let names = Book::with("mixed.go.test", &[&["127.0.0.2", "127.0.0.1"]]);
    let proxied = super::Client::new(Settings { names, allow_private, proxies: through(&proxy), ..settings() });
    refused("mixed", "through a proxy", proxied.expect("settings").send(Request::get(url)).await, "127.0.0.1");
    assert_eq!(proxy.seen(), 0);
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let good = Watch::on("127.0.0.2:0").await;
    let bad = Watch::on(&format!("127.0.0.1:{}", good.port())).await;
    // Another answer at every look: whoever looks twice connects to what was not checked.
    let names = Book::with("flips.go.test", &[&["127.0.0.2"], &["127.0.0.1"]]);
    let allow_private = vec!["127.0.0.2".parse().expect("address")];
    let client = client(Settings { names, allow_private, ..settings() });
    let url = Url::parse(&format!("http://flips.go.test:{}/", good.port())).expect("url");
    for turn in 0..5 {
        client.send(Request::get(url.clone())).await.unwrap_or_else(|error| panic!("{turn}: {error}"));
        refused("flipped", "a name", client.send(Request::get(url.clone())).await, "127.0.0.1");
    }
    assert_eq!((good.seen(), bad.seen()), (5, 0));
}

#[tokio::test]
async fn every_hop_of_redirects_is_checked() {
    let bad = Watch::on("127.0.0.1:0").await;
    let bad_url = format!("http://127.0.0.1:{}/", bad.port());
    let last = Server::start(move |asked| {
        let status = asked.target.trim_start_matches('/').parse().unwrap_or(302);
        Answer::redirect(status, &bad_url)
    })
    .await;
    let port = last.port();
    let first = Server::start(move |asked| {
        let status = asked.target.trim_start_matches('/').parse().unwrap_or(302);
        Answer::redirect(status, format!("http://allowed.go.test:{port}{}", asked.target))
    })
    .await;
    let names = Book::with("allowed.go.test", &[&["127.0.0.1"]]);
    let allow_private = vec!["allowed.go.test".parse().expect("host")];
    let client = client(Settings { names, allow_private, ..settings() });
    for status in [301, 302, 303, 307, 308] {
        let url = first.url(&format!("/{status}"));
        let row = status.to_string();
        let answer = client.send(Request::get(url.clone()).trust(Trust::Named)).await;
        refused(&row, "the second redirect", answer, "127.0.0.1 is not a public address");
        if status > 303 {
            let post = Request::post(url, "body".into()).trust(Trust::Named);
            refused(&row, "of a POST", client.send(post).await, "127.0.0.1 is not a public address");
        }
    }
    assert_eq!(last.targets().len(), 7, "the first one is allowed");
    assert_eq!(bad.seen(), 0);
    // The configuration names a place, not a host: another port of it is only found.
    let bad_port = bad.port();
    let named = Server::start(move |_| Answer::redirect(302, format!("http://127.0.0.1:{bad_port}/"))).await;
    let answer = client.send(Request::get(named.url("/")).trust(Trust::Named)).await;
    refused("another port", "by a redirect", answer, "127.0.0.1 is not a public address");
    assert_eq!(bad.seen(), 0);
}

#[tokio::test]
async fn a_proxy_is_connected_to_and_yet_not_asked_for() {
    let proxy = Watch::on("127.0.0.1:0").await;
    let named = |host: &str| {
        let url = Url::parse(&format!("http://{host}:{}/", proxy.port())).expect("url");
        Proxies { http: Some(url), https: None, no_proxy: String::new() }
    };
    let names = Book::with("proxy.go.test", &[&["127.0.0.1"]]);
    for host in ["proxy.go.test", "127.0.0.1"] {
        let proxies = named(host);
        for no_proxy in ["", host] {
            let proxies = Proxies { no_proxy: no_proxy.to_owned(), ..proxies.clone() };
            let client = client(Settings { names: names.clone(), proxies, ..settings() });
            for scheme in ["http", "https"] {
                let url = Url::parse(&format!("{scheme}://{host}:{}/", proxy.port())).expect("url");
                refused(host, "the proxy itself", client.send(Request::get(url)).await, "127.0.0.1");
            }
        }
    }
    assert_eq!(proxy.seen(), 0);
    let elsewhere = Book::with("proxy.go.test", &[&["127.0.0.1"]]);
    let client = client(Settings { names: elsewhere, proxies: named("proxy.go.test"), ..settings() });
    let url = Url::parse("http://somewhere.go.test/").expect("url");
    let response = client.send(Request::get(url)).await.expect("the proxy answers");
    assert_eq!((response.status.as_u16(), proxy.seen()), (200, 1));
}
