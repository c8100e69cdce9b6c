//! A version of a module, made of files: its `.info`, its `.mod` and its zip.

use std::io::{Cursor, Write as _};
use std::path::Path;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::modvet::escaped;

#[derive(Debug, Clone)]
pub struct Release {
    pub module: String,
    pub version: String,
    time: String,
    /// Names and texts, go.mod first.
    files: Vec<(String, String)>,
}

impl Release {
    /// A module of one package, named as the last element of its path, which says its path and version.
    pub fn new(module: &str, version: &str) -> Release {
        let package = module.rsplit('/').next().expect("a path has elements").replace(['-', '.'], "");
        let source = format!("package {package}\n\nfunc Says() string {{ return \"{module}@{version}\" }}\n");
        let go_mod = format!("module {module}\n\ngo 1.20\n");
        Release {
            module: module.to_owned(),
            version: version.to_owned(),
            time: "2019-01-01T00:00:00Z".to_owned(),
            files: vec![("go.mod".to_owned(), go_mod), (format!("{package}.go"), source)],
        }
    }

    /// The same with another time in `.info`.
    pub fn at(mut self, time: &str) -> Release {
        time.clone_into(&mut self.time);
        self
    }

    /// The same with one more file, or with another text of it.
    pub fn file(mut self, name: &str, text: &str) -> Release {
        self.files.retain(|(known, _)| known != name);
        let at = if name == "go.mod" { 0 } else { self.files.len() };
        self.files.insert(at, (name.to_owned(), text.to_owned()));
        self
    }

    /// The same with one more file: a text of this many bytes that does not shrink, another one for another seed.
    pub fn noise(self, name: &str, seed: u32, size: usize) -> Release {
        let mut state = 0x9e37_79b9_u32.wrapping_mul(seed.wrapping_add(1));
        let letters = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'!' + (state >> 24) as u8 % 90)
        });
        self.file(name, &letters.take(size).collect::<String>())
    }

    pub fn info(&self) -> Vec<u8> {
        format!("{{\"Version\":\"{}\",\"Time\":\"{}\"}}", self.version, self.time).into_bytes()
    }

    pub fn go_mod(&self) -> Vec<u8> {
        self.files[0].1.clone().into_bytes()
    }

    pub fn zip(&self) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        for (name, text) in &self.files {
            let name = format!("{}@{}/{name}", self.module, self.version);
            zip.start_file(name, stored).expect("a name that zips may hold");
            zip.write_all(text.as_bytes()).expect("memory");
        }
        zip.finish().expect("memory").into_inner()
    }

    /// The endings of a version's files, and what they hold.
    pub fn endings(&self) -> [(&'static str, Vec<u8>); 3] {
        [("info", self.info()), ("mod", self.go_mod()), ("zip", self.zip())]
    }

    /// `MODULE/@v`, escaped.
    pub fn folder(&self) -> String {
        format!("{}/@v", escaped(&self.module))
    }

    /// Adds it to a folder in GOPROXY layout.
    pub fn put_into(&self, top: &Path) {
        let folder = top.join(self.folder());
        std::fs::create_dir_all(&folder).expect("a writable folder");
        for (ending, content) in self.endings() {
            let file = folder.join(format!("{}.{ending}", escaped(&self.version)));
            std::fs::write(file, content).expect("a writable folder");
        }
        let list = std::fs::read_to_string(folder.join("list")).unwrap_or_default();
        std::fs::write(folder.join("list"), format!("{list}{}\n", self.version)).expect("a writable folder");
    }
}
