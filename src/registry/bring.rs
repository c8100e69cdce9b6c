//! What an upstream is asked, and what it says, made ready for the store.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::cached::Inner;
use super::change::OnChange;
use crate::error::{Error, Result};
use crate::ports::{Body, Content, Told, Validators, Via};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::query::Query;
use crate::spec::question::Question;
use crate::spec::resolution::Resolution;

/// What a source said, ready for the store.
pub(super) struct Brought {
    pub body: Body,
    pub h1: Option<String>,
    pub content_type: &'static str,
    /// Whether it is to be the same for ever.
    pub lasting: bool,
    pub validators: Validators,
    /// The mirror that it was read from.
    pub via: Option<Via>,
    /// Since when it is known to be so, where that is not this moment.
    pub since: Option<DateTime<Utc>>,
    /// Of an `.info`.
    pub resolution: Option<Arc<Resolution>>,
    /// The version that a query or `latest` stands for: asked for next.
    pub names: Option<Info>,
}

impl Inner {
    /// Asks the upstream for an answer.
    pub async fn bring(&self, module: &ModulePath, question: &Question) -> Result<Brought> {
        tracing::debug!(
            upstream = self.shelf.name(),
            what = question.name(),
            subject = question.subject(module),
            "asking"
        );
        self.watched(self.bring_unwatched(module, question)).await
    }

    /// Asks it whether what it said still holds.
    pub async fn unchanged(
        &self,
        module: &ModulePath,
        question: &Question,
        validators: &Validators,
    ) -> Result<Told<bool>> {
        let subject = question.subject(module);
        tracing::debug!(upstream = self.shelf.name(), what = question.name(), subject, "asking whether it is the same");
        self.watched(self.source.unchanged(module, question, validators)).await
    }

    async fn watched<T>(&self, asking: impl Future<Output = Result<T>>) -> Result<T> {
        let start = Instant::now();
        let result = asking.await;
        if self.watch.note(&result, start.elapsed(), self.clock.now()) {
            self.note_moving();
        }
        result
    }

    async fn bring_unwatched(&self, module: &ModulePath, question: &Question) -> Result<Brought> {
        let source = &self.source;
        match question {
            Question::List => {
                let Told { what, validators, via, since } = source.list(module).await?;
                let text: String = what.iter().map(|version| format!("{version}\n")).collect();
                Ok(Brought { via, since, ..Brought::new(question, Body::Bytes(text.into()), validators) })
            }
            Question::Latest => {
                let Told { what: info, validators, via, since } = source.latest(module).await?;
                let body = Body::Bytes(info.to_json().into());
                Ok(Brought { names: Some(info), via, since, ..Brought::new(question, body, validators) })
            }
            Question::Info(query) => {
                let Told { what, validators, via, since } = source.info(module, query).await?;
                Ok(Brought { via, since, ..Brought::resolved(question, query, what, validators) })
            }
            Question::GoMod(version) => Ok(Brought::content(question, source.go_mod(module, version).await?)),
            Question::Zip(version) => Ok(Brought::content(question, source.zip(module, version).await?)),
        }
    }

    /// Says of which commits the files of a version are that do not fit together.
    pub fn misfit(&self, module: &ModulePath, question: &Question, brought: &str, sibling: &str, kept: &str) -> Error {
        let (upstream, subject) = (self.shelf.name(), question.subject(module));
        let what = format!(
            "upstream {upstream} makes the .{} of commit {brought}, and the .{sibling} kept here is of commit {kept} \
             (expected all files of a version from one commit)",
            question.name()
        );
        // The upstream is there: another one in its place would mix the files of two sources.
        let error = Error::bad_gateway(what).about(&subject).conclusive();
        match self.on_change {
            OnChange::Keep => error
                .remedy(format!("to take what the upstream has now: modvet cache rm {subject}"))
                .remedy(format!("to always do so: on_change = \"replace\" for upstream {upstream}")),
            // It moved again while all files were brought.
            OnChange::Replace => error.remedy("try again"),
        }
    }
}

impl Brought {
    fn new(question: &Question, body: Body, validators: Validators) -> Brought {
        Brought {
            body,
            h1: None,
            content_type: question.content_type(),
            lasting: false,
            validators,
            via: None,
            since: None,
            resolution: None,
            names: None,
        }
    }

    fn resolved(question: &Question, query: &Query, resolution: Resolution, validators: Validators) -> Brought {
        let named_itself = resolution.right.version == query.as_str();
        Brought {
            lasting: query.is_version() && resolution.is_valid(),
            names: (!named_itself).then(|| resolution.right.clone()),
            ..Brought::new(question, Body::Bytes(resolution_json(&resolution)), validators)
        }
        .with(resolution)
    }

    fn with(self, resolution: Resolution) -> Brought {
        Brought { resolution: Some(Arc::new(resolution)), ..self }
    }

    fn content(question: &Question, told: Told<Content>) -> Brought {
        let Told { what: Content { body, h1 }, validators, via, .. } = told;
        Brought { h1, via, lasting: true, ..Brought::new(question, body, validators) }
    }

    /// Whether the mirror that it was read from may say otherwise than its source.
    pub fn is_doubtful(&self) -> bool {
        self.via.as_ref().is_some_and(Via::is_doubtful)
    }

    /// The commit that the file of a version is made of, where it is known.
    pub fn commit(&self) -> Option<&str> {
        self.validators.revision.as_deref().filter(|_| self.lasting)
    }
}

pub(super) fn resolution_json(resolution: &Resolution) -> Bytes {
    serde_json::to_vec(resolution).expect("strings and times always serialize").into()
}
