//! `Repo` over remote git repositories: git's smart protocol, the objects fetched so far, an index of the history.
//! Must not know of modules, versions or verdicts, nor of the registry; it answers in revisions and files.
//! Rules: git's protocol documents (gitprotocol-v2, gitprotocol-pack), `cmd/go/internal/modfetch/codehost/git.go`.

mod acquire;
mod address;
mod asking;
pub mod attributes;
mod borrowed;
pub mod convert;
mod delta;
mod folder;
mod growth;
mod heads;
mod history;
mod history_file;
mod history_pack;
mod known;
mod objects;
mod pack;
mod pack_index;
mod packed;
mod pair;
mod pktline;
mod push;
mod recent;
mod relation;
mod remote;
mod repo;
mod repositories;
mod route;
mod server;
mod shared;
mod ssh;
mod transport;
mod trees;
mod unpack;
mod usage;

pub use pair::{MirrorPair, Party};
pub use repositories::{Mirrored, Options, Repositories};
pub use ssh::SshOptions;
pub use usage::{Removal, RepositoryUsage};

#[cfg(test)]
mod tests;
