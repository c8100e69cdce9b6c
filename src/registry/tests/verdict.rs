//! What is said of versions that other proxies serve, and what it rests on.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::ports::{Examiner, Heard};
use crate::registry::doubles::{Drawer, Hands, Known, Ledger, info_of, member, member_over, module, version};
use crate::registry::{Book, Cached, ChecksumDatabase, Judgement, Registry, Shelf, Validity};
use crate::spec::examination::{Examination, History};
use crate::spec::info::Info;
use crate::spec::path::ModulePath;
use crate::spec::resolution::{Fault, Resolution};
use crate::spec::verdict::{Evidence, Standing, Verdict};
use crate::spec::version::Version;
use crate::vet::mode::Mode;

use crate::registry::doubles::Reply;

const PATH: &str = "example.com/m";
const RIGHT: &str = "v1.1.1-0.20190813064441-fde4db37ae7a";
const OTHER_BASE: &str = "v1.9.1-0.20190813064441-fde4db37ae7a";

struct Bench {
    public: Arc<Known>,
    ledger: Arc<Ledger>,
    registry: Registry,
}

/// One proxy that hands a checksum database through, and what `change` puts behind it.
fn bench(git: Option<Arc<dyn Examiner>>) -> Bench {
    let (public, store, clock, ledger) = (Known::new(), Drawer::new(), Hands::new(), Ledger::new());
    let mut members = vec![member("public", &public, &store, &clock, Judgement::Believed)];
    if let Some(examiner) = git {
        let shelf = Shelf::new("direct", "double", "");
        let direct = Cached::new(shelf, Known::new(), store.clone(), clock.clone(), Validity::default());
        members.push(member_over(direct.examined_by(examiner), Judgement::Own));
    }
    ledger.enter("sum.example.org/supported", "");
    let database = ChecksumDatabase {
        name: "sum.example.org".to_owned(),
        records: ledger.clone(),
        not_modules: "private.example.com".to_owned(),
    };
    let registry =
        Registry::new("default", Mode::Rewrite, members, Book::new("default", store, clock)).with_database(database);
    Bench { public, ledger, registry }
}

impl Bench {
    async fn verdict(&self, text: &str) -> Verdict {
        self.registry.verdict(&module(PATH), &version(text)).await.expect("a verdict")
    }

    /// The proxy knows the revision and, under their names, these versions.
    fn publish(&self, versions: &[&str]) {
        self.public.teach(PATH, "@v/fde4db37ae7a.info", Reply::info(Resolution::valid("fde4db37ae7a", info_of(RIGHT))));
        for text in versions {
            self.public.publish(PATH, text, b"zip");
        }
    }

    fn record(&self, text: &str) {
        self.ledger.enter(&format!("sum.example.org/lookup/{PATH}@{text}"), "record");
    }
}

fn upstream() -> Evidence {
    Evidence::Upstream { name: "public".to_owned() }
}

fn database(accepted: bool) -> Evidence {
    Evidence::ChecksumDatabase { name: "sum.example.org".to_owned(), accepted }
}

#[tokio::test]
async fn the_proxys_own_answer_for_the_revision_says_what_is_wrong() {
    let bench = bench(None);
    bench.publish(&[]);
    let time =
        Fault::TimeDiffers { found: "20190813064442".to_owned(), expected: "20190813064441".to_owned(), note: None };
    let short = Fault::RevisionTooShort { expected: "fde4db37ae7a".to_owned() };
    let table = [
        ("time", "v1.1.1-0.20190813064442-fde4db37ae7a", vec![time.clone()]),
        ("both", "v1.1.1-0.20190813064442-FDE4DB37AE7A", {
            vec![Fault::RevisionInUpperCase { expected: "fde4db37ae7a".to_owned() }, time]
        }),
        ("v1 without base", "v1.0.0-20190813064441-fde4db37ae7a", vec![Fault::MajorWithoutBase]),
    ];
    for (row, asked, faults) in table {
        let verdict = bench.verdict(asked).await;
        assert_eq!((verdict.standing, verdict.faults.clone()), (Standing::Wrong, faults), "{row}");
        assert_eq!(verdict.right(), Some(RIGHT), "{row}");
        assert_eq!(verdict.evidence, [Evidence::Syntax, upstream()], "{row}");
    }
    bench.public.teach(PATH, "@v/fde4db3.info", Reply::info(Resolution::valid("fde4db3", info_of(RIGHT))));
    let verdict = bench.verdict("v1.1.1-0.20190813064441-fde4db3").await;
    assert_eq!((verdict.faults.as_slice(), verdict.right()), (&[short][..], Some(RIGHT)));
    // What the revision resolves to is known under its own name from then on.
    assert_eq!(bench.verdict(RIGHT).await.standing, Standing::Canonical);
}

#[tokio::test]
async fn a_tag_on_the_revision_is_its_version() {
    let bench = bench(None);
    let tagged = Resolution::valid("fde4db37ae7a", info_of("v1.1.0"));
    bench.public.teach(PATH, "@v/fde4db37ae7a.info", Reply::info(tagged));
    let verdict = bench.verdict(RIGHT).await;
    let fault = Fault::BaseOnRevision { tag: "v1.1.0".to_owned(), revision: "fde4db37ae7a".to_owned() };
    assert_eq!((verdict.faults.as_slice(), verdict.right()), (&[fault][..], Some("v1.1.0")));
}

#[tokio::test]
async fn the_checksum_database_vouches_for_another_base() {
    let bench = bench(None);
    bench.publish(&[RIGHT, OTHER_BASE]);
    assert_eq!(bench.verdict(RIGHT).await.standing, Standing::Canonical);
    bench.record(RIGHT);
    bench.record(OTHER_BASE);
    let verdict = bench.verdict(OTHER_BASE).await;
    assert_eq!(
        (verdict.standing, verdict.evidence),
        (Standing::Valid, vec![Evidence::Syntax, upstream(), database(true)])
    );
}

#[tokio::test]
async fn a_database_that_knows_the_right_version_refuses_the_wrong_one() {
    let bench = bench(None);
    bench.publish(&[RIGHT, OTHER_BASE]);
    // It knows nothing of the module: its refusal says nothing, and the proxy is believed.
    let verdict = bench.verdict(OTHER_BASE).await;
    assert_eq!(
        (verdict.standing, verdict.evidence),
        (Standing::Valid, vec![Evidence::Syntax, upstream(), database(false)])
    );
    bench.record(RIGHT);
    let verdict = bench.verdict(OTHER_BASE).await;
    let refused = Fault::Refused { by: "sum.example.org".to_owned(), why: "404 Not Found".to_owned() };
    assert_eq!(
        (verdict.standing, verdict.faults.as_slice(), verdict.right()),
        (Standing::Wrong, &[refused][..], Some(RIGHT))
    );
}

#[tokio::test]
async fn a_database_that_is_not_handed_through_or_out_of_reach_is_no_witness() {
    let bench = bench(None);
    bench.publish(&[RIGHT, OTHER_BASE]);
    bench.record(OTHER_BASE);
    bench.ledger.fail(Some(Error::bad_gateway("out of reach")));
    let verdict = bench.verdict(OTHER_BASE).await;
    assert_eq!((verdict.standing, verdict.evidence), (Standing::Valid, vec![Evidence::Syntax, upstream()]));
}

/// A history that says the same of everything, or nothing.
struct Historian(Option<Vec<Fault>>);

#[async_trait]
impl Examiner for Historian {
    async fn examine(&self, module: &ModulePath, version: &Version) -> Result<Option<Examination>> {
        let Some(faults) = self.0.clone() else {
            return Err(Error::not_found("unknown revision").about(format!("{module}@{version}")));
        };
        let Info { time, .. } = info_of(RIGHT);
        let history = History {
            commit: "fde4db37ae7ad8191b03d30d27f258b5291ae4e3".to_owned(),
            time: time.expect("a time"),
            author_time: None,
            tags: Vec::new(),
            before: Vec::new(),
            further: 0,
            aside: None,
        };
        let url = "https://git.example.com/m".to_owned();
        Ok(Some(Examination { url, canonical: Some(info_of(RIGHT)), faults, history }))
    }

    async fn hear(&self, _module: &ModulePath) -> Result<Option<Heard>> {
        Ok(None)
    }
}

#[tokio::test]
async fn git_has_the_last_word_where_a_member_may_ask_it() {
    let missing = Fault::BaseMissing { base: "v1.9.0".to_owned() };
    let bench = bench(Some(Arc::new(Historian(Some(vec![missing.clone()])))));
    bench.publish(&[OTHER_BASE]);
    let verdict = bench.verdict(OTHER_BASE).await;
    assert_eq!((verdict.standing, verdict.faults.as_slice()), (Standing::Wrong, &[missing][..]));
    let git = Evidence::Git { url: "https://git.example.com/m".to_owned() };
    assert_eq!(verdict.evidence, [Evidence::Syntax, upstream(), database(false), git]);
}

#[tokio::test]
async fn a_proxy_that_knows_the_revision_refuses_the_name() {
    let bench = bench(Some(Arc::new(Historian(None))));
    bench.publish(&[RIGHT]);
    let verdict = bench.verdict(OTHER_BASE).await;
    let refused = Fault::Refused { by: "upstream public".to_owned(), why: "unknown revision".to_owned() };
    assert_eq!(
        (verdict.standing, verdict.faults.as_slice(), verdict.right()),
        (Standing::Wrong, &[refused][..], Some(RIGHT))
    );
}

#[tokio::test]
async fn what_nobody_knows_is_unverifiable_unless_its_form_is_wrong() {
    let bench = bench(None);
    let verdict = bench.verdict("v0.0.0-20190813064441-aaaaaaaaaaaa").await;
    assert_eq!((verdict.standing, verdict.faults.len()), (Standing::Unverifiable, 0));
    assert!(verdict.why.is_some());
    let verdict = bench.verdict("v0.0.0-20190813064441-main").await;
    assert_eq!((verdict.standing, verdict.right()), (Standing::Wrong, None));
    bench.public.fail(Some(Error::bad_gateway("out of reach")));
    let verdict = bench.verdict("v1.0.0").await;
    assert_eq!(verdict.standing, Standing::Unverifiable);
    assert_eq!(verdict.why.as_deref(), Some("upstream public: out of reach"));
}
