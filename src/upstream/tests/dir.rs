use std::fs;

use tempfile::TempDir;
use url::Url;

use super::{bytes, module, packed, version};
use crate::error::Kind;
use crate::ports::Source as _;
use crate::spec::query::Query;
use crate::upstream::{DirSource, Limits};

struct Folder {
    root: TempDir,
    scratch: TempDir,
    source: DirSource,
}

fn folder() -> Folder {
    let (root, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let limits = Limits { zip: 4096, ..Limits::default() };
    let source = DirSource::new(root.path(), scratch.path(), limits);
    let folder = Folder { root, scratch, source };
    folder.write("x.y/!m/@v/list", b"v1.0.0\nv1.1.0\nv2.0.0\n");
    folder.write("x.y/!m/@v/v1.0.0.info", br#"{"Version":"v1.0.0","Time":"2019-01-01T00:00:00Z"}"#);
    folder.write("x.y/!m/@v/v1.1.0.info", br#"{"Version":"v1.1.0","Time":"2020-01-01T00:00:00Z"}"#);
    folder.write("x.y/!m/@v/v1.0.0.mod", b"module x.y/M\n");
    folder.write("x.y/!m/@v/v1.0.0.zip", &packed("x.y/M", "v1.0.0").0);
    folder.write("x.y/!m/@v/v1.1.0.zip", &packed("x.y/M", "v1.0.0").0);
    folder.write("x.y/!m/@v/v1.2.0.zip", &[0; 5000]);
    folder.write("x.y/bare/@v/v1.0.0.mod", b"module x.y/bare\n");
    folder
}

impl Folder {
    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}

#[tokio::test]
async fn reads_files_as_a_proxy_would_give_them() {
    let folder = folder();
    let path = module("x.y/M");
    assert_eq!(folder.source.list(&path).await.expect("a list").what, ["v1.0.0", "v1.1.0"].map(version));
    assert_eq!(folder.source.latest(&path).await.expect("from the list").what.version, "v1.1.0");
    let info = folder.source.info(&path, &Query::parse("v1.0.0")).await.expect("an info").what;
    assert_eq!(info.right.to_json(), r#"{"Version":"v1.0.0","Time":"2019-01-01T00:00:00Z"}"#);
    let info = folder.source.info(&path, &Query::parse("v1")).await.expect("from the list").what;
    assert_eq!(info.right.version, "v1.1.0");
    assert_eq!(bytes(folder.source.go_mod(&path, &version("v1.0.0")).await.expect("a go.mod").what), b"module x.y/M\n");
    let (zip, h1) = packed("x.y/M", "v1.0.0");
    let content = folder.source.zip(&path, &version("v1.0.0")).await.expect("a zip").what;
    assert_eq!(content.h1, Some(h1));
    assert_eq!(bytes(content), zip);
    assert!(folder.root.path().join("x.y/!m/@v/v1.0.0.zip").exists(), "the folder keeps its own");
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let folder = folder();
    let table = [("a module", "x.y/other"), ("a list", "x.y/bare"), ("a file in place of a folder", "x.y/M/@v/list")];
    for (row, path) in table {
        let Ok(path) = crate::spec::path::ModulePath::parse(path) else { continue };
        let error = folder.source.list(&path).await.expect_err(row);
        assert_eq!(error.kind(), Kind::NotFound, "{row}: {error}");
        let local = folder.root.path().to_str().expect("text");
        assert!(!error.to_string().contains(local), "{row}: {error}");
    }
    let error = folder.source.info(&module("x.y/M"), &Query::parse("main")).await.expect_err("no branches");
    assert_eq!(error.to_string(), "x.y/M@main: no file x.y/!m/@v/main.info in the module folder");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_a_failure() {
    let folder = folder();
    let source = DirSource::new(folder.root.path().join("unmounted"), folder.scratch.path(), Limits::default());
    let error = source.list(&module("x.y/M")).await.expect_err("not there");
    assert_eq!((error.kind(), error.what()), (Kind::BadGateway, "the module folder cannot be read"));
}

#[tokio::test]
async fn wrong_zips_are_refused() {
    let folder = folder();
    for (row, asked, what) in
        [("another version's", "v1.1.0", "sent a wrong zip"), ("too large", "v1.2.0", "is larger")]
    {
        let error = folder.source.zip(&module("x.y/M"), &version(asked)).await.expect_err(row);
        assert_eq!(error.kind(), Kind::BadGateway, "{row}");
        assert!(error.what().contains(what), "{row}: {error}");
    }
    assert_eq!(fs::read_dir(folder.scratch.path()).expect("a folder").count(), 0, "nothing is left behind");
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_lead_out_are_not_followed() {
    let folder = folder();
    let outside = TempDir::new().expect("a folder");
    fs::create_dir_all(outside.path().join("@v")).expect("a folder");
    fs::write(outside.path().join("@v/list"), "v6.6.6\n").expect("a file");
    std::os::unix::fs::symlink(outside.path(), folder.root.path().join("x.y/out")).expect("a link");
    std::os::unix::fs::symlink("!m", folder.root.path().join("x.y/in")).expect("a link");
    let error = folder.source.list(&module("x.y/out")).await.expect_err("out of the folder");
    assert_eq!((error.kind(), error.what()), (Kind::Forbidden, "x.y/out/@v/list leads out of the module folder"));
    assert_eq!(folder.source.list(&module("x.y/in")).await.expect("within the folder").what.len(), 2);
}

#[tokio::test]
async fn only_plain_file_urls_name_a_folder() {
    let folder = folder();
    let url = Url::from_directory_path(folder.root.path()).expect("absolute");
    let source = DirSource::from_url(&url, folder.scratch.path(), Limits::default()).expect("a folder");
    assert_eq!(source.list(&module("x.y/M")).await.expect("a list").what.len(), 2);
    for url in ["file:///srv/x?y", "file:///srv/x#y", "https://proxy.test/"] {
        let refused = DirSource::from_url(&Url::parse(url).expect(url), folder.scratch.path(), Limits::default());
        assert_eq!(refused.expect_err(url).kind(), Kind::Gone);
    }
}
