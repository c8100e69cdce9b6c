//! A folder in GOPROXY layout, with module zips of any size.

use std::io::{Cursor, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Modules as files; dropping it removes them.
pub struct Tree(TempDir);

impl Tree {
    pub fn new() -> Tree {
        Tree(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Settings with this folder as the only upstream.
    pub fn settings(&self) -> String {
        format!("[[upstream]]\nname = \"tree\"\nkind = \"dir\"\npath = '{}'\n", self.path().display())
    }

    /// Adds a version whose zip holds so many bytes that do not shrink; gives back the zip.
    pub fn add(&self, module: &str, version: &str, size: usize) -> Vec<u8> {
        let folder = self.path().join(module).join("@v");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let go_mod = format!("module {module}\n");
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, content) in
            [("go.mod", go_mod.as_bytes()), ("ballast", &noise(&format!("{module}@{version}"), size))]
        {
            zip.start_file(format!("{module}@{version}/{name}"), stored).expect("a name that zips may hold");
            zip.write_all(content).expect("memory");
        }
        let zip = zip.finish().expect("memory").into_inner();
        let info = format!("{{\"Version\":\"{version}\",\"Time\":\"2019-01-01T00:00:00Z\"}}");
        let files: [(&str, &[u8]); 3] = [("info", info.as_bytes()), ("mod", go_mod.as_bytes()), ("zip", &zip)];
        for (ending, content) in files {
            std::fs::write(folder.join(format!("{version}.{ending}")), content).expect("a writable folder");
        }
        let list = std::fs::read_to_string(folder.join("list")).unwrap_or_default();
        std::fs::write(folder.join("list"), format!("{list}{version}\n")).expect("a writable folder");
        zip
    }
}

/// Bytes without order, the same for the same seed.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    let mut block = Sha256::digest(seed);
    while bytes.len() < size {
        bytes.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    bytes.truncate(size);
    bytes
}
