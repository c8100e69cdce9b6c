//! What a server is asked to do with its refs.

use bytes::{BufMut, Bytes, BytesMut};

use crate::git::pktline::{FLUSH, line};
use crate::git::remote::AGENT;
use crate::git::server::Server;
use crate::ports::RefUpdate;
use crate::spec::info::ObjectId;

/// The capability by which the report and messages come mixed.
pub const SIDE_BAND: &str = "side-band-64k";

/// Stands for a ref that is not there.
const NONE: ObjectId = ObjectId([0; 20]);

/// Whether a refusal of one ref is one of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Together,
    Each,
}

/// All commands up to where the pack begins.
pub fn write(server: &Server, updates: &[&RefUpdate], manner: Manner) -> Bytes {
    let mut body = BytesMut::new();
    let chosen = chosen(server, manner);
    for (i, update) in updates.iter().enumerate() {
        let (from, to) = (update.from.unwrap_or(NONE), update.to.unwrap_or(NONE));
        let capabilities = if i == 0 { format!("\0 {}", chosen.join(" ")) } else { String::new() };
        line(&mut body, &format!("{from} {to} {}{capabilities}", update.name));
    }
    body.put_slice(FLUSH);
    body.freeze()
}

fn chosen(server: &Server, manner: Manner) -> Vec<String> {
    // Where a choice is offered, the first is the best.
    let choices: [&[&str]; 3] = [&["report-status-v2", "report-status"], &[SIDE_BAND], &["quiet"]];
    let mut chosen: Vec<String> = choices
        .iter()
        .filter_map(|choice| choice.iter().find(|feature| server.has(feature)).map(|feature| (*feature).to_owned()))
        .collect();
    if manner == Manner::Together && server.has("atomic") {
        chosen.push("atomic".to_owned());
    }
    if server.has("object-format") {
        chosen.push("object-format=sha1".to_owned());
    }
    if server.has("agent") {
        chosen.push(format!("agent={AGENT}"));
    }
    chosen
}
