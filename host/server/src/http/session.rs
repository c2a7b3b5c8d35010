//! Sessions of browsers: the cookie, and the token that proves that a change comes from our own pages.
//!
//! The token is made from the cookie, so it needs no place of its own: who cannot read the cookie (no script can, no other
//! site) cannot know it.

use super::state::App;
use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const COOKIE: &str = "tidegate_session";
/// The header that goes with changes.
const CSRF_HEADER: &str = "x-csrf-token";
/// Longest cookie value that is looked at.
const MAX_COOKIE_BYTES: usize = 128;

/// What the session cookie holds, if there is one.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).filter(|v| v.len() <= MAX_COOKIE_BYTES)
}

/// What belongs into the header X-CSRF-Token.
pub(crate) fn csrf(cookie: &str) -> String {
    hex::encode(Sha256::digest(format!("tidegate csrf {cookie}")))
}

/// Whether the header of a change fits the cookie.
pub(crate) fn csrf_fits(headers: &HeaderMap, cookie: &str) -> bool {
    let given = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
    csrf(cookie).as_bytes().ct_eq(given).into()
}

/// Whether a browser says that another site made it ask. Other clients do not say anything.
pub(crate) fn from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// The `Set-Cookie` that signs a browser in; out, if `token` is none.
pub(crate) fn set_cookie(app: &App, token: Option<&str>) -> HeaderValue {
    let secure = if app.over_tls() { "; Secure" } else { "" };
    let (value, age) = match token {
        Some(token) => (token, app.limits().session_age.as_secs()),
        None => ("", 0),
    };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    let mut header = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn the_session_is_found_among_other_cookies_and_one_that_is_too_long_is_none() {
        let found = |value: &str| cookie(&headers(header::COOKIE, value)).map(str::to_owned);
        assert_eq!(found("a=b; tidegate_session=t; c=d"), Some("t".to_owned()));
        assert_eq!(found("a=b; xtidegate_session=t"), None);
        assert_eq!(found(&format!("tidegate_session={}", "t".repeat(129))), None);
    }

    #[test]
    fn a_change_needs_the_token_that_belongs_to_the_cookie() {
        let name = header::HeaderName::from_static(CSRF_HEADER);
        assert!(csrf_fits(&headers(name.clone(), &csrf("one")), "one"));
        assert!(!csrf_fits(&headers(name.clone(), &csrf("two")), "one"));
        assert!(!csrf_fits(&headers(name, "one"), "one"));
        assert!(!csrf_fits(&HeaderMap::new(), "one"));
    }
}
