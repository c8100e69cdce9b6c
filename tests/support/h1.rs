//! The `h1:` hash, computed from nothing but the bytes of a zip or a go.mod.
//!
//! A second, plain writing of the rule (go.dev/ref/mod#go-sum-files), so that the product is not measured with its own yardstick.

use std::io::{Cursor, Read as _};

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// The hash of a module zip.
pub fn of_zip(bytes: &[u8]) -> Result<String, String> {
    Ok(of_files(unzipped(bytes)?))
}

/// What a module zip holds, in its order: name without `MODULE@VERSION/`, size, first digits of the SHA-256.
pub fn contents(bytes: &[u8]) -> Result<Vec<String>, String> {
    let lines = unzipped(bytes)?.into_iter().map(|(name, content)| {
        let digest = hex::encode(&Sha256::digest(&content)[..6]);
        let name =
            name.split_once('@').and_then(|(_, name)| name.split_once('/')).map_or(name.as_str(), |(_, name)| name);
        format!("{name} {} {digest}", content.len())
    });
    Ok(lines.collect())
}

fn unzipped(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("not a zip: {error}"))?;
    let mut files = Vec::new();
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).map_err(|error| error.to_string())?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|error| format!("{}: {error}", file.name()))?;
        files.push((file.name().to_owned(), content));
    }
    Ok(files)
}

/// The hash of a go.mod, as go.sum's `/go.mod` lines have it.
pub fn of_go_mod(content: &[u8]) -> String {
    of_files(vec![("go.mod".to_owned(), content.to_vec())])
}

fn of_files(mut files: Vec<(String, Vec<u8>)>) -> String {
    files.sort();
    let lines: String =
        files.iter().map(|(name, content)| format!("{}  {name}\n", hex::encode(Sha256::digest(content)))).collect();
    let sum = Sha256::digest(lines.as_bytes());
    format!("h1:{}", base64::engine::general_purpose::STANDARD.encode(sum))
}
