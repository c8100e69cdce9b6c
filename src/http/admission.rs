//! Who may ask: what a request bears is held against the tokens, the policy and what is asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};

use super::admin::AdminToken;
use super::hook::HookSecret;
use super::refusal::Refusal;
use super::respond::{Asked, Peer};
use crate::access::policy::stricter;
use crate::access::{Denial, Encryption, Exposure, Guest, Right, Tokens};
use crate::error::{Error, Result};

/// What somebody has to be for what they ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need<'a> {
    /// Somebody who may read anything at all.
    Anything,
    /// Who may read this registry.
    Registry(&'a str),
    /// Who may read all registries.
    Everything,
    /// Who may change what concerns this registry alone.
    AdminOf(&'a str),
    Admin,
}

/// What the configuration names to open parts of the interface with.
#[derive(Clone, Default)]
pub struct Secrets {
    pub token: Option<AdminToken>,
    /// What forges sign their hooks with.
    pub hook: Option<HookSecret>,
}

/// The door: it knows how strict it is, and nothing of registries.
pub struct Admission {
    encryption: Encryption,
    exposure: RwLock<Exposure>,
    /// What the configuration names.
    named: RwLock<Secrets>,
    /// That a proxy in front was seen where everybody may read.
    is_warned: AtomicBool,
}

/// The longest pair of user and token that is looked at, in bytes.
const LONGEST: usize = 1024;

/// What a request bears.
enum Credentials<'a> {
    None,
    Bearer(&'a str),
    Basic(Vec<u8>),
    /// Nothing that could be a token.
    Other,
}

impl Admission {
    pub fn new(exposure: Exposure, named: Secrets) -> Admission {
        Admission {
            encryption: exposure.encryption,
            exposure: RwLock::new(exposure),
            named: RwLock::new(named),
            is_warned: AtomicBool::new(false),
        }
    }

    /// Refuses to begin where strangers could read.
    pub fn begin(&self, tokens: &Tokens) -> Result<()> {
        self.exposure().admit(Some(tokens.has_valid() || self.named().token.is_some()))
    }

    /// Whether `open` as it was read again waits for a restart: it would let more in.
    pub fn would_weaken(&self, open: Option<bool>) -> bool {
        stricter(self.exposure().open, open) != open
    }

    /// What was read again of the configuration; nothing of it lets anybody in who was out before, but who knows the
    /// token that is named now.
    pub fn renew(&self, open: Option<bool>, named: Secrets) {
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
        let mut exposure = self.exposure.write().unwrap_or_else(PoisonError::into_inner);
        exposure.open = stricter(exposure.open, open);
    }

    /// Whether anybody may read; `tokens` are not known while the store is opening.
    pub fn is_open(&self, tokens: Option<&Tokens>) -> bool {
        self.exposure().is_open(tokens.is_some_and(Tokens::is_guarded))
    }

    /// Who asks, if they may. `name` becomes what the log calls them, also where they may not.
    pub fn admit(&self, need: Need<'_>, asked: &Asked, tokens: &Tokens, name: &mut String) -> Result<Guest, Refusal> {
        let guest = match asked.peer {
            Peer::Control => Guest::owner(),
            Peer::Network => self.guest(need, asked, tokens, name)?,
        };
        name.clone_from(&guest.name);
        allow(need, &guest).map_err(Refusal::Error)?;
        Ok(guest)
    }

    fn guest(&self, need: Need<'_>, asked: &Asked, tokens: &Tokens, name: &mut String) -> Result<Guest, Refusal> {
        let credentials = Credentials::of(&asked.headers);
        let checked = match credentials.token() {
            Some(token) => match tokens.check(token) {
                Err(Denial::Malformed | Denial::Unknown) if self.is_named(token) => return Ok(named_guest()),
                Err(denial @ (Denial::Expired(_) | Denial::Revoked)) => {
                    *name = tokens.name_of(token);
                    Err(denial)
                }
                checked => checked,
            },
            None => Err(Denial::Malformed),
        };
        let why = match (credentials, checked) {
            (_, Ok(guest)) => return Ok(guest),
            // What is no token may be meant for a proxy in front.
            (_, Err(Denial::Malformed)) if !need.is_admin() && self.is_open(Some(tokens)) => {
                self.watch(&asked.headers);
                return Ok(Guest::anonymous());
            }
            (Credentials::None, _) => None,
            (_, Err(denial)) => Some(denial),
        };
        Err(Refusal::Unauthorized(self.told(why, need, &asked.headers)))
    }

    /// Warns once where strangers seem to come through a proxy on this machine.
    fn watch(&self, headers: &HeaderMap) {
        let comes_through = || headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
        if self.exposure().open.is_some() || self.is_warned.load(Ordering::Relaxed) || !comes_through() {
            return;
        }
        if !self.is_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "requests come through a proxy, and whoever it serves may read all: \
                 say tls = \"terminated\" to want tokens, or open = true if that is meant"
            );
        }
    }

    /// What is wrong with what was sent, and how to send what is right.
    fn told(&self, why: Option<Denial>, need: Need<'_>, headers: &HeaderMap) -> Error {
        let what = match why {
            None => "a token is wanted here".to_owned(),
            Some(Denial::Malformed) => "what was sent is no token (expected modvet_ and 81 characters)".to_owned(),
            Some(Denial::Unknown) => "the token is not known here".to_owned(),
            Some(Denial::Expired(at)) => format!("the token expired at {}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            Some(Denial::Revoked) => "the token was revoked".to_owned(),
        };
        let error = Error::forbidden(what);
        if need.is_admin() {
            return error
                .remedy("send Authorization: Bearer TOKEN, or ask on the control socket")
                .remedy("who runs modvet makes one: modvet token create --scope admin");
        }
        if self.encryption == Encryption::Nobody {
            return over_plain_http(error);
        }
        let host = host(headers);
        let error = error.remedy(format!("in ~/.netrc: machine {host} login go password TOKEN"));
        let error = match host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((name, _)) => {
                error.remedy(format!("and the same for machine {name}: some go commands leave the port out"))
            }
            None => error,
        };
        let error = error.remedy("or, from Go 1.24 on: GOAUTH=\"modvet auth\" and MODVET_TOKEN=TOKEN");
        error.remedy("who runs modvet makes one: modvet token create --scope read")
    }

    fn is_named(&self, token: &str) -> bool {
        self.named().token.is_some_and(|named| named.is(token))
    }

    /// What forges sign their hooks with.
    pub fn hook_secret(&self) -> Option<HookSecret> {
        self.named().hook
    }

    fn named(&self) -> Secrets {
        self.named.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How addresses of this server begin.
    pub fn scheme(&self) -> &'static str {
        match self.encryption {
            Encryption::Nobody => "http",
            Encryption::Own | Encryption::InFront => "https",
        }
    }

    fn exposure(&self) -> Exposure {
        *self.exposure.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What helps where nobody speaks TLS. Ways for the go command to send a token are not told: it would send none.
fn over_plain_http(error: Error) -> Error {
    error
        .remedy("over plain http the go command sends no token, so neither netrc nor GOAUTH helps")
        .remedy("who runs modvet sets up [tls], or a proxy with TLS (tls = \"terminated\"), or says open = true")
        .remedy("others than the go command send Authorization: Bearer TOKEN, made by modvet token create --scope read")
}

/// Who bears the token that the configuration names.
fn named_guest() -> Guest {
    Guest { name: "[api] token".to_owned(), right: Right::Admin, registry: None }
}

impl Need<'_> {
    fn is_admin(self) -> bool {
        matches!(self, Need::Admin | Need::AdminOf(_))
    }
}

/// The same words whether the other registry exists or not. A 403, since behind a 404 the go command asks the next one.
fn allow(need: Need<'_>, guest: &Guest) -> Result<()> {
    if need.is_admin() && !guest.is_admin() {
        let error = Error::forbidden("this wants an admin token, and the one that was sent is for reading");
        return Err(error.remedy("who runs modvet makes one: modvet token create --scope admin"));
    }
    let fits = match need {
        Need::Anything => true,
        Need::Registry(registry) | Need::AdminOf(registry) => guest.may_see(registry),
        Need::Everything | Need::Admin => guest.registry.is_none(),
    };
    let Some(own) = guest.registry.as_deref().filter(|_| !fits) else { return Ok(()) };
    Err(match need {
        Need::Registry(_) | Need::AdminOf(_) => Error::forbidden(format!("this token is for registry {own} alone"))
            .remedy(format!("ask below /registries/{own}/, or use a token without --registry")),
        _ => Error::forbidden(format!("this concerns all registries, and the token is for registry {own} alone"))
            .remedy("use a token without --registry"),
    })
}

/// Refuses what a page of another site sends in a browser's name: who once gave the browser a token sends it along.
pub fn refuse_foreign(asked: &Asked) -> Result<()> {
    if matches!(asked.method, Method::GET | Method::HEAD) || asked.peer == Peer::Control {
        return Ok(());
    }
    let text = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
    let is_foreign = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        // `null`, and no `Host` at all, are nobody's own page.
        (None, Some(origin)) => origin.split_once("://").is_none_or(|(_, host)| Some(host) != text(HOST.as_str())),
        (None, None) => false,
    };
    match is_foreign {
        true => Err(Error::forbidden("this comes from a page of another site, which may change nothing here")),
        false => Ok(()),
    }
}

/// The same of what a form sends. Browsers send forms of any page without asking first, and the token along: one that
/// does not even say where it comes from is not believed.
pub fn refuse_foreign_form(asked: &Asked) -> Result<()> {
    refuse_foreign(asked)?;
    let says = |name: &str| asked.headers.contains_key(name);
    let is_told = asked.peer == Peer::Control || says("sec-fetch-site") || says(ORIGIN.as_str());
    match is_told {
        true => Ok(()),
        false => {
            Err(Error::forbidden("this does not say from which page it comes (expected Sec-Fetch-Site or Origin)")
                .remedy("programs use the interface: /api/v1/mirrors"))
        }
    }
}

impl Credentials<'_> {
    fn of(headers: &HeaderMap) -> Credentials<'_> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Credentials::None };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
            return Credentials::Other;
        };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Credentials::Bearer(rest);
        }
        if !scheme.eq_ignore_ascii_case("basic") || rest.len() > LONGEST {
            return Credentials::Other;
        }
        STANDARD.decode(rest).map_or(Credentials::Other, Credentials::Basic)
    }

    /// Of Basic it is the password; the user's name does not matter.
    fn token(&self) -> Option<&str> {
        match self {
            Credentials::Bearer(token) => Some(token),
            Credentials::Basic(pair) => Some(std::str::from_utf8(pair).ok()?.split_once(':')?.1),
            Credentials::None | Credentials::Other => None,
        }
    }
}

/// The host that was asked, and perhaps its port.
pub fn host(headers: &HeaderMap) -> &str {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    named.filter(|host| is_host(host)).unwrap_or("HOST")
}

/// A host and perhaps a port, as it may stand in a netrc file.
fn is_host(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !text.is_empty() && text.len() <= 100 && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HTTP/1.0 needs no `Host`, and an `Origin` that names none is not the same as that.
    #[test]
    fn an_origin_without_a_host_is_foreign_where_no_host_was_asked_either() {
        for (origin, host, is_own) in [
            ("null", None, false),
            ("http://modvet.test", None, false),
            ("null", Some("null"), false),
            ("http://modvet.test", Some("modvet.test"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, origin.parse().expect("a header"));
            host.map(|host: &str| headers.insert(HOST, host.parse().expect("a header")));
            let asked = Asked { method: Method::POST, headers, peer: Peer::Network, address: None };
            assert_eq!(refuse_foreign_form(&asked).is_ok(), is_own, "{origin} {host:?}");
        }
    }
}
