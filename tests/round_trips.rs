//! What an answer through a proxy upstream costs that upstream: requests, connections, how many at a time.

mod support;

use std::time::Duration;

use support::authority::Authority;
use support::client;
use support::distant::Distant;
use support::modvet::{Modvet, escaped};
use support::release::Release;

const MODULE: &str = "example.test/Far/m";
const PSEUDO: &str = "v0.0.0-20190101000000-0123456789ab";

#[test]
fn each_file_of_a_version_costs_one_request_on_one_connection_of_http2() {
    let authority = Authority::new();
    let distant = Distant::start_tls(Duration::ZERO, &authority, &["h2", "http/1.1"]);
    let releases = ["v1.0.0", "v1.1.0", PSEUDO].map(|version| Release::new(MODULE, version));
    releases.iter().for_each(|release| distant.add(release));
    let modvet = distant.modvet_before(&authority);
    // Whatever comes first brings nothing else along.
    let orders = [["mod", "zip", "info"], ["zip", "info", "mod"], ["info", "mod", "zip"]];
    let mut expected = Vec::new();
    for (release, endings) in releases.iter().zip(orders) {
        for ending in endings {
            let answer = modvet.get(MODULE, &format!("@v/{}.{ending}", release.version));
            assert_eq!(answer.status, 200, "{}: {}", answer.text(), modvet.log());
            let file = release.endings().into_iter().find(|(known, _)| *known == ending).expect("one of three").1;
            match ending {
                "info" => assert!(answer.text().contains(&release.version), "{}", answer.text()),
                _ => assert!(answer.body == file, "{ending}: another file came"),
            }
            expected.push(format!("GET {}/{}.{ending} HTTP/2.0", release.folder(), release.version));
        }
    }
    let asked: Vec<String> =
        distant.asked().iter().map(|asked| format!("{} {} {:?}", asked.method, asked.path, asked.version)).collect();
    assert_eq!(asked, expected);
    assert_eq!(distant.connections(), 1);
}

#[test]
fn plain_http_stays_on_its_connection() {
    let distant = Distant::start(Duration::ZERO);
    let modvet = Modvet::start(&distant.settings("far"));
    for number in 0..20 {
        let version = format!("v1.{number}.0");
        distant.add(&Release::new(MODULE, &version));
        for ending in ["info", "mod", "zip"] {
            assert_eq!(modvet.get(MODULE, &format!("@v/{version}.{ending}")).status, 200, "{}", modvet.log());
        }
    }
    assert!(distant.asked().iter().all(|asked| asked.version == http::Version::HTTP_11));
    assert_eq!((distant.asked().len(), distant.connections()), (60, 1));
}

/// So many clients at once, each after the zip of another module.
fn burst(distant: &Distant, modvet: &Modvet, clients: usize) {
    let paths: Vec<String> = (0..clients)
        .map(|number| {
            let release = Release::new(&format!("example.test/burst/m{number}"), "v1.0.0");
            distant.add(&release);
            format!("/{}/@v/v1.0.0.zip", escaped(&release.module))
        })
        .collect();
    std::thread::scope(|scope| {
        for path in &paths {
            let address = modvet.address();
            scope.spawn(move || assert_eq!(client::get(address, path).status, 200, "{path}"));
        }
    });
    assert_eq!(distant.count(".zip"), clients, "each is asked for once");
    assert_eq!(distant.asked().len(), clients, "and nothing else is");
}

#[test]
fn a_burst_is_bounded_and_goes_over_few_connections() {
    let authority = Authority::new();
    let distant = Distant::start_tls(Duration::from_millis(100), &authority, &["h2", "http/1.1"]);
    burst(&distant, &distant.modvet_before(&authority), 200);
    assert!((2..=64).contains(&distant.most_at_once()), "{} at once", distant.most_at_once());
    assert!(distant.connections() <= 4, "{} connections", distant.connections());
}

#[test]
fn no_more_requests_are_under_way_than_the_upstream_s_setting_says() {
    let distant = Distant::start(Duration::from_millis(100));
    let modvet = Modvet::start(&format!("{}requests = 3\n", distant.settings("far")));
    burst(&distant, &modvet, 20);
    assert!((2..=3).contains(&distant.most_at_once()), "{} at once", distant.most_at_once());
}
