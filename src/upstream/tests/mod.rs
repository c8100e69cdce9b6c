//! Discovery, proxies and folders against servers on port 0 and folders of their own.

mod dir;
mod discover;
mod proxy;
mod unchanged;

use std::io::Cursor;
use std::sync::Mutex;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use crate::net::{Client, Proxies, Settings};
use crate::ports::{Body, Clock, Content};
use crate::spec::path::ModulePath;
use crate::spec::version::Version;
use crate::spec::zip::ModuleZip;

/// A clock that is set by hand.
struct Hand(Mutex<DateTime<Utc>>);

impl Hand {
    fn new() -> Hand {
        Hand(Mutex::new(DateTime::UNIX_EPOCH))
    }

    fn forward(&self, seconds: i64) {
        *self.0.lock().expect("never poisoned") += TimeDelta::seconds(seconds);
    }
}

impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("never poisoned")
    }
}

fn client() -> Client {
    Client::new(Settings { proxies: Proxies::none(), ..Settings::default() }).expect("settings are fine")
}

fn module(path: &str) -> ModulePath {
    ModulePath::parse(path).expect(path)
}

fn version(text: &str) -> Version {
    Version::parse(text).expect(text)
}

/// A module zip with one file, and its `h1:`.
fn packed(path: &str, text: &str) -> (Bytes, String) {
    let mut zip = ModuleZip::new(Cursor::new(Vec::new()), &module(path), &version(text));
    zip.add("go.mod", format!("module {path}\n").as_bytes()).expect("memory");
    let (file, sums) = zip.finish().expect("memory");
    (file.into_inner().into(), sums.h1)
}

fn bytes(content: Content) -> Vec<u8> {
    match content.body {
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::File(file) | Body::Hashed(file, _) => std::fs::read(file.path()).expect("a whole file"),
    }
}
