//! Upstreams that are watched without being configured as mirrors, and proxies that are watched by canary modules.

mod support;

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client;
use support::double::{Conduct, Double, Ticket};
use support::modvet::{Home, Modvet};
use support::release::Release;

const PATIENCE: Duration = Duration::from_secs(60);
const MODULE: &str = "example.test/m";

fn watched(modvet: &Modvet, name: &str) -> Value {
    let answered = client::control(&modvet.home().store(), "GET", &format!("/api/v1/upstreams/{name}"), "");
    assert_eq!(answered.status, 200, "{}", answered.text());
    let upstream: Value = serde_json::from_slice(&answered.body).expect("JSON");
    upstream["watch"].clone()
}

/// Waits until the watch says so of an upstream.
fn until(modvet: &Modvet, name: &str, condition: &str) -> Value {
    let start = Instant::now();
    loop {
        let status = watched(modvet, name);
        if status["condition"] == condition {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "not {condition}: {status}\n{}", modvet.log());
        std::thread::yield_now();
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn mirror(home: &Home, arguments: &[&str]) -> Output {
    home.run(&[&["mirror"], arguments, &["--config", "modvet.toml"]].concat())
}

#[test]
fn an_upstream_is_looked_at_though_no_client_asks_and_its_state_outlives_a_kill() {
    let double = Double::start_tls();
    let host = double.address().to_string();
    let home = Home::new();
    home.write("token", "secret\n");
    let auth = format!("auth = {{ host = \"{host}\", token_file = \"{}/token\" }}", home.path().display());
    let settings = format!("{}{auth}\n[monitor]\ncheck_upstreams = \"1s\"\n", double.settings("corp"));
    home.configure(&settings);
    let serve = |home: Home| {
        let mut command = home.command(&["serve", "--config", "modvet.toml", "--listen", "127.0.0.1:0"]);
        command.env("SSL_CERT_FILE", support::top().join("testdata/net/authority.pem"));
        home.serve_by(command)
    };
    let modvet = serve(home);
    let status = until(&modvet, "corp", "in_sync");
    assert_eq!(status["certificate"]["host"], host.as_str(), "{status}");
    assert_eq!(status["certificate"]["ends"], "2126-10-28T12:30:05Z");
    assert!(status["latency_ms"].is_u64() && status["last_success"].is_string(), "{status}");
    assert!(double.asked().iter().all(|asked| asked.path.starts_with("sumdb/")), "a probe names no module");
    let output = mirror(modvet.home(), &["status"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("UPSTREAM") && text.contains("reachable") && text.contains("2126-10-28"), "{text}");

    double.require(Ticket::Bearer("another"));
    let status = until(&modvet, "corp", "refused");
    assert_eq!(status["credential_refused"], true, "{status}");
    assert_eq!(
        status["summary"], "refused: 127.0.0.1 answers 401 Unauthorized: the credentials are not accepted",
        "{status}"
    );
    let output = mirror(modvet.home(), &["status", "--upstreams", "--json"]);
    assert_eq!(output.status.code(), Some(0), "an upstream is no mirror: {}", said(&output));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one upstream a line");
    assert_eq!((&line["name"], &line["since"]), (&"corp".into(), &status["since"]));

    let modvet = serve(modvet.killed());
    let again = watched(&modvet, "corp");
    assert_eq!((&again["condition"], &again["since"]), (&"refused".into(), &status["since"]), "{again}");
    drop(double);
    until(&modvet, "corp", "unreachable");
}

#[test]
fn a_proxy_is_watched_by_canary_modules() {
    let (source, proxy) = (Double::start(), Double::start());
    for (double, versions) in [(&source, &["v1.0.0", "v1.1.0"][..]), (&proxy, &["v1.0.0"][..])] {
        versions.iter().for_each(|version| double.add(&Release::new(MODULE, version)));
    }
    let home = Home::new();
    let settings = |modules: &str| {
        format!(
            "[[mirror]]\nname = \"proxy\"\nkind = \"proxy\"\nsource = \"{}\"\nmirror = \"{}\"\nmodules = [{modules}]\n\
             [monitor]\ncheck_upstreams = \"0\"\n",
            source.url(),
            proxy.url()
        )
    };
    home.configure(&settings("\"example.test/m\""));
    let check = |code: i32| {
        let output = mirror(&home, &["check", "--json"]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    };
    let status = check(0);
    assert_eq!(
        (&status["condition"], &status["difference"]["behind_refs"]),
        (&"lagging".into(), &2.into()),
        "{status}"
    );
    proxy.add(&Release::new(MODULE, "v1.1.0"));
    assert_eq!(check(0)["condition"], "in_sync");
    // A proxy keeps what its source deleted.
    source.remove("m/@v/list");
    source.add(&Release::new(MODULE, "v1.1.0"));
    assert_eq!(check(0)["condition"], "in_sync");
    proxy.set("", Conduct::Status(403));
    let status = check(1);
    assert_eq!(status["condition"], "refused", "{status}");
    proxy.behave();
    home.configure(&settings("\"example.test/nobody\""));
    let status = check(1);
    let summary = status["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("neither the source nor the mirror knows it"), "{status}");
}
