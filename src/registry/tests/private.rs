//! A private prefix never reaches a public upstream, whatever is asked; and what is shared is nobody's secret.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Error, Kind};
use crate::registry::doubles::{Drawer, Hands, Known, Ledger, Reply, info_of, member, module, version};
use crate::registry::{Book, ChecksumDatabase, Judgement, Member, OnFailure, Question, Reach, Registry};
use crate::spec::query::Query;
use crate::spec::resolution::Resolution;
use crate::spec::scope::Scope;
use crate::spec::verdict::Standing;
use crate::vet::mode::Mode;

const PATH: &str = "corp.example/secret";
const PSEUDO: &str = "v0.0.0-20190813064441-fde4db37ae7a";

struct Office {
    corp: Arc<Known>,
    public: Arc<Known>,
    ledger: Arc<Ledger>,
    registry: Registry,
}

/// `corp` serves everything, goes on after a failure; `public` must never be asked for `corp.example`.
fn office(judgement: Judgement) -> Office {
    let (corp, public, store, clock) = (Known::new(), Known::new(), Drawer::new(), Hands::new());
    let ledger = Ledger::new();
    let first = Member { on_failure: OnFailure::GoOn, ..member("corp", &corp, &store, &clock, judgement) };
    let second = member("public", &public, &store, &clock, Judgement::Believed);
    let second = Member { scope: Scope::new("", "corp.example,*.corp.example"), ..second };
    let book = Book::new("default", store, clock);
    let database = ChecksumDatabase {
        name: "sum.example.org".to_owned(),
        records: ledger.clone(),
        not_modules: "corp.example".to_owned(),
    };
    let registry = Registry::new("default", Mode::Rewrite, vec![first, second], book).with_database(database);
    Office { corp, public, ledger, registry }
}

type Prepare = fn(&Office);

#[tokio::test]
async fn a_private_prefix_never_reaches_a_public_upstream() {
    let states: [(&str, Prepare); 4] = [
        ("unknown", |_| ()),
        ("known", |office| {
            for text in ["v1.0.0", PSEUDO] {
                office.corp.publish(PATH, text, b"zip");
            }
            office.corp.teach(PATH, "@v/list", Reply::List(vec![version("v1.0.0")]));
            office.corp.teach(PATH, "@latest", Reply::info(Resolution::valid("latest", info_of("v1.0.0"))));
        }),
        ("out of reach", |office| office.corp.fail(Some(Error::bad_gateway("timed out")))),
        ("forbidden", |office| office.corp.fail(Some(Error::forbidden("401 Unauthorized")))),
    ];
    for (state, prepare) in states {
        for judgement in [Judgement::Own, Judgement::Believed] {
            let office = office(judgement);
            prepare(&office);
            // Somebody has put a module of this name into the public upstream.
            office.public.publish(PATH, "v1.0.0", b"a stranger's zip");
            office.public.publish(PATH, PSEUDO, b"a stranger's zip");
            ask_everything(&office.registry).await;
            assert_eq!(office.public.total(), 0, "{state}, {judgement:?}");
            assert!(office.corp.total() > 0, "{state}, {judgement:?}: nobody was asked");
            assert_eq!(office.ledger.asked.load(Ordering::SeqCst), 0, "{state}, {judgement:?}");
        }
    }
}

/// Every way by which a name can leave the house; what comes back is not this test's.
async fn ask_everything(registry: &Registry) {
    let (path, release, pseudo) = (module(PATH), version("v1.0.0"), version(PSEUDO));
    let mut questions = vec![Question::List, Question::Latest, Question::Info(Query::parse("main"))];
    for version in [&release, &pseudo] {
        questions.push(Question::Info(Query::Version(version.clone())));
        questions.push(Question::GoMod(version.clone()));
        questions.push(Question::Zip(version.clone()));
    }
    for question in &questions {
        for reach in [Reach::Upstream, Reach::Cache] {
            let _ = registry.answer(&path, question, reach).await;
            let _ = registry.walk(&path, question, reach).await;
        }
    }
    for query in ["main", "v1", "latest", PSEUDO] {
        let _ = registry.resolve(&path, &Query::parse(query)).await;
    }
    for version in [&release, &pseudo] {
        let _ = registry.vouch(&path, version, Reach::Upstream).await;
        let _ = registry.verdict(&path, version).await;
        let _ = registry.explain(&path, version).await;
    }
}

#[tokio::test]
async fn where_no_proxy_may_serve_the_path_no_checksum_database_is_asked() {
    let office = office(Judgement::Own);
    office.corp.publish(PATH, "v1.0.0", b"zip");
    let refused = office.registry.vouch(&module(PATH), &version("v1.0.0"), Reach::Upstream).await;
    assert_eq!(refused.expect_err("private").kind(), Kind::Forbidden, "an absence would send the client there itself");
    let other = office.registry.vouch(&module("example.com/m"), &version("v1.0.0"), Reach::Upstream).await;
    other.expect("public modules may be looked up");
}

#[tokio::test]
async fn a_verdict_asks_whom_a_request_would_ask() {
    let office = office(Judgement::Believed);
    // Bound to corp, whose version it is.
    let path = module("example.com/m");
    office.corp.publish(path.as_str(), "v1.0.0", b"zip");
    office.registry.answer(&path, &Question::Zip(version("v1.0.0")), Reach::Upstream).await.expect("a zip");
    office.public.publish(path.as_str(), "v1.1.0", b"zip");
    let verdict = office.registry.verdict(&path, &version("v1.1.0")).await.expect("a verdict");
    assert_eq!(verdict.standing, Standing::Unverifiable);
    assert_eq!(office.public.total(), 0);
}
