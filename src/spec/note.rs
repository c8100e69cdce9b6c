//! Signed notes: a text, and who vouches for it.
//! Rules: golang.org/x/mod/sumdb/note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// The algorithm byte of Ed25519, the only one there is.
const ED25519_BYTE: u8 = 1;

/// Bytes of a key's hash, in the key and in front of every signature.
const HASH: usize = 4;

/// A note with more signatures is not read to its end.
const MOST_SIGNATURES: usize = 100;

/// What a signature line begins with.
const DASH: &str = "— ";

/// The public key of a signer: `NAME+HASH+KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    hash: [u8; HASH],
    public: Vec<u8>,
}

impl VerifierKey {
    /// Reads `NAME+HASH+KEY`: eight hexadecimal digits, then algorithm byte and key in base64.
    pub fn parse(text: &str) -> Result<VerifierKey> {
        let malformed = |why: &str| Error::gone(format!("malformed verifier key {text:?} ({why})"));
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("expected NAME+HASH+KEY"));
        };
        if !is_name(name) {
            return Err(malformed("expected a name without white space and plus signs"));
        }
        let digits = hash.len() == 2 * HASH && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
        let hash = hex::decode(hash).ok().filter(|_| digits).and_then(|hash| <[u8; HASH]>::try_from(hash).ok());
        let hash = hash.ok_or_else(|| malformed("expected a hash of eight hexadecimal digits"))?;
        let key = STANDARD.decode(key).map_err(|_| malformed("expected a key in base64"))?;
        if hash != key_hash(name, &key) {
            return Err(malformed("its hash is not that of its name and key"));
        }
        match key.split_first() {
            Some((&ED25519_BYTE, public)) if public.len() == 32 => {
                Ok(VerifierKey { name: name.to_owned(), hash, public: public.to_owned() })
            }
            Some((&ED25519_BYTE, _)) => Err(malformed("expected an Ed25519 key of 32 bytes")),
            _ => Err(malformed("unknown algorithm, expected Ed25519")),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME+HASH`, by which people tell keys apart.
    pub fn shown(&self) -> String {
        format!("{}+{}", self.name, hex::encode(self.hash))
    }

    fn accepts(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(text.as_bytes(), signature).is_ok()
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = [&[ED25519_BYTE][..], &self.public].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.hash), STANDARD.encode(key))
    }
}

/// The text of a note, if somebody known signed it. Signatures of others do not count; a wrong one of somebody known
/// spoils the note.
pub fn open<'a>(message: &'a [u8], known: &[VerifierKey]) -> Result<&'a str> {
    let (text, signatures) = split(message)?;
    let mut verified = false;
    for (number, line) in signatures.lines().enumerate() {
        let (name, signature) = signature(line).filter(|_| number < MOST_SIGNATURES).ok_or_else(malformed)?;
        let (hash, signature) = signature.split_at(HASH);
        let Some(key) = known.iter().find(|key| key.name == name && key.hash == hash) else { continue };
        if !key.accepts(text, signature) {
            return Err(Error::bad_gateway(format!("invalid signature for key {}", key.shown())));
        }
        verified = true;
    }
    match verified {
        true => Ok(text),
        false => {
            let expected: Vec<String> = known.iter().map(VerifierKey::shown).collect();
            let what = format!("note has no verifiable signatures (expected one of {})", expected.join(", "));
            Err(Error::bad_gateway(what))
        }
    }
}

/// The text with its last line feed, and the lines of the signatures.
fn split(message: &[u8]) -> Result<(&str, &str)> {
    let message = std::str::from_utf8(message).map_err(|_| malformed())?;
    if message.chars().any(|c| c < ' ' && c != '\n') {
        return Err(malformed());
    }
    let at = message.rfind("\n\n").ok_or_else(malformed)?;
    let (text, signatures) = (&message[..=at], &message[at + 2..]);
    if signatures.ends_with('\n') { Ok((text, signatures)) } else { Err(malformed()) }
}

/// Who signed, and the hash of the key with the signature behind it.
fn signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let signature = STANDARD.decode(encoded).ok()?;
    (is_name(name) && signature.len() > HASH).then_some((name, signature))
}

fn malformed() -> Error {
    Error::bad_gateway("malformed note")
}

fn key_hash(name: &str, key: &[u8]) -> [u8; HASH] {
    let sum = Sha256::new().chain_update(name).chain_update("\n").chain_update(key).finalize();
    [sum[0], sum[1], sum[2], sum[3]]
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// Keys for tests.
#[cfg(test)]
pub(crate) mod signer {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    /// Somebody who signs notes.
    pub(crate) struct Signer {
        pair: Ed25519KeyPair,
        pub key: VerifierKey,
    }

    impl Signer {
        /// The same seed is the same key.
        pub(crate) fn new(name: &str, seed: u8) -> Signer {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes");
            let public = pair.public_key().as_ref().to_owned();
            let hash = key_hash(name, &[&[ED25519_BYTE][..], &public].concat());
            Signer { pair, key: VerifierKey { name: name.to_owned(), hash, public } }
        }

        pub(crate) fn line(&self, text: &str) -> String {
            let signature = self.pair.sign(text.as_bytes());
            let encoded = STANDARD.encode([&self.key.hash[..], signature.as_ref()].concat());
            format!("{DASH}{} {encoded}\n", self.key.name)
        }

        pub(crate) fn sign(&self, text: &str) -> String {
            format!("{text}\n{}", self.line(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::signer::Signer;
    use super::*;

    const TEXT: &str = "go.sum database tree\n9\nc=\n";

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let key = Signer::new("sum.example.org", 1).key;
        assert_eq!(VerifierKey::parse(&key.to_string()).expect("a key"), key);
        assert!(key.to_string().starts_with(&format!("{}+", key.shown())), "{key}");
    }

    #[test]
    fn every_malformed_key_says_why() {
        let good = Signer::new("s.org", 1).key.to_string();
        let [name, hash, key] = good.splitn(3, '+').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let short = STANDARD.encode([1, 2, 3]);
        let other = STANDARD.encode([2, 2, 3]);
        let sum = |key: &str| hex::encode(key_hash("s.org", &STANDARD.decode(key).expect("base64")));
        let table = [
            ("nothing", String::new(), "expected NAME+HASH+KEY"),
            ("a name alone", name.to_owned(), "expected NAME+HASH+KEY"),
            ("no name", format!("+{hash}+{key}"), "expected a name without white space and plus signs"),
            (
                "a blank in the name",
                format!("s .org+{hash}+{key}"),
                "expected a name without white space and plus signs",
            ),
            ("a short hash", format!("{name}+1234+{key}"), "expected a hash of eight hexadecimal digits"),
            ("no hexadecimal hash", format!("{name}+1234567g+{key}"), "expected a hash of eight hexadecimal digits"),
            ("no base64", format!("{name}+{hash}+???"), "expected a key in base64"),
            ("another's hash", format!("{name}+00000000+{key}"), "its hash is not that of its name and key"),
            ("another's name", format!("t.org+{hash}+{key}"), "its hash is not that of its name and key"),
            ("a short key", format!("{name}+{}+{short}", sum(&short)), "expected an Ed25519 key of 32 bytes"),
            ("an unknown algorithm", format!("{name}+{}+{other}", sum(&other)), "unknown algorithm, expected Ed25519"),
        ];
        for (row, text, why) in table {
            let error = VerifierKey::parse(&text).expect_err(row);
            assert_eq!(error.what(), format!("malformed verifier key {text:?} ({why})"), "{row}");
        }
    }

    #[test]
    fn one_known_signer_is_enough_and_strangers_do_not_count() {
        let (ours, stranger) = (Signer::new("s.org", 1), Signer::new("witness.org", 2));
        let known = [ours.key.clone()];
        assert_eq!(open(ours.sign(TEXT).as_bytes(), &known).expect("ours"), TEXT);
        for lines in [stranger.line(TEXT) + &ours.line(TEXT), ours.line(TEXT) + &stranger.line(TEXT)] {
            assert_eq!(open(format!("{TEXT}\n{lines}").as_bytes(), &known).expect("both"), TEXT);
        }
        let error = open(stranger.sign(TEXT).as_bytes(), &known).expect_err("a stranger's");
        assert_eq!(error.what(), format!("note has no verifiable signatures (expected one of {})", ours.key.shown()));
        // The same name, another key.
        let impostor = Signer::new("s.org", 3);
        assert!(
            open(impostor.sign(TEXT).as_bytes(), &known).expect_err("an impostor's").what().starts_with("note has no")
        );
    }

    #[test]
    fn a_wrong_signature_of_a_known_signer_spoils_the_note() {
        let (ours, other) = (Signer::new("s.org", 1), Signer::new("t.org", 2));
        let known = [ours.key.clone(), other.key.clone()];
        let note = ours.sign(TEXT).replace("\n9\n", "\n8\n");
        let wrong = format!("invalid signature for key {}", ours.key.shown());
        assert_eq!(open(note.as_bytes(), &known).expect_err("changed").what(), wrong);
        let note = format!("{TEXT}\n{}{}", other.line(TEXT), ours.line("another text\n"));
        assert_eq!(open(note.as_bytes(), &known).expect_err("one of two").what(), wrong);
    }

    #[test]
    fn every_malformed_note_is_refused() {
        let ours = Signer::new("s.org", 1);
        let good = ours.sign(TEXT);
        let many = format!("{TEXT}\n{}", ours.line(TEXT).repeat(MOST_SIGNATURES + 1));
        let table: [(&str, Vec<u8>); 10] = [
            ("nothing", Vec::new()),
            ("no signatures", TEXT.as_bytes().to_vec()),
            ("an empty block of signatures", format!("{TEXT}\n").into_bytes()),
            ("no line feed at the end", good.trim_end().as_bytes().to_vec()),
            ("a control character", good.replace("tree", "tr\tee").into_bytes()),
            ("no UTF-8", [&[0xff][..], good.as_bytes()].concat()),
            ("another dash", good.replace('—', "-").into_bytes()),
            ("no base64", format!("{TEXT}\n{DASH}s.org ???\n").into_bytes()),
            ("a signature of nothing", format!("{TEXT}\n{DASH}s.org {}\n", STANDARD.encode([0; HASH])).into_bytes()),
            ("too many signatures", many.into_bytes()),
        ];
        for (row, message) in table {
            assert_eq!(
                open(&message, std::slice::from_ref(&ours.key)).expect_err(row).what(),
                "malformed note",
                "{row}"
            );
        }
    }
}
