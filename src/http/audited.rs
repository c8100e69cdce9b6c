//! What the audit log says of a request, and whether it is worth a line.
//! Rules: docs/audit.md.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::{Method, StatusCode};

use super::known::Wanted;
use super::respond::Asked;
use crate::access::audit::{Line, What};
use crate::error::Error;
use crate::registry::{Answer, Life, Question};
use crate::spec::query::Query;

/// The longest text of a field: what a client sends may be of any length.
const LONGEST: usize = 1024;

/// What is noted while a request is answered.
#[derive(Default)]
pub struct Audited {
    pub wanted: Option<Arc<Wanted>>,
    /// The method of a call of the programming interface, or of a form on a page.
    pub called: Option<Method>,
    /// The registry that such a call names.
    pub registry: Option<String>,
    life: Option<Life>,
    right: Option<String>,
    rule: Option<Arc<str>>,
}

/// What was said in the end.
pub struct Said<'a> {
    pub route: &'static str,
    /// The name of who asked.
    pub guest: &'a str,
    pub status: StatusCode,
    pub subject: &'a str,
    pub cache: &'static str,
    pub upstream: &'a str,
    pub error: Option<&'a Error>,
}

impl Audited {
    pub fn served(&mut self, answer: &Answer) {
        (self.life, self.right) = (Some(answer.life), answer.right.clone());
        self.rule = answer.rule.clone();
    }

    /// `None` for what is not worth a line.
    pub fn line(&mut self, what: What, asked: &Asked, said: &Said<'_>) -> Option<Line> {
        let verdict = self.verdict(said);
        let is_file = matches!(self.question(), Some(Question::Info(_) | Question::GoMod(_) | Question::Zip(_)));
        let is_change = self.called.as_ref().is_some_and(|method| method != Method::GET);
        let is_worth = match (verdict, what) {
            ("refused", _) => true,
            (_, What::All) => self.wanted.is_some() || is_change,
            ("absent" | "failed", What::Versions) => is_change,
            (_, What::Versions) => is_file || is_change,
        };
        if !is_worth {
            return None;
        }
        let refused = said.error.filter(|_| verdict == "refused");
        let mut line = Line {
            who: said.guest.to_owned(),
            address: asked.address,
            status: said.status.as_u16(),
            verdict: Cow::Borrowed(verdict),
            why: refused.map(|error| cut(error.chain())),
            upstream: said.upstream.to_owned(),
            cache: Cow::Borrowed(said.cache),
            rule: self.rule.as_deref().or(said.error.and_then(Error::rule_name)).map(str::to_owned),
            right: refused.and_then(|error| error.right_version()).map(str::to_owned),
            ..Line::default()
        };
        match self.wanted.clone() {
            Some(wanted) => self.name(&mut line, &wanted),
            None => self.name_other(&mut line, said),
        }
        Some(line)
    }

    /// What was said of the version.
    fn verdict(&self, said: &Said<'_>) -> &'static str {
        match said.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "refused",
            StatusCode::NOT_FOUND | StatusCode::GONE => "absent",
            // An upstream that is not believed is no failure of the way to it.
            _ if said.error.is_some_and(Error::is_conclusive) => "refused",
            status if status.is_client_error() || status.is_server_error() => "failed",
            _ => match (self.life, self.question()) {
                (Some(Life::Never), _) => "wrong",
                (Some(Life::Forever), _) => "valid",
                (Some(Life::Short), Some(Question::Info(_))) => "canonical",
                // No checksum database has vouched for it yet.
                (Some(Life::Short), Some(Question::GoMod(_) | Question::Zip(_))) => "valid",
                _ => "served",
            },
        }
    }

    fn question(&self) -> Option<&Question> {
        self.wanted.as_ref().map(|wanted| &wanted.question)
    }

    fn name(&mut self, line: &mut Line, wanted: &Wanted) {
        let Wanted { registry, module, question, .. } = wanted;
        line.registry = cut(registry.as_str().to_owned());
        line.module = cut(module.as_str().to_owned());
        let right = self.right.take();
        match question {
            Question::Info(Query::Version(version)) => {
                (line.file, line.version) = (Cow::Borrowed("info"), version.as_str().to_owned());
            }
            Question::Info(query) => {
                (line.file, line.asked) = (Cow::Borrowed("query"), Some(cut(query.to_string())));
                line.version = right.unwrap_or_default();
                return;
            }
            Question::GoMod(version) | Question::Zip(version) => {
                (line.file, line.version) = (Cow::Borrowed(question.name()), version.as_str().to_owned());
            }
            Question::List | Question::Latest => line.file = Cow::Borrowed(question.name()),
        }
        line.right = line.right.take().or(right);
    }

    fn name_other(&mut self, line: &mut Line, said: &Said<'_>) {
        match &self.called {
            Some(method) => {
                line.registry = self.registry.take().map(cut).unwrap_or_default();
                line.file = Cow::Borrowed(if said.route.contains("/api/") { "api" } else { "page" });
                line.asked = Some(cut(format!("{method} {}", said.subject)));
            }
            None => (line.file, line.asked) = (Cow::Borrowed(said.route), Some(cut(said.subject.to_owned()))),
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::RegistryName;
    use crate::spec::path::ModulePath;
    use crate::spec::version::Version;

    #[test]
    fn a_file_that_nobody_has_vouched_for_yet_is_what_its_name_says() {
        let module = ModulePath::parse("example.com/m").expect("a path");
        let version = Version::parse("v1.0.0").expect("a version");
        let said = Said {
            route: "zip",
            guest: "",
            status: StatusCode::OK,
            subject: "",
            cache: "miss",
            upstream: "public",
            error: None,
        };
        let table = [
            (Life::Forever, Question::Zip(version.clone()), "valid"),
            (Life::Short, Question::Zip(version.clone()), "valid"),
            (Life::Short, Question::GoMod(version.clone()), "valid"),
            (Life::Never, Question::Zip(version), "wrong"),
            (Life::Short, Question::Info(Query::parse("main")), "canonical"),
            (Life::Short, Question::List, "served"),
        ];
        for (life, question, expected) in table {
            let wanted = Some(Arc::new(Wanted::new(RegistryName::Default, module.clone(), question.clone())));
            let audited = Audited { wanted, life: Some(life), ..Audited::default() };
            assert_eq!(audited.verdict(&said), expected, "{question:?} {life:?}");
        }
    }

    #[test]
    fn a_form_on_a_page_is_noted_like_a_call_of_the_interface() {
        let headers = hyper::HeaderMap::new();
        let peer = crate::http::respond::Peer::Network;
        let asked = Asked { method: Method::POST, headers, peer, address: None };
        let table = [
            ("/mirrors/{mirror}/renew", "/mirrors/library/renew", "page"),
            ("/api/v1/mirrors/{mirror}/renew", "/api/v1/mirrors/library/renew", "api"),
            ("/registries/{registry}/api/v1/x", "/registries/ci/api/v1/x", "api"),
        ];
        for (route, subject, file) in table {
            let (status, cache, upstream) = (StatusCode::SEE_OTHER, "", "");
            let said = Said { route, guest: "ann", status, subject, cache, upstream, error: None };
            let mut audited = Audited { called: Some(Method::POST), ..Audited::default() };
            let line = audited.line(What::Versions, &asked, &said).expect("a change is worth a line");
            assert_eq!((&*line.file, line.who.as_str()), (file, "ann"), "{route}");
            assert_eq!(line.asked, Some(format!("POST {subject}")), "{route}");
            let mut read = Audited::default();
            assert!(read.line(What::Versions, &asked, &said).is_none(), "who only looks changes nothing");
        }
    }
}
