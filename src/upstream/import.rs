//! The go-import tags of a page, and which of them speaks for a path.
//! Rules: go.dev/ref/mod#vcs-find; `parseMetaGoImports` and `matchGoImport` in `cmd/go/internal/vcs`, modules preferred.

use super::markup::{Attribute, Token, Tokens};
use crate::spec::path::has_prefix;

/// `<meta name="go-import" content="PREFIX VCS ROOT [SUBDIR]">`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    pub prefix: String,
    pub vcs: String,
    pub root: String,
    pub subdir: String,
}

/// Why no tag of a page can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoMatch {
    /// The prefixes that there are.
    None(Vec<String>),
    Several,
}

/// All tags up to the end of the head or the beginning of the body, those of kind `mod` first, and without
/// those whose prefix a `mod` tag has too. An error only if a defect comes before the first tag.
pub(super) fn parse(page: &[u8]) -> Result<Vec<Import>, String> {
    let mut tokens = Tokens::new(page);
    let mut imports = Vec::new();
    loop {
        match tokens.next() {
            Ok(Some(Token::Start { name, .. })) if name.eq_ignore_ascii_case("body") => break,
            Ok(Some(Token::End { name })) if name.eq_ignore_ascii_case("head") => break,
            Ok(Some(Token::Start { name, attributes })) if name.eq_ignore_ascii_case("meta") => {
                imports.extend(import(&attributes));
            }
            Ok(Some(_)) => {}
            Err(defect) if imports.is_empty() => return Err(defect),
            Ok(None) | Err(_) => break,
        }
    }
    let (mut chosen, others): (Vec<_>, Vec<_>) = imports.into_iter().partition(|import: &Import| import.vcs == "mod");
    let proxied = chosen.len();
    for import in others {
        if chosen[..proxied].iter().all(|proxy| proxy.prefix != import.prefix) {
            chosen.push(import);
        }
    }
    Ok(chosen)
}

fn import(attributes: &[Attribute]) -> Option<Import> {
    let value = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name));
        attribute.map_or("", |attribute| &attribute.value)
    };
    if value("name") != "go-import" {
        return None;
    }
    let fields: Vec<&str> = value("content").split_whitespace().collect();
    let (prefix, vcs, root, subdir) = match fields[..] {
        [prefix, vcs, root] => (prefix, vcs, root, ""),
        [prefix, vcs, root, subdir] => (prefix, vcs, root, subdir),
        _ => return None,
    };
    let [prefix, vcs, root, subdir] = [prefix, vcs, root, subdir].map(str::to_owned);
    Some(Import { prefix, vcs, root, subdir })
}

/// The only tag whose prefix the path has; a `mod` tag does not mind others after it.
pub(super) fn choose<'a>(imports: &'a [Import], path: &str) -> Result<&'a Import, NoMatch> {
    let mut fitting = imports.iter().filter(|import| has_path_prefix(path, &import.prefix));
    let Some(first) = fitting.next() else {
        return Err(NoMatch::None(imports.iter().map(|import| import.prefix.clone()).collect()));
    };
    match fitting.next() {
        Some(second) if first.vcs != "mod" || second.vcs == "mod" => Err(NoMatch::Several),
        _ => Ok(first),
    }
}

/// The go command's own notion, in which an empty prefix fits every path.
fn has_path_prefix(path: &str, prefix: &str) -> bool {
    prefix.is_empty() || has_prefix(path, prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    /// A page, and what `encoding/xml` with `Strict` off (go1.26) finds in it.
    #[derive(serde::Deserialize)]
    struct Row {
        row: String,
        #[serde(default)]
        page: String,
        /// For pages that are not UTF-8.
        #[serde(default)]
        base64: String,
        imports: Vec<[String; 4]>,
        error: String,
    }

    #[test]
    fn finds_what_the_go_command_finds() {
        let rows: Vec<Row> =
            serde_json::from_str(include_str!("../../testdata/upstream/pages.json")).expect("the golden file");
        assert!(rows.len() > 60, "{} rows", rows.len());
        for row in rows {
            let page = match row.base64.as_str() {
                "" => row.page.into_bytes(),
                text => base64::engine::general_purpose::STANDARD.decode(text).expect("base64"),
            };
            let found = parse(&page).map(|imports| {
                let fields = |i: Import| [i.prefix, i.vcs, i.root, i.subdir];
                imports.into_iter().map(fields).collect::<Vec<_>>()
            });
            let expected = if row.error.is_empty() { Ok(row.imports) } else { Err(row.error) };
            assert_eq!(found, expected, "{}", row.row);
        }
    }

    fn tags(tags: &[&str]) -> Vec<Import> {
        let page: String = tags.iter().map(|tag| format!("<meta name=go-import content={tag:?}>")).collect();
        parse(page.as_bytes()).expect("well formed")
    }

    #[test]
    fn chooses_the_one_tag_that_fits() {
        let none = |prefixes: &[&str]| Err(NoMatch::None(prefixes.iter().map(|p| (*p).to_owned()).collect()));
        let table: [(&str, &[&str], Result<usize, NoMatch>); 9] = [
            ("the path itself", &["x.y/a git https://r/a"], Ok(0)),
            ("a parent", &["x.y git https://r/a"], Ok(0)),
            ("half an element", &["x.y/aa git https://r/a", "x.y/ git https://r/b"], Ok(1)),
            ("another", &["x.y/b git https://r/b", "x.z git https://r/z"], none(&["x.y/b", "x.z"])),
            ("nothing", &[], none(&[])),
            ("two", &["x.y git https://r/a", "x.y/a git https://r/b"], Err(NoMatch::Several)),
            ("a proxy beside git", &["x.y git https://r/a", "x.y/a mod https://r/b"], Ok(0)),
            ("two proxies", &["x.y mod https://r/a", "x.y/a mod https://r/b"], Err(NoMatch::Several)),
            ("one that does not fit between", &["x.y/b git https://r/b", "x.y/a git https://r/a"], Ok(1)),
        ];
        for (row, list, expected) in table {
            let imports = tags(list);
            let found = choose(&imports, "x.y/a");
            assert_eq!(found, expected.map(|at| &imports[at]), "{row}");
        }
    }
}
