//! What a server says of itself first. Rules: gitprotocol-v2(5), gitprotocol-pack(5).

use std::collections::HashMap;

use super::known::RawRef;
use super::pktline::{Packet, Reader, text};
use crate::error::{Error, Result};
use crate::spec::info::ObjectId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Refs come with the greeting; version 1 differs by one line and counts as this.
    V0,
    V2,
}

/// A server's protocol and what it offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub protocol: Protocol,
    features: HashMap<String, String>,
}

/// A greeting: refs are in it only with protocol version 0.
#[derive(Debug)]
pub struct Greeting {
    pub server: Server,
    pub refs: Vec<RawRef>,
    /// The server's own history ends somewhere; said only where refs are.
    pub is_shallow: bool,
}

impl Server {
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains_key(feature)
    }

    fn value(&self, feature: &str) -> &str {
        self.features.get(feature).map_or("", String::as_str)
    }

    /// Whether packs can leave out trees and blobs.
    pub fn filters(&self) -> bool {
        self.fetches("filter")
    }

    /// Whether any object may be asked for, be it a ref's or not, and comes alone.
    pub fn gives_any(&self) -> bool {
        self.protocol == Protocol::V2 && self.filters()
    }

    /// Whether packs can leave out history.
    pub fn deepens(&self) -> bool {
        self.fetches("shallow")
    }

    fn fetches(&self, feature: &str) -> bool {
        match self.protocol {
            Protocol::V0 => self.has(feature),
            Protocol::V2 => self.value("fetch").split(' ').any(|offered| offered == feature),
        }
    }

    fn checked(self) -> Result<Server> {
        match self.value("object-format") {
            "" | "sha1" => Ok(self),
            format => Err(unsupported(format)),
        }
    }
}

/// Reads a greeting up to its end.
pub fn read(reader: &mut Reader) -> Result<Greeting> {
    let mut first = reader.expect()?;
    if matches!(&first, Packet::Data(data) if data.starts_with(b"# service=")) {
        first = match reader.expect()? {
            Packet::Flush => reader.expect()?,
            other => other,
        };
    }
    match &first {
        Packet::Data(data) if text(data) == "version 2" => return read_features(reader),
        Packet::Data(data) if text(data) == "version 1" => first = reader.expect()?,
        _ => {}
    }
    read_refs(first, reader)
}

fn read_features(reader: &mut Reader) -> Result<Greeting> {
    let mut features = HashMap::new();
    while let Packet::Data(data) = reader.expect()? {
        let line = text(&data);
        let (name, value) = line.split_once('=').unwrap_or((&line, ""));
        features.insert(name.to_owned(), value.to_owned());
    }
    let server = Server { protocol: Protocol::V2, features }.checked()?;
    Ok(Greeting { server, refs: Vec::new(), is_shallow: false })
}

fn read_refs(first: Packet, reader: &mut Reader) -> Result<Greeting> {
    let mut features = HashMap::new();
    let mut refs = Vec::new();
    let mut is_shallow = false;
    let mut packet = first;
    while let Packet::Data(data) = packet {
        let line = text(&data);
        if let Some(message) = line.strip_prefix("ERR ") {
            return Err(Error::bad_gateway(format!("git server refused: {}", printable(message))));
        }
        let (line, offered) = line.split_once('\0').unwrap_or((&line, ""));
        for feature in offered.split(' ').filter(|feature| !feature.is_empty()) {
            let (name, value) = feature.split_once('=').unwrap_or((feature, ""));
            features.insert(name.to_owned(), value.to_owned());
        }
        // A line `shallow ID` says where the server's own history ends; the walk notices by itself.
        if line.starts_with("shallow ") {
            is_shallow = true;
        } else {
            let (id, name) = line.split_once(' ').ok_or_else(|| Error::bad_gateway("malformed line in git's refs"))?;
            // What an empty repository says instead of a ref.
            if name != "capabilities^{}" {
                refs.push(RawRef { name: name.to_owned(), id: object_id(id)? });
                check_count(&refs)?;
            }
        }
        packet = reader.expect()?;
    }
    let server = Server { protocol: Protocol::V0, features }.checked()?;
    Ok(Greeting { server, refs, is_shallow })
}

/// How many refs a repository may have: all are held in memory.
const REFS: usize = 2_000_000;

pub fn check_count(refs: &[RawRef]) -> Result<()> {
    match refs.len() {
        0..REFS => Ok(()),
        _ => Err(Error::bad_gateway(format!("too many git refs (expected fewer than {REFS})"))),
    }
}

/// Forty digits; sixty-four are a repository of another kind.
pub fn object_id(digits: &str) -> Result<ObjectId> {
    match ObjectId::parse(digits) {
        Some(id) if digits.len() == 40 => Ok(id),
        _ if digits.len() == 64 => Err(unsupported("sha256")),
        _ => Err(Error::bad_gateway("malformed object id in git's answer")),
    }
}

fn unsupported(format: &str) -> Error {
    Error::bad_gateway(format!("repositories with {} object ids are not supported yet", printable(format)))
}

/// What a server said, fit for a message.
pub fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
