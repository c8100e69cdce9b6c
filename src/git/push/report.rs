//! What a server says of a push.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::error::{Error, Result};
use crate::git::pktline::{Packet, Reader, Stream, text};
use crate::git::server::printable;
use crate::ports::RefUpdate;

/// How many lines of hooks are kept; a hook may say anything.
const MESSAGES: usize = 50;

/// What became of each ref that the server names.
#[derive(Debug, Default)]
pub struct Report {
    /// `None` where it did what was asked.
    said: HashMap<String, Option<String>>,
    /// What hooks said, which is often the only reason that can be understood.
    messages: Vec<String>,
}

impl Report {
    /// The refs that are not as asked, and why.
    pub fn refused(&self, updates: &[&RefUpdate]) -> HashMap<String, String> {
        let mut refused = HashMap::new();
        for update in updates {
            let why = match self.said.get(&update.name) {
                Some(None) => continue,
                Some(Some(why)) => why,
                None => "the server says nothing of it",
            };
            let why = match self.messages.is_empty() {
                true => why.to_owned(),
                false => format!("{why} ({})", printable(&self.messages.join("; "))),
            };
            refused.insert(update.name.clone(), why);
        }
        refused
    }
}

/// Reads an answer. What hooks say goes to the log, reworded so that it holds no secret of ours.
pub fn read(answer: Bytes, banded: bool, host: &str, reworded: &dyn Fn(&str) -> String) -> Result<Report> {
    let mut report = Report::default();
    let unknown = |cause: Error| unknown(host).because(cause);
    let lines = match banded {
        true => {
            let (lines, messages) = unband(answer, host, reworded).map_err(|failure| match failure {
                Failure::Said(error) => error,
                Failure::Cut(cause) => unknown(cause),
            })?;
            report.messages = messages;
            lines
        }
        false => answer,
    };
    let mut reader = reader(lines);
    let unpacked = match reader.packet().map_err(unknown)? {
        Some(Packet::Data(data)) => text(&data),
        _ => return Err(self::unknown(host)),
    };
    match unpacked.strip_prefix("unpack ") {
        Some("ok") => {}
        Some(why) => {
            let why = reworded(&printable(why));
            return Err(Error::bad_gateway(format!("{host}: git server did not take the pack: {why}")));
        }
        None => return Err(self::unknown(host)),
    }
    while let Packet::Data(data) = reader.expect().map_err(unknown)? {
        let line = text(&data);
        // Lines of options say what hooks made of a ref; what was asked is done all the same.
        match line.split_once(' ') {
            Some(("ok", name)) => drop(report.said.insert(name.to_owned(), None)),
            Some(("ng", rest)) => {
                let (name, why) = rest.split_once(' ').unwrap_or((rest, "refused"));
                report.said.insert(name.to_owned(), Some(reworded(&printable(why))));
            }
            _ => {}
        }
    }
    Ok(report)
}

enum Failure {
    Said(Error),
    Cut(Error),
}

/// Takes the bands apart: the report, and lines for people.
fn unband(
    answer: Bytes,
    host: &str,
    reworded: &dyn Fn(&str) -> String,
) -> std::result::Result<(Bytes, Vec<String>), Failure> {
    let (mut lines, mut said) = (BytesMut::new(), BytesMut::new());
    let mut reader = reader(answer);
    while let Some(Packet::Data(data)) = reader.packet().map_err(Failure::Cut)? {
        match data.split_first() {
            Some((1, bytes)) => lines.extend_from_slice(bytes),
            Some((2, bytes)) => said.extend_from_slice(bytes),
            Some((3, message)) => {
                let message = reworded(&printable(&text(message)));
                return Err(Failure::Said(Error::bad_gateway(format!("{host}: git server broke off: {message}"))));
            }
            _ => {}
        }
    }
    let said = String::from_utf8_lossy(&said);
    let messages = said.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).take(MESSAGES);
    let messages: Vec<String> = messages.map(|line| reworded(&printable(line))).collect();
    for message in &messages {
        tracing::info!(host, "git push: remote: {message}");
    }
    // What git itself has to say stands in the report.
    let hooks = messages.into_iter().filter(|message| !message.starts_with("error: ")).collect();
    Ok((lines.freeze(), hooks))
}

fn unknown(host: &str) -> Error {
    Error::bad_gateway(format!("{host}: git server does not say what became of the push"))
        .remedy("check the mirror: it may have done it")
}

struct Once(Option<Bytes>);

impl Stream for Once {
    fn piece(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

fn reader(bytes: Bytes) -> Reader {
    Reader::new(Box::new(Once((!bytes.is_empty()).then_some(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets from lines; `|` stands between them and a number for one that has no text.
    fn packets(lines: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines.split('|').filter(|line| !line.is_empty()) {
            match line {
                "0000" => bytes.extend_from_slice(b"0000"),
                _ => bytes.extend_from_slice(format!("{:04x}{line}", line.len() + 4).as_bytes()),
            }
        }
        bytes
    }

    /// The same in packets of so many bytes on the first band.
    fn banded(lines: &str, piece: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in packets(lines).chunks(piece) {
            bytes.extend_from_slice(format!("{:04x}\x01", piece.len() + 5).as_bytes());
            bytes.extend_from_slice(piece);
        }
        bytes
    }

    fn read(bytes: Vec<u8>, banded: bool) -> Result<Report> {
        super::read(bytes.into(), banded, "git.example", &|text| text.replace("hunter2", "…"))
    }

    /// What is said of the refs `a` and `b`, or the error.
    fn outcome(result: Result<Report>) -> String {
        let update = |name: &str| RefUpdate { name: name.to_owned(), from: None, to: None };
        let (a, b) = (update("a"), update("b"));
        match result {
            Ok(report) => {
                let refused = report.refused(&[&a, &b]);
                let mut refused: Vec<String> = refused.iter().map(|(name, why)| format!("{name}: {why}")).collect();
                refused.sort();
                refused.join(", ")
            }
            Err(error) => error.what().to_owned(),
        }
    }

    #[test]
    fn reads_what_became_of_each_ref() {
        let unknown = "git.example: git server does not say what became of the push";
        let table = [
            ("all well", "unpack ok\n|ok a\n|ok b\n|0000", ""),
            ("one refused", "unpack ok\n|ng a non-fast-forward\n|ok b\n|0000", "a: non-fast-forward"),
            ("refused without a word", "unpack ok\n|ng a\n|ok b\n|0000", "a: refused"),
            ("a secret", "unpack ok\n|ng a no hunter2\n|ok b\n|0000", "a: no …"),
            ("options of a hook", "unpack ok\n|ok a\n|option refname c\n|option forced-update\n|ok b\n|0000", ""),
            ("forgotten", "unpack ok\n|ok b\n|0000", "a: the server says nothing of it"),
            (
                "a pack that is not taken",
                "unpack index-pack abnormal exit\n|ng a unpacker error\n|ng b unpacker error\n|0000",
                "git.example: git server did not take the pack: index-pack abnormal exit",
            ),
            ("nothing", "", unknown),
            ("only an end", "0000", unknown),
            ("cut off", "unpack ok\n|ok a\n", unknown),
            ("something else", "hello\n|0000", unknown),
        ];
        for (name, lines, expected) in table {
            assert_eq!(outcome(read(packets(lines), false)), expected, "{name}");
            for piece in [1, 7, 1000] {
                assert_eq!(outcome(read(banded(lines, piece), true)), expected, "{name} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn hooks_say_why() {
        let mut answer = packets("\x02no pushes\x07 with hun|\x02ter2\r|\x02error: hook declined to update a\n|");
        answer.extend(banded("unpack ok\n|ng a hook declined\n|ok b\n|0000", 20));
        answer.extend(b"0000");
        assert_eq!(outcome(read(answer, true)), "a: hook declined (no pushes  with …)");
    }

    #[test]
    fn a_server_that_breaks_off_says_why() {
        let answer = packets("\x02looking\n|\x03disk full, hunter2\n|");
        assert_eq!(outcome(read(answer, true)), "git.example: git server broke off: disk full, …");
    }
}
