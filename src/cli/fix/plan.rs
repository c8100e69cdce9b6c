//! What is changed: pure decisions over files, findings and the graph.
//!
//! A version that only this file names is corrected where it stands. One that a dependency's go.mod requires stays
//! required whatever this file says, so the go command is sent on to the right one by a `replace` line.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::documents::{Directives, Pinned, Project, Stead};
use super::graph::Graph;
use super::judge::Finding;
use crate::cli::files::FileKind;
use crate::error::{Error, Result};
use crate::spec::gomod::{Addition, Editor, GoMod, GoWork, Span, Target};
use crate::spec::version::{Version, compare};
use crate::spec::{gosum, pseudo};

pub type Findings = BTreeMap<Pinned, Finding>;

/// What the go command writes for a module that is replaced and has no version.
const PLACEHOLDER: &str = "v0.0.0-00010101000000-000000000000";

/// A file as it was and as it is to be.
#[derive(Debug)]
pub struct Fixed {
    pub path: PathBuf,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    pub changes: Vec<Change>,
}

/// One change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Another version where the wrong one stood.
    Corrected { directive: Directive, line: usize, module: String, wrong: String, right: String, reasons: Vec<String> },
    /// A `replace` line, since `required_by` goes on asking for the wrong one.
    Replaced { module: String, wrong: String, right: String, required_by: Option<String>, reasons: Vec<String> },
    /// Lines of a sum file.
    Dropped { module: String, wrong: String, lines: usize },
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    Require,
    Exclude,
    Replace,
}

/// What a project's dependencies ask for.
#[derive(Debug, Default)]
pub struct Demand {
    pub graph: Graph,
    /// Versions that no file of the project names.
    pub also: BTreeSet<Pinned>,
    /// What others replace for this project.
    pub covered: BTreeSet<Pinned>,
}

impl Change {
    /// The wrong version that a new `replace` line is about.
    pub fn replaced(&self) -> Option<Pinned> {
        match self {
            Change::Replaced { module, wrong, .. } => Some(Pinned::new(module, wrong)),
            Change::Corrected { .. } | Change::Dropped { .. } => None,
        }
    }
}

/// A version that nobody could say anything of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unverified {
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    pub line: usize,
    pub module: String,
    pub version: String,
    pub why: String,
}

fn shown<S: serde::Serializer>(path: &std::path::Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// The versions of a project that are to be judged, and where each stands first.
pub fn candidates(project: &Project) -> BTreeMap<Pinned, (PathBuf, usize)> {
    let mut all = BTreeMap::new();
    if let Some(file) = &project.directives {
        for (pinned, line) in file.pinned() {
            if !(pinned.version == PLACEHOLDER && file.replaced(&pinned).is_some()) {
                all.entry(pinned).or_insert_with(|| (file.path.clone(), line));
            }
        }
    }
    if let Some(sums) = &project.sums {
        for sum in &sums.lines {
            all.entry(Pinned::new(&sum.module, &sum.version)).or_insert_with(|| (sums.path.clone(), sum.line));
        }
    }
    all.retain(|pinned, _| pseudo::is_pseudo(&pinned.version));
    all
}

/// What could not be verified. A version that is replaced is asked for by nobody, so nothing is lost by not knowing it.
pub fn unverified(project: &Project, findings: &Findings) -> Vec<Unverified> {
    let of = |(pinned, (path, line)): (Pinned, (PathBuf, usize))| {
        let Some(Finding::Unverified { why }) = findings.get(&pinned) else { return None };
        let replaced = project.directives.as_ref().and_then(|file| file.replaced(&pinned));
        let Pinned { module, version } = pinned;
        replaced.is_none().then(|| Unverified { path, line, module, version, why: why.clone() })
    };
    candidates(project).into_iter().filter_map(of).collect()
}

/// Edits of one go.mod or go.work file.
struct Plan<'a> {
    file: &'a Directives,
    findings: &'a Findings,
    editor: Editor<'a>,
    changes: Vec<Change>,
}

/// The go.mod or go.work as it is to be; `None` if it is well.
pub fn directives(project: &Project, findings: &Findings, demand: &Demand) -> Result<Option<Fixed>> {
    let Some(file) = &project.directives else { return Ok(None) };
    let mut plan = Plan { file, findings, editor: Editor::new(&file.data), changes: Vec::new() };
    let mut all: BTreeSet<Pinned> = candidates(project).into_keys().collect();
    all.extend(demand.also.iter().cloned());
    for pinned in all {
        if let Some(Finding::Wrong { right, reasons }) = findings.get(&pinned) {
            plan.decide(&pinned, right, reasons, demand);
        }
    }
    let Plan { editor, mut changes, .. } = plan;
    if changes.is_empty() {
        return Ok(None);
    }
    changes.sort_by_key(|change| match change {
        Change::Corrected { line, .. } => *line,
        Change::Replaced { .. } | Change::Dropped { .. } => usize::MAX,
    });
    let after = editor.finish().map_err(|error| Error::internal(error.to_string()))?;
    let is_read = match file.kind {
        FileKind::Work => GoWork::parse(&after).map(drop),
        _ => GoMod::parse(&after).map(drop),
    };
    is_read.map_err(|error| Error::internal(format!("the edit cannot be read: {error}")).about(file.path.display()))?;
    Ok(Some(Fixed { path: file.path.clone(), before: file.data.clone(), after, changes }))
}

/// The sum file without the lines of wrong versions; `None` if it has none.
pub fn sums(project: &Project, findings: &Findings) -> Option<Fixed> {
    let sums = project.sums.as_ref()?;
    let is_wrong = |module: &str, version: &str| {
        matches!(findings.get(&Pinned::new(module, version)), Some(Finding::Wrong { .. }))
    };
    let mut dropped: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for sum in sums.lines.iter().filter(|sum| is_wrong(&sum.module, &sum.version)) {
        *dropped.entry((&sum.module, &sum.version)).or_default() += 1;
    }
    let change = |((module, wrong), lines): ((&str, &str), usize)| Change::Dropped {
        module: module.to_owned(),
        wrong: wrong.to_owned(),
        lines,
    };
    let changes: Vec<Change> = dropped.into_iter().map(change).collect();
    let after = gosum::without(&sums.data, is_wrong);
    (!changes.is_empty()).then(|| Fixed { path: sums.path.clone(), before: sums.data.clone(), after, changes })
}

impl Plan<'_> {
    fn decide(&mut self, wrong: &Pinned, right: &str, reasons: &[String], demand: &Demand) {
        let is_target = self.targets(wrong, right, reasons);
        let is_direct = self.file.require.iter().any(|line| !line.indirect && is(&line.path, &line.version, wrong));
        let asker = demand.graph.askers.get(wrong).cloned();
        // What could not be read may ask for it: a line too much does no harm, one too little breaks the build.
        let is_asked = asker.is_some() || (!demand.graph.complete && !is_direct && !is_target);
        let stead = self.file.replaced(wrong);
        let is_cured = stead == Some(Stead::Module(Pinned::new(&wrong.module, right)));
        if !is_asked {
            if !is_cured {
                self.required(wrong, right, reasons);
                self.replaced(wrong, right, reasons);
            }
            self.excluded(wrong, right, reasons);
            return;
        }
        if stead.is_some() || self.file.excludes(wrong) || demand.covered.contains(wrong) {
            return;
        }
        // The higher of two required versions is selected: a requirement of a lower one would not stay.
        if compare(right, &wrong.version) == Ordering::Greater {
            self.required(wrong, right, reasons);
        }
        let mut reason = format!("{} requires a wrong version", asker.as_deref().unwrap_or("a dependency"));
        if let Some(first) = reasons.first() {
            reason = format!("{reason}: {first}");
        }
        let Pinned { module, version } = wrong.clone();
        let addition = Addition { module: module.clone(), wrong: version.clone(), right: right.to_owned(), reason };
        self.editor.add(addition);
        let (right, reasons) = (right.to_owned(), reasons.to_vec());
        self.changes.push(Change::Replaced { module, wrong: version, right, required_by: asker, reasons });
    }

    fn required(&mut self, wrong: &Pinned, right: &str, reasons: &[String]) {
        for line in self.file.require.iter().filter(|line| is(&line.path, &line.version, wrong)) {
            self.correct(Directive::Require, line.line, &line.version_span, wrong, right, reasons);
        }
    }

    /// A required version must not be excluded; there, the wrong name excludes nothing and does no harm.
    fn excluded(&mut self, wrong: &Pinned, right: &str, reasons: &[String]) {
        let is_right = |version: &str| {
            let finding = self.findings.get(&Pinned::new(&wrong.module, version));
            version == right || matches!(finding, Some(Finding::Wrong { right: cure, .. }) if cure == right)
        };
        let mut required = self.file.require.iter().filter(|line| line.path == wrong.module);
        if required.any(|line| is_right(line.version.as_str())) {
            return;
        }
        for line in self.file.exclude.iter().filter(|line| is(&line.path, &line.version, wrong)) {
            self.correct(Directive::Exclude, line.line, &line.version_span, wrong, right, reasons);
        }
    }

    /// The left side: it has to go on matching what is required. Two lines for one version would be a conflict.
    fn replaced(&mut self, wrong: &Pinned, right: &str, reasons: &[String]) {
        let lines = self.file.replace.iter().filter(|line| line.path == wrong.module);
        let of = |version: &str| {
            lines.clone().find(|line| line.version.as_ref().is_some_and(|left| left.as_str() == version))
        };
        if let (Some(line), None) = (of(&wrong.version), of(right))
            && let Some(span) = &line.version_span
        {
            self.correct(Directive::Replace, line.line, span, wrong, right, reasons);
        }
    }

    /// The right sides, and whether there were any.
    fn targets(&mut self, wrong: &Pinned, right: &str, reasons: &[String]) -> bool {
        let before = self.changes.len();
        for line in &self.file.replace {
            if let Target::Module { path, version, version_span, .. } = &line.by
                && is(path, version, wrong)
            {
                self.correct(Directive::Replace, line.line, version_span, wrong, right, reasons);
            }
        }
        self.changes.len() > before
    }

    fn correct(
        &mut self,
        directive: Directive,
        line: usize,
        span: &Span,
        wrong: &Pinned,
        right: &str,
        reasons: &[String],
    ) {
        self.editor.set_version(span, right);
        let Pinned { module, version: wrong } = wrong.clone();
        let (right, reasons) = (right.to_owned(), reasons.to_vec());
        self.changes.push(Change::Corrected { directive, line, module, wrong, right, reasons });
    }
}

fn is(path: &str, version: &Version, pinned: &Pinned) -> bool {
    path == pinned.module && version.as_str() == pinned.version
}

#[cfg(test)]
mod tests;
