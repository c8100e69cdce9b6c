//! `modvet config`, and what `go env -w` wrote.

mod support;

use std::process::Output;

use support::double::Double;
use support::modvet::Home;
use support::release::Release;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn check_says_all_that_is_wrong_each_with_its_line() {
    let home = Home::new();
    home.write(
        "modvet.toml",
        "listen = \"here\"\nopen = 3\n\
         [[upstream]]\nname = \"a\"\nkind = \"svn\"\n[[upstream]]\nname = \"b\"\nkind = \"git\"\n\
         [[registry]]\nname = \"ci\"\nupstreams = [\"b\", \"b\"]\n",
    );
    let output = home.run(&["config", "check", "modvet.toml"]);
    assert_eq!(
        out(&output),
        "modvet.toml: line 1: listen: \"here\" (expected an address and a port such as 127.0.0.1:3000)\n\
         modvet.toml: line 2: open: 3 (expected true or false)\n\
         modvet.toml: line 5: upstream.kind: \"svn\" (expected git, proxy or dir)\n\
         modvet.toml: line 11: registry.upstreams: registry ci has \"b\" twice (expected each upstream once)\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn check_warns_of_secrets_that_cannot_be_read_here() {
    let home = Home::new();
    let upstream =
        "[[upstream]]\nname = \"corp\"\nkind = \"git\"\nauth = { host = \"git.example\", token_env = \"NO_SUCH\" }\n";
    home.write("modvet.toml", upstream);
    let output = home.run(&["config", "check", "modvet.toml"]);
    assert_eq!(
        out(&output),
        "modvet.toml: warning: upstream corp: auth: environment variable NO_SUCH is not set\nset it to the token\n\
         modvet.toml: well, upstreams: 1, registries: 1\n"
    );
    assert_eq!(output.status.code(), Some(0));
    home.write("key", "short");
    home.write("modvet.toml", "[store]\nkey_file = \"key\"\n");
    let output = home.run(&["config", "check", "modvet.toml"]);
    assert!(
        out(&output).starts_with("modvet.toml: store.key: no key of the store (expected 32 bytes in hex or base64)")
    );
    assert_eq!(output.status.code(), Some(2));
    let output = home.run(&["config", "check", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn show_prints_what_counts_and_no_secret_and_what_it_prints_is_accepted() {
    let home = Home::new();
    home.write("token", "hunter2");
    home.write(
        "modvet.toml",
        "[store]\nmax_size = \"2GiB\"\n[git.instead_of]\n\"https://github.com/\" = \"https://u:hunter2@git.example/\"\n\
         [[upstream]]\nname = \"corp\"\nkind = \"proxy\"\nurl = \"https://proxy.example\"\n\
         auth = { username = \"ci\", token_file = \"token\" }\n",
    );
    let shown = out(&home.run(&["config", "show", "--config", "modvet.toml"]));
    assert!(!shown.contains("hunter2"), "{shown}");
    for line in [
        "listen = \"127.0.0.1:3000\"",
        "max_size = \"2GiB\"",
        "token_file = \"token\"",
        "list_validity = \"1m\"",
        "name = \"default\"",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    home.write("again.toml", &shown);
    let again = home.run(&["config", "show", "--config", "again.toml"]);
    assert_eq!(out(&again), shown);
    let json = out(&home.run(&["config", "show", "--json", "--config", "modvet.toml"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["registry"][0]["upstreams"], serde_json::json!(["corp"]));
}

#[test]
fn what_go_env_wrote_counts_where_the_environment_says_nothing() {
    let double = Double::start();
    double.add(&Release::new("example.test/m", "v1.0.0"));
    let home = Home::new();
    std::fs::create_dir_all(home.path().join(".config/go")).expect("a writable folder");
    home.write(".config/go/env", &format!("GOPROXY={}\nGOPRIVATE=private.test\n", double.url()));
    let shown = out(&home.run(&["config", "show"]));
    assert!(shown.contains(&format!("url = \"{}/\"", double.url())), "{shown}");
    assert!(shown.contains("not_modules = [\"private.test\"]"), "{shown}");
    let mut command = home.command(&["config", "show"]);
    let shown = out(&command.env("GOPROXY", "https://other.example").output().expect("it runs"));
    assert!(shown.contains("other.example") && !shown.contains(&double.url()), "{shown}");
    let mut command = home.command(&["config", "show"]);
    let shown = out(&command.env("GOENV", "off").output().expect("it runs"));
    assert!(shown.contains("name = \"direct\""), "{shown}");
    home.write("own", "GOPROXY=https://own.example\n");
    let mut command = home.command(&["config", "show"]);
    let shown = out(&command.env("GOENV", home.path().join("own")).output().expect("it runs"));
    assert!(shown.contains("own.example"), "{shown}");
}
