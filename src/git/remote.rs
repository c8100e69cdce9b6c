//! Asking a server for refs and packs. Rules: gitprotocol-v2(5), gitprotocol-pack(5).
//!
//! Every fetch is one request and one answer: wants, haves and `done` together. The haves are whole
//! histories known to be here, so that no negotiation is needed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};

use super::known::RawRef;
use super::pktline::{DELIMITER, FLUSH, Packet, Reader, cut_off, line, text};
use super::server::{self, Protocol, Server, printable};
use super::transport::{Base, Line, Service, Transport};
use crate::error::{Error, Result};
use crate::spec::info::ObjectId;

pub(super) const AGENT: &str = concat!("modvet/", env!("CARGO_PKG_VERSION"));

/// What a pack leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Commits and tags only.
    Trees,
    /// No file contents.
    Blobs,
}

/// What is to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub wants: Vec<ObjectId>,
    /// Commits that are here with all their history.
    pub haves: Vec<ObjectId>,
    /// How many generations of commits, counted from the wants; all where `None`.
    pub depth: Option<u32>,
    /// Only a hint: a server may send all.
    pub filter: Option<Filter>,
    /// For whom the pack is cannot read deltas that name their base by its place in it.
    pub bases_by_id: bool,
}

/// Why there is no pack.
#[derive(Debug)]
pub enum Failure {
    /// The server does not give this out, but may give something else.
    Refused(String),
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Failed(error)
    }
}

impl Failure {
    pub fn into_error(self, host: &str) -> Error {
        match self {
            Failure::Failed(error) => error,
            Failure::Refused(message) => Error::bad_gateway(format!("{host}: git server refused: {message}")),
        }
    }
}

/// A repository on a server.
pub struct Remote {
    transport: Transport,
    /// What the server said of itself and where, so that a fetch is one request.
    greeted: Arc<Mutex<Option<(Server, Base)>>>,
}

impl Remote {
    /// `greeted` outlives the remote, and is shared by all that lead to the same repository.
    pub fn new(transport: Transport, greeted: Arc<Mutex<Option<(Server, Base)>>>) -> Remote {
        Remote { transport, greeted }
    }

    pub fn host(&self) -> String {
        self.transport.host()
    }

    /// The way there, for who has more to do than to fetch.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What the server said, fit for a log.
    pub fn without_secrets(&self, text: &str) -> String {
        self.transport.client.without_secrets(text)
    }

    /// HEAD, heads and tags at least, tags followed by what they peel to.
    pub fn refs(&self) -> Result<Vec<RawRef>> {
        self.refs_below(&["HEAD", "refs/heads/", "refs/tags/"])
    }

    /// All refs whose names begin so, and more where the server gives more; tags are followed by what they peel to.
    pub fn refs_below(&self, prefixes: &[impl AsRef<str>]) -> Result<Vec<RawRef>> {
        let (server, refs, line) = self.connect()?;
        match server.protocol {
            Protocol::V0 => Ok(refs),
            Protocol::V2 => {
                let mut answer = self.transport.ask(line, list_request(&server, prefixes), true)?;
                read_list(&mut answer)
            }
        }
    }

    /// Fetches a pack and gives it away piece by piece.
    pub fn fetch(&self, order: &Order, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<(), Failure> {
        let known = self.greeted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (server, mut answer) = match known {
            Some((server, base)) => {
                let body = fetch_request(&server, order)?;
                let answer = self.transport.post(&base, body, server.protocol == Protocol::V2)?;
                (server, answer)
            }
            None => {
                let (server, _, line) = self.connect()?;
                let body = fetch_request(&server, order)?;
                let answer = self.transport.ask(line, body, server.protocol == Protocol::V2)?;
                (server, answer)
            }
        };
        match server.protocol {
            Protocol::V0 => read_pack_0(&mut answer, order.depth.is_some(), to),
            Protocol::V2 => read_pack_2(&mut answer, to),
        }
    }

    /// What the server offers.
    pub fn server(&self) -> Result<Server> {
        let known = self.greeted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((server, _)) => Ok(server),
            None => Ok(self.connect()?.0),
        }
    }

    /// The next request asks for the greeting anew: the server may be another one by now.
    pub fn forget(&self) {
        *self.greeted.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn connect(&self) -> Result<(Server, Vec<RawRef>, Line)> {
        let (greeting, line) = self.transport.connect(Service::UploadPack)?;
        if let Line::Http(base) = &line {
            let greeted = Some((greeting.server.clone(), base.clone()));
            *self.greeted.lock().unwrap_or_else(PoisonError::into_inner) = greeted;
        }
        Ok((greeting.server, greeting.refs, line))
    }
}

fn command(server: &Server, name: &str) -> BytesMut {
    let mut body = BytesMut::new();
    line(&mut body, &format!("command={name}"));
    if server.has("agent") {
        line(&mut body, &format!("agent={AGENT}"));
    }
    if server.has("object-format") {
        line(&mut body, "object-format=sha1");
    }
    body.put_slice(DELIMITER);
    body
}

fn list_request(server: &Server, prefixes: &[impl AsRef<str>]) -> Bytes {
    let mut body = command(server, "ls-refs");
    line(&mut body, "peel");
    for prefix in prefixes {
        line(&mut body, &format!("ref-prefix {}", prefix.as_ref()));
    }
    body.put_slice(FLUSH);
    body.freeze()
}

fn read_list(answer: &mut Reader) -> Result<Vec<RawRef>> {
    let mut refs = Vec::new();
    while let Packet::Data(data) = answer.expect()? {
        let line = text(&data);
        if let Some(message) = line.strip_prefix("ERR ") {
            return Err(Error::bad_gateway(format!("git server refused: {}", printable(message))));
        }
        let malformed = || Error::bad_gateway("malformed line in git's refs");
        let (id, rest) = line.split_once(' ').ok_or_else(malformed)?;
        let mut words = rest.split(' ');
        let name = words.next().unwrap_or_default();
        // HEAD of a repository without commits.
        if id == "unborn" {
            continue;
        }
        refs.push(RawRef { name: name.to_owned(), id: server::object_id(id)? });
        server::check_count(&refs)?;
        if let Some(peeled) = words.find_map(|word| word.strip_prefix("peeled:")) {
            refs.push(RawRef { name: format!("{name}^{{}}"), id: server::object_id(peeled)? });
        }
    }
    Ok(refs)
}

fn fetch_request(server: &Server, order: &Order) -> Result<Bytes, Failure> {
    if order.depth.is_some() && !server.deepens() {
        return Err(Failure::Refused("no shallow fetches".to_owned()));
    }
    let filter = order.filter.filter(|_| server.filters()).map(|filter| match filter {
        Filter::Trees => "filter tree:0",
        Filter::Blobs => "filter blob:none",
    });
    let depth = order.depth.map(|depth| format!("deepen {depth}"));
    Ok(match server.protocol {
        Protocol::V0 => request_0(server, order, depth.as_deref(), filter),
        Protocol::V2 => request_2(server, order, depth.as_deref(), filter),
    })
}

fn request_2(server: &Server, order: &Order, depth: Option<&str>, filter: Option<&str>) -> Bytes {
    let mut body = command(server, "fetch");
    let deltas = (!order.bases_by_id).then_some("ofs-delta");
    for argument in ["no-progress"].into_iter().chain(deltas).chain(depth).chain(filter) {
        line(&mut body, argument);
    }
    for id in &order.wants {
        line(&mut body, &format!("want {id}"));
    }
    for id in &order.haves {
        line(&mut body, &format!("have {id}"));
    }
    line(&mut body, "done");
    body.put_slice(FLUSH);
    body.freeze()
}

fn request_0(server: &Server, order: &Order, depth: Option<&str>, filter: Option<&str>) -> Bytes {
    // Where a choice is offered, the first is the best. Some forges insist on multi_ack.
    let choices: [&[&str]; 5] = [
        &["multi_ack_detailed", "multi_ack"],
        &["side-band-64k", "side-band"],
        if order.bases_by_id { &[] } else { &["ofs-delta"] },
        &["no-progress"],
        &["shallow"],
    ];
    let mut chosen: Vec<String> = choices
        .iter()
        .filter_map(|choice| choice.iter().find(|feature| server.has(feature)).map(|feature| (*feature).to_owned()))
        .collect();
    chosen.extend(filter.map(|_| "filter".to_owned()));
    if server.has("object-format") {
        chosen.push("object-format=sha1".to_owned());
    }
    if server.has("agent") {
        chosen.push(format!("agent={AGENT}"));
    }
    let mut body = BytesMut::new();
    for (i, id) in order.wants.iter().enumerate() {
        let features = if i == 0 { format!(" {}", chosen.join(" ")) } else { String::new() };
        line(&mut body, &format!("want {id}{features}"));
    }
    for argument in depth.into_iter().chain(filter) {
        line(&mut body, argument);
    }
    body.put_slice(FLUSH);
    for id in &order.haves {
        line(&mut body, &format!("have {id}"));
    }
    line(&mut body, "done");
    body.freeze()
}

/// Sections up to the pack; all others are of no use here.
fn read_pack_2(answer: &mut Reader, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<(), Failure> {
    let mut packet = answer.packet()?.ok_or_else(silent)?;
    loop {
        let Packet::Data(data) = &packet else {
            return Err(Failure::Refused("an answer without a pack".to_owned()));
        };
        refusal(data)?;
        if text(data) == "packfile" {
            return read_bands(answer, None, to);
        }
        loop {
            match answer.expect()? {
                Packet::Data(data) => refusal(&data)?,
                Packet::Delimiter => break,
                Packet::Flush | Packet::ResponseEnd => {
                    return Err(Failure::Refused("an answer without a pack".to_owned()));
                }
            }
        }
        packet = answer.expect()?;
    }
}

fn read_pack_0(answer: &mut Reader, deepened: bool, to: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<(), Failure> {
    let mut packet = answer.packet()?.ok_or_else(silent)?;
    if deepened {
        while let Packet::Data(data) = &packet {
            refusal(data)?;
            packet = answer.expect()?;
        }
        packet = answer.expect()?;
    }
    loop {
        match &packet {
            Packet::Data(data) if data.starts_with(b"ACK ") || data.starts_with(b"NAK") => {}
            Packet::Data(data) => {
                refusal(data)?;
                return read_bands(answer, Some(packet), to);
            }
            _ => return Err(Failure::Refused("an answer without a pack".to_owned())),
        }
        if answer.peek(4)? == b"PACK" {
            while let Some(bytes) = answer.raw()? {
                to(&bytes)?;
            }
            return Ok(());
        }
        packet = answer.expect()?;
    }
}

/// The pack, mixed with progress and with a fatal message if there is one.
fn read_bands(
    answer: &mut Reader,
    first: Option<Packet>,
    to: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<(), Failure> {
    let mut packet = match first {
        Some(packet) => packet,
        None => answer.expect()?,
    };
    let mut begun = false;
    loop {
        let data = match packet {
            Packet::Data(data) => data,
            Packet::Flush | Packet::ResponseEnd if begun => return Ok(()),
            _ => return Err(Failure::Failed(cut_off())),
        };
        match data.split_first() {
            // A server that is still counting sends empty packets to keep the connection alive.
            Some((1, bytes)) => {
                begun |= !bytes.is_empty();
                to(bytes)?;
            }
            Some((2, _)) | None => {}
            Some((3, message)) if begun => {
                let message = printable(&text(message));
                return Err(Error::bad_gateway(format!("git server broke off: {message}")).into());
            }
            Some((3, message)) => return Err(Failure::Refused(printable(&text(message)))),
            Some(_) => {
                refusal(&data)?;
                return Err(Error::bad_gateway("unknown band in git's answer").into());
            }
        }
        packet = answer.expect()?;
    }
}

fn refusal(data: &[u8]) -> Result<(), Failure> {
    match text(data).strip_prefix("ERR ") {
        Some(message) => Err(Failure::Refused(printable(message))),
        None => Ok(()),
    }
}

/// Older servers say nothing at all when they refuse.
fn silent() -> Failure {
    Failure::Refused("no answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::pktline::Stream;

    struct Once(Option<Bytes>);

    impl Stream for Once {
        fn piece(&mut self) -> Result<Option<Bytes>> {
            Ok(self.0.take())
        }
    }

    /// What comes of an answer: the pack, or why there is none.
    fn outcome(answer: &str, protocol: Protocol, deepened: bool) -> String {
        let mut bytes = BytesMut::new();
        for packet in answer.split('|') {
            match packet {
                "0000" | "0001" | "PACK" => bytes.put_slice(packet.as_bytes()),
                _ => bytes.put_slice(format!("{:04x}{packet}", packet.len() + 4).as_bytes()),
            }
        }
        let mut reader = Reader::new(Box::new(Once((!bytes.is_empty()).then(|| bytes.freeze()))));
        let mut pack = String::new();
        let mut to = |bytes: &[u8]| {
            pack.push_str(&String::from_utf8_lossy(bytes));
            Ok(())
        };
        let result = match protocol {
            Protocol::V0 => read_pack_0(&mut reader, deepened, &mut to),
            Protocol::V2 => read_pack_2(&mut reader, &mut to),
        };
        match result {
            Ok(()) => pack,
            Err(Failure::Refused(message)) => format!("refused: {message}"),
            Err(Failure::Failed(error)) => format!("failed: {}", error.what()),
        }
    }

    #[test]
    fn answers_of_version_2() {
        let cut = "failed: connection closed in the middle of git's answer";
        let table = [
            ("plain", "packfile\n|\x01PA|\x02counting|\x01CK|0000", "PACK"),
            ("sections before", "shallow-info\n|shallow x\n|0001|packfile\n|\x01PACK|0000", "PACK"),
            ("kept alive", "packfile\n|\x01|\x01|\x01PACK|0000", "PACK"),
            ("refused", "ERR upload-pack: not our ref x", "refused: upload-pack: not our ref x"),
            ("refused while kept alive", "packfile\n|\x01|\x03no filter", "refused: no filter"),
            ("refused in a section", "shallow-info\n|ERR no", "refused: no"),
            (
                "breaks off with a word",
                "packfile\n|\x01PA|\x03out of memory",
                "failed: git server broke off: out of memory",
            ),
            ("no end", "packfile\n|\x01PACK", cut),
            ("no pack", "shallow-info\n|0000", "refused: an answer without a pack"),
            ("unknown band", "packfile\n|\x07x|0000", "failed: unknown band in git's answer"),
        ];
        for (name, answer, expected) in table {
            assert_eq!(outcome(answer, Protocol::V2, false), expected, "{name}");
        }
    }

    #[test]
    fn answers_of_version_0() {
        let table = [
            ("bands", false, "NAK\n|\x01PACK|0000", "PACK"),
            ("acknowledged", false, "ACK x common\n|ACK x ready\n|NAK\n|ACK x\n|\x01PACK|0000", "PACK"),
            ("without bands", false, "NAK\n|PACK", "PACK"),
            ("shallow", true, "shallow x\n|shallow y\n|0000|NAK\n|\x01PACK|0000", "PACK"),
            ("refused", false, "ERR upload-pack: not our ref x", "refused: upload-pack: not our ref x"),
            ("refused where shallow lines stand", true, "ERR no", "refused: no"),
        ];
        for (name, deepened, answer, expected) in table {
            assert_eq!(outcome(answer, Protocol::V0, deepened), expected, "{name}");
        }
    }
}
