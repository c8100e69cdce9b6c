//! A letter as a message.

use std::time::SystemTime;

use lettre::Address;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::ports::Letter;

/// In characters; more no list of messages shows.
const LONGEST_SUBJECT: usize = 200;

/// That no person wrote it, so that nobody's holiday answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The bytes of a letter for one address: the same for every try.
pub fn message(letter: &Letter, from: &Mailbox, to: &Address) -> Result<Vec<u8>> {
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(subject(letter))
        .date(SystemTime::from(letter.at))
        .message_id(Some(message_id(letter, from)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(text(letter))
        .map_err(|error| Error::gone("it is no message").because(error))?;
    Ok(message.formatted())
}

/// A line, whatever is written in it: no header can follow.
fn subject(letter: &Letter) -> String {
    let plain: String = letter.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_SUBJECT).collect()
}

fn text(letter: &Letter) -> String {
    let lines = letter.text.lines().map(str::trim_end);
    lines.flat_map(|line| [line, "\r\n"]).collect()
}

/// The same for every try of a letter, by which servers and readers know it again; another one for the letter of the
/// same id that a new store writes.
fn message_id(letter: &Letter, from: &Mailbox) -> String {
    let digest = Sha256::digest(format!("{}\n{}", letter.id, letter.at.to_rfc3339()));
    format!("<modvet.{}@{}>", hex::encode(&digest[..16]), from.email.domain())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use chrono::DateTime;

    use super::*;

    fn letter(subject: &str, text: &str) -> Letter {
        Letter {
            id: "python-gitlab-3".to_owned(),
            at: DateTime::parse_from_rfc3339("2027-02-02T09:15:00Z").expect("a time").to_utc(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            data: serde_json::Value::Null,
            to: Vec::new(),
        }
    }

    fn written(letter: &Letter) -> String {
        let from = "modvet <modvet@example.com>".parse().expect("a sender");
        let to = "ops@example.com".parse().expect("an address");
        String::from_utf8(message(letter, &from, &to).expect("a message")).expect("ASCII")
    }

    #[test]
    fn the_mail_on_the_page_is_what_is_sent() {
        let page = include_str!("../../../docs/notices.md");
        let example = page.split("```\n").find(|part| part.starts_with("From: ")).expect("an example");
        let found = written(&letter("python-gitlab is stale", "behind by 2 refs since 2027-02-01 09:15 UTC"));
        let (before, rest) = found.split_once("Message-ID: <modvet.").expect("an id");
        let (id, behind) = rest.split_once('@').expect("a domain");
        let found = format!("{before}Message-ID: <modvet.ID@{behind}");
        assert_eq!((found.replace("\r\n", "\n").as_str(), id.len()), (example, 32));
    }

    #[test]
    fn every_try_is_the_same_message() {
        let letter = letter("a", "one\n.\ntwo");
        assert_eq!(written(&letter), written(&letter));
        assert!(written(&letter).ends_with("\r\n\r\none\r\n.\r\ntwo\r\n"), "dots are for the way to care about");
    }

    #[test]
    fn another_store_numbers_its_letters_anew_and_they_are_others() {
        let first = letter("a", "b");
        let later = Letter { at: first.at + chrono::TimeDelta::days(1), ..first.clone() };
        let from = "modvet@example.com".parse().expect("a sender");
        assert_ne!(message_id(&first, &from), message_id(&later, &from));
    }

    #[test]
    fn nobody_gets_a_header_in_by_a_subject_or_a_text() {
        let found = written(&letter("a\r\nBcc: evil@example.com\u{0}\u{85}x", "b"));
        let (head, body) = found.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("Subject: a Bcc: evil@example.com x\r\n"), "{head}");
        assert!(!head.lines().any(|line| line.starts_with("Bcc")) && body == "b\r\n", "{found}");
        let long = written(&letter(&"word ".repeat(400), "b"));
        assert!(long.lines().all(|line| line.len() < 998), "{long}");
    }

    #[test]
    fn other_letters_than_those_of_english_survive() {
        let found = written(&letter("Spiegel veraltet: größer ✓", "Täglich ✓\n"));
        assert!(found.is_ascii(), "{found}");
        assert!(found.contains("Subject: Spiegel veraltet: =?utf-8?"), "{found}");
        let body = found.split_once("base64\r\n\r\n").map(|(_, body)| STANDARD.decode(body.trim_end()));
        assert_eq!(body, Some(Ok("Täglich ✓\r\n".as_bytes().to_vec())), "{found}");
    }
}
