//! A walk told step by step: who was asked, who was not, and why.

use serde::{Deserialize, Serialize};

use super::cached::blocking;
use super::member::{Member, OnFailure};
use super::order::Order;
use super::peek::Seen;
use super::ruled::Gate;
use super::tally::is_elsewhere;
use super::walk::{Answer, AnswerBody, Bound, Registry};
use super::{Question, Reach};
use crate::error::{Error, Kind, Result};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::scope::Bar;

/// What a request for an answer goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    pub registry: String,
    pub module: String,
    /// The address of the protocol, relative to the module.
    pub question: String,
    /// The upstream that the module is bound to, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Bound>,
    /// All upstreams in the order of the registry.
    pub steps: Vec<Step>,
    pub outcome: Outcome,
}

/// One upstream's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub upstream: String,
    /// When it was asked, the first being 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<usize>,
    /// What was kept of it before anybody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Seen>,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum What {
    /// Its patterns do not let it serve the path.
    Barred {
        why: String,
        /// For who runs modvet only: patterns may be names that nobody else should learn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patterns: Option<String>,
    },
    NotAsked {
        why: String,
    },
    Answered {
        /// A word of `X-Modvet-Cache`.
        cache: String,
        age_seconds: u64,
        /// The mirror that it read it from, and how that stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mirror: Option<String>,
    },
    Absent {
        why: String,
        /// It said so before and was not asked again.
        remembered: bool,
    },
    Failed {
        why: String,
        /// `on_failure = "next"`
        goes_on: bool,
    },
    /// It knows better, or the trouble is ours: nobody else may be asked.
    Refused {
        why: String,
    },
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Answered {
        upstream: String,
        /// The version that the answer names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// How many versions a list has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        versions: Option<usize>,
        /// Whether a request binds the module to this upstream; telling the walk does not.
        binds: bool,
    },
    Refused {
        /// The kind of the error.
        kind: String,
        error: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remedy: Vec<String>,
    },
}

impl Registry {
    /// Walks as a request would, and tells it. Upstreams are asked and their answers kept, but nothing is bound.
    pub async fn walk(&self, module: &ModulePath, question: &Question, reach: Reach) -> Result<Walked> {
        let binding = self.binding(module).await?;
        let mut order = Order::begin(self, module, question, reach).await?;
        let mut steps = Vec::new();
        for member in &self.members {
            steps.push(unasked(member, module, question).await?);
        }
        let gate = self.gate_to_tell(module);
        if let Some(error) = refusal(gate.as_ref(), question).await {
            return Ok(self.unwalked(module, question, binding, steps, &error));
        }
        let (mut turn, mut last) = (0, None);
        let outcome = loop {
            let Some(at) = order.next() else { break Outcome::from(&order.end()) };
            turn += 1;
            let (member, step) = (&self.members[at], &mut steps[at]);
            step.turn = Some(turn);
            match self.ask(member, module, question, reach).await {
                Ok((answer, names_version)) => {
                    step.what = What::answered(&answer);
                    let how = if order.is_keeper() { "keeps the answer" } else { "answered" };
                    last = Some((at, format!("{} {how}", member.name())));
                    let binds = names_version && reach == Reach::Upstream && order.bound().is_none();
                    break match passed(gate.as_ref(), question, answer).await {
                        Ok(answer) => Outcome::answered(question, answer, binds).await?,
                        Err(error) => Outcome::from(&error),
                    };
                }
                Err(error) => {
                    step.what = What::said(member, &error, order.remembered(at).is_some());
                    if let Err(error) = order.note(at, error) {
                        last = Some((at, format!("{} ended the walk", member.name())));
                        break Outcome::from(&error);
                    }
                }
            }
        };
        let bound = binding.as_ref().filter(|binding| binding.stands);
        let bound = bound.and_then(|bound| self.members.iter().position(|member| member.name() == bound.upstream));
        for (at, step) in steps.iter_mut().enumerate() {
            if let What::NotAsked { why } = &mut step.what {
                *why = self.why_not(at, bound, last.as_ref());
            }
        }
        let question = question.address();
        Ok(Walked { registry: self.name().to_owned(), module: module.to_string(), question, binding, steps, outcome })
    }

    /// The rules end it before anybody is asked.
    fn unwalked(
        &self,
        module: &ModulePath,
        question: &Question,
        binding: Option<Bound>,
        mut steps: Vec<Step>,
        error: &Error,
    ) -> Walked {
        let rule = error.rule_name().unwrap_or_default();
        for step in &mut steps {
            if let What::NotAsked { why } = &mut step.what {
                *why = format!("the rule {rule} does not let it pass");
            }
        }
        let (registry, outcome) = (self.name().to_owned(), Outcome::from(error));
        Walked { registry, module: module.to_string(), question: question.address(), binding, steps, outcome }
    }

    /// Why a member that might have been asked was not.
    fn why_not(&self, at: usize, bound: Option<usize>, last: Option<&(usize, String)>) -> String {
        match (bound, last) {
            (Some(bound), last) if at < bound || last.is_some_and(|(last, _)| *last == bound) => {
                format!("the module is bound to {}", self.members[bound].name())
            }
            (_, Some((_, end))) => end.clone(),
            (_, None) => "what it keeps may be a stranger's: one above may have the module".to_owned(),
        }
    }
}

/// What the rules say no to, as far as it is known.
async fn refusal(gate: Option<&Gate<'_>>, question: &Question) -> Option<Error> {
    let error = gate?.before(question).await.err()?;
    error.rule_name().is_some().then_some(error)
}

/// What the rules leave of an answer, as far as it is known.
async fn passed(gate: Option<&Gate<'_>>, question: &Question, answer: Answer) -> Result<Answer> {
    if let Some(error) = refusal(gate, question).await {
        return Err(error);
    }
    let Some(gate) = gate else { return Ok(answer) };
    match gate.after(question, answer.clone()).await {
        Err(error) if error.rule_name().is_none() => Ok(answer),
        passed => passed,
    }
}

/// A member's step before anybody was asked.
async fn unasked(member: &Member, module: &ModulePath, question: &Question) -> Result<Step> {
    let bar = member.scope.bar(module);
    let kept = match bar {
        None => member.source.seen(module, question).await?,
        Some(_) => None,
    };
    let what = match bar {
        None => What::NotAsked { why: String::new() },
        Some(Bar::Outside(patterns)) => {
            What::Barred { why: "its `modules` do not name the path".to_owned(), patterns: Some(patterns) }
        }
        Some(Bar::Excluded(pattern)) => {
            What::Barred { why: "its `not_modules` name the path".to_owned(), patterns: Some(pattern) }
        }
    };
    Ok(Step { upstream: member.name().to_owned(), turn: None, kept, what })
}

impl Walked {
    /// What clients may be told.
    pub fn without_patterns(mut self) -> Walked {
        for step in &mut self.steps {
            if let What::Barred { patterns, .. } = &mut step.what {
                *patterns = None;
            }
        }
        self
    }
}

impl What {
    fn answered(answer: &Answer) -> What {
        What::Answered {
            cache: answer.freshness.as_str().to_owned(),
            age_seconds: answer.age.as_secs(),
            mirror: answer.via.as_ref().map(ToString::to_string),
        }
    }

    fn said(member: &Member, error: &Error, remembered: bool) -> What {
        let why = error.chain();
        match (error.is_absence(), is_elsewhere(error.kind())) {
            (true, _) => What::Absent { why, remembered },
            (false, true) => {
                let goes_on = member.on_failure == OnFailure::GoOn && !error.is_conclusive();
                What::Failed { why, goes_on }
            }
            (false, false) => What::Refused { why },
        }
    }
}

impl Outcome {
    async fn answered(question: &Question, answer: Answer, binds: bool) -> Result<Outcome> {
        let upstream = answer.upstream.clone();
        let (mut version, mut versions) = (None, None);
        match question {
            Question::List => versions = Some(answer.read().await?.0.lines().count()),
            Question::Info(_) | Question::Latest => {
                let (text, _) = answer.read().await?;
                let info = serde_json::from_str::<Info>(&text);
                version = info.ok().map(|info| info.version);
            }
            Question::GoMod(asked) | Question::Zip(asked) => version = Some(asked.to_string()),
        }
        Ok(Outcome::Answered { upstream, version, versions, binds })
    }
}

impl From<&Error> for Outcome {
    fn from(error: &Error) -> Outcome {
        let what = match error.kind() {
            // Causes of our own troubles name files and folders of this machine.
            Kind::Internal => error.what().to_owned(),
            _ => error.chain(),
        };
        let error_text = match error.subject() {
            Some(subject) => format!("{subject}: {what}"),
            None => what,
        };
        Outcome::Refused {
            kind: error.kind().as_str().to_owned(),
            error: error_text,
            remedy: error.remedies().to_vec(),
        }
    }
}

impl Answer {
    /// The body of a list or an `.info`, and the answer.
    pub(super) async fn read(self) -> Result<(String, Answer)> {
        let bytes = match &self.body {
            AnswerBody::Text(bytes) => bytes.clone(),
            AnswerBody::Blob(blob) => match blob.in_memory() {
                Some(bytes) => bytes,
                None => {
                    let blob = blob.clone();
                    blocking(move || blob.read_all(16 << 20)).await?
                }
            },
        };
        Ok((String::from_utf8_lossy(&bytes).into_owned(), self))
    }
}
