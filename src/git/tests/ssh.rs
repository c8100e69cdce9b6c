use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::error::Kind;
use crate::git::SshOptions;

/// A program that stands in for ssh: it notes its arguments and runs what the server would run.
pub fn fake_ssh(folder: &std::path::Path, root: &std::path::Path, protocol: &str) -> PathBuf {
    let program = folder.join("ssh");
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$@\" >> '{log}'\nfor last; do :; done\ncd '{root}'\n\
         export HOME='{root}' GIT_CONFIG_NOSYSTEM=1 {protocol}\n\
         case \"$last\" in *private*) echo 'Permission denied (publickey).' >&2; exit 255;;
         *nowhere*) echo 'ssh: connect to host git.example.com port 22: No route to host' >&2; exit 255;; esac\n\
         eval \"git ${{last#git-}}\"\n",
        log = folder.join("log").display(),
        root = root.display(),
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

#[test]
fn everything_works_over_ssh() {
    for protocol in ["", "GIT_PROTOCOL="] {
        let folder = tempfile::tempdir().expect("a folder");
        let origin_root = tempfile::tempdir().expect("a folder");
        let program = fake_ssh(folder.path(), origin_root.path(), protocol);
        let ssh = SshOptions { program, ..SshOptions::default() };
        let rules = [("https://git.example.com/", "git@git.example.com:")];
        let world = World::with(Serving::Newest, Options { ssh, ..Options::default() }, &rules);
        std::fs::remove_dir(origin_root.path()).expect("empty");
        std::os::unix::fs::symlink(world.origin.path(), origin_root.path()).expect("linked");
        world.origin.allow_filters();
        let first = world.origin.commit("main", 1, &[("go.mod", "module m\n")]);
        let tip = world.origin.commit("main", 2, &[("go.mod", "module m\n"), ("a", "text")]);
        let repo = world.open_at("https://git.example.com/repo.git");
        assert_eq!(repo.url(), "https://git.example.com/repo.git");
        assert_eq!(repo.refs(MINUTE).expect("refs").head(), Some(id(&tip)), "{protocol:?}");
        assert_eq!(one(repo.find(&first[..12]).expect("history")), first, "{protocol:?}");
        assert_eq!(repo.read_file(id(&first), "go.mod", 99).expect("read").expect("there"), "module m\n");
        assert_eq!(repo.files(id(&tip), "").expect("listed").len(), 2, "{protocol:?}");
        // New commits come with haves over one stream.
        let pushed = world.origin.commit("main", 3, &[("a", "new")]);
        world.clock.advance(MINUTE * 2);
        repo.refs(MINUTE).expect("refs");
        assert_eq!(one(repo.find(&pushed[..12]).expect("history")), pushed, "{protocol:?}");
        let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
        assert!(log.contains("|git@git.example.com|git-upload-pack 'repo.git'|"), "{log}");
        assert!(world.web.log().is_empty(), "nothing went over http");

        let error = world.open_at("https://git.example.com/private").refs(MINUTE).expect_err("denied");
        assert_eq!((error.kind(), error.is_unauthorized()), (Kind::BadGateway, true));
        assert_eq!(error.what(), "git.example.com: ssh: the login is refused (status 255)");
        let error = world.open_at("https://git.example.com/nowhere").refs(MINUTE).expect_err("out of reach");
        assert_eq!((error.kind(), error.is_unauthorized()), (Kind::BadGateway, false));
        assert_eq!(error.what(), "git.example.com: ssh ended with status 255");
        std::fs::remove_file(origin_root.path()).expect("a link");
        std::fs::create_dir(origin_root.path()).expect("as it was");
    }
}

#[test]
fn a_missing_ssh_program_is_said() {
    let ssh = SshOptions { program: "/nonexistent/ssh".into(), ..SshOptions::default() };
    let world = World::with(Serving::Newest, Options { ssh, ..Options::default() }, &[]);
    let error = world.open_at("ssh://git.example.com/repo").refs(MINUTE).expect_err("no program");
    assert_eq!((error.kind(), error.what()), (Kind::BadGateway, "the ssh program cannot be started"));
}
