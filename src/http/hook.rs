//! The hook that a forge sends when somebody pushed: who sends it shows by a signature, or a token, that they know the
//! secret. Must not believe anything that its body says: the address names the module.
//! Rules: the forges' pages on securing webhooks; docs/api.md, "When somebody pushes".

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ring::hmac;

use super::admin::AdminToken;
use super::incoming::Incoming;
use super::refusal::Refusal;
use crate::access::{Guest, Right};
use crate::error::Error;

/// The most that a hook's body may have, in bytes: what the largest forge sends. It is never held in memory.
const LIMIT: usize = 25 << 20;

/// So many hooks are read at a time. Whoever reaches the port may send one, and only its end shows whether they may:
/// slow ones must not take the places of all who want files.
pub const AT_A_TIME: usize = 64;

/// Where HMAC-SHA256 of the body stands in hexadecimal digits, and what comes before them.
const SIGNATURES: [(&str, &str); 5] = [
    ("x-hub-signature-256", "sha256="),
    // A forge that signs with SHA-1 here has the one above as well.
    ("x-hub-signature", "sha256="),
    ("x-gitea-signature", ""),
    ("x-forgejo-signature", ""),
    ("x-gogs-signature", ""),
];
const TOKEN: &str = "x-gitlab-token";

/// Where forges say what happened.
const EVENTS: [&str; 6] =
    ["x-github-event", "x-gitea-event", "x-forgejo-event", "x-gogs-event", "x-gitlab-event", "x-event-key"];
/// What may have changed refs, or only wants to know whether the address is right.
const ABOUT_REFS: [&str; 12] = [
    "push",
    "create",
    "delete",
    "release",
    "ping",
    "Push Hook",
    "Tag Push Hook",
    "Release Hook",
    "System Hook",
    "repo:push",
    "repo:refs_changed",
    "diagnostics:ping",
];

/// What forges sign with. It cannot be printed.
#[derive(Clone)]
pub struct HookSecret {
    key: hmac::Key,
    token: AdminToken,
}

impl HookSecret {
    /// `None` for an empty one, by which anybody could sign.
    pub fn new(secret: &str) -> Option<HookSecret> {
        let token = AdminToken::new(secret)?;
        Some(HookSecret { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), token })
    }

    /// Reads the body of a hook, and says who sent it if they know the secret.
    pub async fn admit(&self, headers: &HeaderMap, body: Incoming) -> Result<Guest, Refusal> {
        let mut signing = hmac::Context::with_key(&self.key);
        body.read_through(LIMIT, |piece| signing.update(piece)).await?;
        let tag = signing.sign();
        let is_signed = SIGNATURES.iter().any(|(name, prefix)| {
            let given = text(headers, name).and_then(|value| hex::decode(value.strip_prefix(prefix)?).ok());
            given.is_some_and(|given| is_same(tag.as_ref(), &given))
        });
        if is_signed || text(headers, TOKEN).is_some_and(|token| self.token.is(token)) {
            return Ok(Guest { name: "[api] refresh secret".to_owned(), right: Right::Read, registry: None });
        }
        let error = Error::forbidden("the hook is not signed with the secret that is known here");
        Err(Refusal::Unauthorized(error.remedy("the forge and [api] refresh_secret_file or _env want the same secret")))
    }
}

/// What there is to say where no secret is known.
pub fn unknown() -> Refusal {
    let error = Error::forbidden("no secret for hooks is known here");
    Refusal::Unauthorized(error.remedy("who runs modvet names one: [api] refresh_secret_file or refresh_secret_env"))
}

/// Whether a request is a forge's hook. Who sends a token of modvet's own means that.
pub fn is_sent(headers: &HeaderMap) -> bool {
    let has = |name: &str| headers.contains_key(name);
    !headers.contains_key(AUTHORIZATION) && (has(TOKEN) || SIGNATURES.iter().any(|(name, _)| has(name)))
}

/// Whether a hook may be about refs. One that does not say what it is about may.
pub fn is_about_refs(headers: &HeaderMap) -> bool {
    let event = EVENTS.iter().find_map(|name| text(headers, name));
    event.is_none_or(|event| ABOUT_REFS.contains(&event))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Takes the same time wherever they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"ref":"refs/tags/v1.0.0"}"#;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    /// As `openssl dgst -sha256 -hmac` makes it.
    const SIGNATURE: &str = "6c5aba9c118e18e0cbb8215c3a6300f02a98845d665f25c1fcd9d442901a63a9";

    #[tokio::test]
    async fn who_knows_the_secret_is_let_in_and_nobody_else() {
        let secret = HookSecret::new("a hook's secret").expect("a secret");
        let (plain, named, old) = (SIGNATURE.to_owned(), format!("sha256={SIGNATURE}"), format!("sha1={SIGNATURE}"));
        type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], bool);
        let table: [Row<'_>; 12] = [
            ("GitHub", &[("x-hub-signature-256", &named)], true),
            ("Bitbucket", &[("x-hub-signature", &named)], true),
            ("Gitea, which has both", &[("x-hub-signature", &old), ("x-gitea-signature", &plain)], true),
            ("Forgejo", &[("x-forgejo-signature", &plain)], true),
            ("GitLab", &[("x-gitlab-token", "a hook's secret")], true),
            ("a token that is another", &[("x-gitlab-token", "a hook's secre")], false),
            ("a signature of SHA-1", &[("x-hub-signature", &old)], false),
            ("without its kind", &[("x-hub-signature-256", &plain)], false),
            ("half of it", &[("x-gitea-signature", &plain[..32])], false),
            ("an empty one", &[("x-hub-signature-256", "sha256=")], false),
            ("no digits", &[("x-gitea-signature", "zz")], false),
            ("none", &[], false),
        ];
        for (row, sent, is_let_in) in table {
            let admitted = secret.admit(&headers(sent), Incoming::Memory(BODY.into())).await;
            assert_eq!(admitted.is_ok(), is_let_in, "{row}");
        }
        let another = headers(&[("x-hub-signature-256", &named)]);
        assert!(secret.admit(&another, Incoming::Memory("{}".into())).await.is_err(), "another body");
        assert!(HookSecret::new("").is_none(), "anybody would know it");
        let large = Incoming::Memory(vec![b' '; LIMIT + 1].into());
        assert!(matches!(secret.admit(&another, large).await, Err(Refusal::TooLarge(_))));
    }

    #[test]
    fn only_what_may_be_about_refs_renews() {
        let table: [(&[(&'static str, &str)], bool); 8] = [
            (&[], true),
            (&[("x-github-event", "push")], true),
            (&[("x-github-event", "ping")], true),
            (&[("x-github-event", "issues")], false),
            (&[("x-gitlab-event", "Tag Push Hook")], true),
            (&[("x-gitlab-event", "Note Hook")], false),
            (&[("x-gitea-event", "create")], true),
            (&[("x-event-key", "repo:push")], true),
        ];
        for (sent, expected) in table {
            assert_eq!(is_about_refs(&headers(sent)), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_token_of_our_own_comes_first() {
        let signed = ("x-hub-signature-256", "sha256=00");
        assert!(is_sent(&headers(&[signed])));
        assert!(!is_sent(&headers(&[signed, ("authorization", "Bearer modvet_x")])));
        assert!(!is_sent(&headers(&[])));
    }
}
