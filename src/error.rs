//! The one error of the house: a kind that promises something, and words for people.
//! Knows nothing of HTTP; `http::respond` alone turns a kind into a status.
//! Kinds and their promises: docs/protocol.md.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error promises to whoever gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not there now, may come: unknown module, version or revision.
    NotFound,
    /// Can never be right: bad escaping, a malformed path or version.
    Gone,
    /// The revision is there, its name is wrong.
    Wrong,
    /// Rules or rights say no; the client must stop.
    Forbidden,
    /// What is there stands against it, and has to change first.
    Conflict,
    /// Somebody else failed and there is nothing stale to give.
    BadGateway,
    /// Not now: we are starting or full.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::NotFound,
        Kind::Gone,
        Kind::Wrong,
        Kind::Forbidden,
        Kind::Conflict,
        Kind::BadGateway,
        Kind::Unavailable,
        Kind::Internal,
    ];

    /// The word for programs; the API says it with every error.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::NotFound => "not_found",
            Kind::Gone => "gone",
            Kind::Wrong => "wrong",
            Kind::Forbidden => "forbidden",
            Kind::Conflict => "conflict",
            Kind::BadGateway => "bad_gateway",
            Kind::Unavailable => "unavailable",
            Kind::Internal => "internal",
        }
    }
}

/// A kind, a subject (`path@version`), what is the matter, and the way out.
///
/// Its parts lie in a box: every `Result` of the house would be as large as they are.
#[derive(Debug, Clone)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: Kind,
    subject: Option<String>,
    what: String,
    remedy: Vec<String>,
    right: Option<String>,
    retry_after: Option<Duration>,
    said: Option<Said>,
    rule: Option<Arc<str>>,
    conclusive: bool,
    unauthorized: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Who said it, for the headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The upstream; several with commas where none of them had an answer.
    pub upstream: String,
    /// How it was had: a word of `X-Modvet-Cache`.
    pub cache: &'static str,
    /// Since the upstream was asked.
    pub age: Duration,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error(Box::new(Parts {
            kind,
            subject: None,
            what: what.into(),
            remedy: Vec::new(),
            right: None,
            retry_after: None,
            said: None,
            rule: None,
            conclusive: false,
            unauthorized: false,
            source: None,
        }))
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Error::new(Kind::NotFound, what)
    }

    pub fn gone(what: impl Into<String>) -> Self {
        Error::new(Kind::Gone, what)
    }

    pub fn forbidden(what: impl Into<String>) -> Self {
        Error::new(Kind::Forbidden, what)
    }

    pub fn conflict(what: impl Into<String>) -> Self {
        Error::new(Kind::Conflict, what)
    }

    pub fn bad_gateway(what: impl Into<String>) -> Self {
        Error::new(Kind::BadGateway, what)
    }

    pub fn unavailable(what: impl Into<String>) -> Self {
        Error::new(Kind::Unavailable, what)
    }

    pub fn internal(what: impl Into<String>) -> Self {
        Error::new(Kind::Internal, what)
    }

    /// Names the thing that is wrong, usually `path@version`; the first name stays.
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.0.subject.get_or_insert_with(|| subject.to_string());
        self
    }

    /// Adds a line that says how to get out of it.
    pub fn remedy(mut self, line: impl Into<String>) -> Self {
        self.0.remedy.push(line.into());
        self
    }

    /// Names the right version of a wrong name.
    pub fn right(mut self, version: impl Into<String>) -> Self {
        self.0.right = Some(version.into());
        self
    }

    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Names the upstream that it rests on; the first one stays.
    pub fn said(mut self, said: Said) -> Self {
        self.0.said.get_or_insert(said);
        self
    }

    /// Names the rule of the house that says no.
    pub fn rule(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.rule = Some(name.into());
        self
    }

    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error, its texts as this makes them. What its sources say becomes a part of it.
    pub fn reworded(mut self, reword: impl Fn(&str) -> String) -> Self {
        let parts = &mut self.0;
        let chain = match parts.source {
            Some(_) => Error(parts.clone()).chain(),
            None => parts.what.clone(),
        };
        let reworded = reword(&chain);
        if reworded != chain {
            (parts.what, parts.source) = (reworded, None);
        }
        parts.subject = parts.subject.as_deref().map(&reword);
        parts.remedy.iter_mut().for_each(|line| *line = reword(line));
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// What is the matter, without subject, remedy and source.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    pub fn remedies(&self) -> &[String] {
        &self.0.remedy
    }

    pub fn right_version(&self) -> Option<&str> {
        self.0.right.as_deref()
    }

    pub fn delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The rule of the house that says no; `None` where another reason does.
    pub fn rule_name(&self) -> Option<&str> {
        self.0.rule.as_deref()
    }

    /// Says that nobody else may be asked in its place, whatever the configuration lets pass.
    pub fn conclusive(mut self) -> Self {
        self.0.conclusive = true;
        self
    }

    /// Whether a walk must end with it.
    pub fn is_conclusive(&self) -> bool {
        self.0.conclusive
    }

    /// Says that the other side does not accept who we are: the credentials are wrong, or a subscription lapsed.
    pub fn unauthorized(mut self) -> Self {
        self.0.unauthorized = true;
        self
    }

    pub fn is_unauthorized(&self) -> bool {
        self.0.unauthorized
    }

    /// The upstream that it rests on; `None` where none was asked.
    pub fn speaker(&self) -> Option<&Said> {
        self.0.said.as_ref()
    }

    /// Whether this is an absence, so that a walk may go on to the next upstream.
    pub fn is_absence(&self) -> bool {
        matches!(self.0.kind, Kind::NotFound | Kind::Gone)
    }

    /// What it takes of memory, roughly; of its sources only that they are there.
    pub fn weight(&self) -> u64 {
        let Parts { subject, what, remedy, right, said, .. } = &*self.0;
        let texts =
            subject.iter().chain([what]).chain(remedy).chain(right).chain(said.iter().map(|said| &said.upstream));
        (size_of::<Parts>() + texts.map(String::len).sum::<usize>()) as u64
    }

    /// What is the matter with its sources, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.0.what.clone();
        let mut source = self.0.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.0.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.chain())?;
        for line in &self.0.remedy {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

// The chain is already in `Display`; giving it again as `source` would print it twice.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_subject_what_sources_and_remedy() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::bad_gateway("git.example.com did not answer")
            .because(cause)
            .about("example.com/m@v1.0.0")
            .remedy("try again later");
        assert_eq!(
            error.to_string(),
            "example.com/m@v1.0.0: git.example.com did not answer: connection refused\ntry again later"
        );
    }

    #[test]
    fn a_reworded_error_has_the_words_of_its_sources_too() {
        let cause = std::io::Error::other("token hunter2 is refused");
        let error = Error::forbidden("no").because(cause).about("m@hunter2").remedy("use another than hunter2");
        let reworded = error.clone().reworded(|text| text.replace("hunter2", "…"));
        assert_eq!(reworded.to_string(), "m@…: no: token … is refused\nuse another than …");
        assert_eq!(reworded.kind(), Kind::Forbidden);
        assert_eq!(error.clone().reworded(str::to_owned).to_string(), error.to_string());
    }

    #[test]
    fn the_first_subject_stays() {
        let error = Error::not_found("unknown revision").about("inner").about("outer");
        assert_eq!(error.subject(), Some("inner"));
    }
}
