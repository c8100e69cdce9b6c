use super::*;
use crate::cli::files::Found;

const WRONG: &str = "v1.0.1-0.20190901102031-ab4b5367deaa";
const RIGHT: &str = "v1.0.1-0.20190901102030-ab4b5367deaa";
const REASON: &str = "does not match version-control timestamp (expected 20190901102030)";

fn project(kind: FileKind, text: &str) -> Project {
    let found = Found { path: kind.name().into(), kind };
    let directives =
        Directives::parse(&found, text.replace("WRONG", WRONG).replace("RIGHT", RIGHT).into_bytes()).expect("a file");
    Project { folder: PathBuf::new(), directives: Some(directives), sums: None }
}

fn findings() -> Findings {
    let wrong = Finding::Wrong { right: RIGHT.to_owned(), reasons: vec![REASON.to_owned()] };
    [(Pinned::new("x.y/z", WRONG), wrong)].into()
}

/// The file as it is to be.
fn planned(kind: FileKind, text: &str, demand: &Demand) -> String {
    let project = project(kind, text);
    match directives(&project, &findings(), demand).expect("an edit that can be read") {
        Some(fixed) => String::from_utf8(fixed.after).expect("text").replace(WRONG, "WRONG").replace(RIGHT, "RIGHT"),
        None => text.to_owned(),
    }
}

fn demand(asker: Option<&str>, complete: bool) -> Demand {
    let askers = asker.map(|asker| (Pinned::new("x.y/z", WRONG), asker.to_owned())).into_iter().collect();
    Demand { graph: Graph { askers, complete }, ..Demand::default() }
}

const ADDED: &str = "\n// x.y/mid@v1.0.0 requires a wrong version: does not match version-control timestamp (expected \
                     20190901102030)\nreplace x.y/z WRONG => x.y/z RIGHT\n";
const ASSUMED: &str = "\n// a dependency requires a wrong version: does not match version-control timestamp (expected \
                       20190901102030)\nreplace x.y/z WRONG => x.y/z RIGHT\n";

#[test]
fn each_line_is_put_right_where_it_counts() {
    let (alone, asked, unknown) = (demand(None, true), demand(Some("x.y/mid@v1.0.0"), true), demand(None, false));
    let table: &[(&str, &Demand, &str, &str)] = &[
        ("required here alone", &alone, "require x.y/z WRONG\n", "require x.y/z RIGHT\n"),
        (
            "required indirectly by nobody",
            &alone,
            "require x.y/z WRONG // indirect\n",
            "require x.y/z RIGHT // indirect\n",
        ),
        ("asked for", &asked, "require x.y/z WRONG\n", &format!("require x.y/z WRONG\n{ADDED}")),
        ("replaced already", &asked, "replace x.y/z WRONG => x.y/z v1.9.0\n", "replace x.y/z WRONG => x.y/z v1.9.0\n"),
        (
            "all versions replaced",
            &asked,
            "require x.y/z WRONG\nreplace x.y/z => ../z\n",
            "require x.y/z WRONG\nreplace x.y/z => ../z\n",
        ),
        ("excluded and asked for", &asked, "exclude x.y/z WRONG\n", "exclude x.y/z WRONG\n"),
        ("excluded", &alone, "exclude x.y/z WRONG\n", "exclude x.y/z RIGHT\n"),
        (
            "excluded, the right one required",
            &alone,
            "require x.y/z RIGHT\nexclude x.y/z WRONG\n",
            "require x.y/z RIGHT\nexclude x.y/z WRONG\n",
        ),
        (
            "perhaps asked for",
            &unknown,
            "require x.y/z WRONG // indirect\n",
            &format!("require x.y/z WRONG // indirect\n{ASSUMED}"),
        ),
        ("required here, perhaps elsewhere", &unknown, "require x.y/z WRONG\n", "require x.y/z RIGHT\n"),
        ("a fork, perhaps required", &unknown, "replace a.b/c => x.y/z WRONG\n", "replace a.b/c => x.y/z RIGHT\n"),
        (
            "required and replaced here alone",
            &alone,
            "require x.y/z WRONG\nreplace x.y/z WRONG => ../z\n",
            "require x.y/z RIGHT\nreplace x.y/z RIGHT => ../z\n",
        ),
    ];
    for (name, demand, before, after) in table {
        assert_eq!(&planned(FileKind::Mod, before, demand), after, "{name}");
    }
}

#[test]
fn the_cure_is_not_cured_again() {
    for demand in [demand(None, true), demand(Some("x.y/mid@v1.0.0"), true), demand(None, false)] {
        let text = "require x.y/z WRONG // indirect\nreplace x.y/z WRONG => x.y/z RIGHT\n";
        let project = project(FileKind::Mod, text);
        assert!(directives(&project, &findings(), &demand).expect("no edit").is_none(), "{demand:?}");
    }
}

#[test]
fn a_workspace_adds_what_none_of_its_modules_replaces() {
    let text = "go 1.22\nuse ./a\n";
    let mut demand = demand(Some("x.y/mid@v1.0.0"), true);
    demand.also.insert(Pinned::new("x.y/z", WRONG));
    assert_eq!(planned(FileKind::Work, text, &demand), format!("{text}{ADDED}"));
    demand.covered.insert(Pinned::new("x.y/z", WRONG));
    assert_eq!(planned(FileKind::Work, text, &demand), text);
}

#[test]
fn only_pseudo_versions_are_judged_and_no_placeholder() {
    let text = "require (\n\tx.y/a v1.0.0\n\tx.y/z WRONG\n\tx.y/gone v0.0.0-00010101000000-000000000000\n)\n\
                replace x.y/gone => ../gone\n";
    let candidates = candidates(&project(FileKind::Mod, text));
    assert_eq!(candidates.into_iter().collect::<Vec<_>>(), [(Pinned::new("x.y/z", WRONG), ("go.mod".into(), 3))]);
}
