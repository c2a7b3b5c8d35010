//! `ETag` and `If-Match` (RFC 9110): a change is made only if what is changed is still what the client has seen.
//!
//! The tag stands for the definition of a thing and not for how it is doing, which is another with each window. It is compared in
//! the transaction that makes the change, so nobody comes in between.
//!
//! Programs may leave the headers out: a file that is applied again and again means that it is to be so, whatever there was. People in a
//! browser mean the thing as they saw it, so what they replace they have to name (428, RFC 6585), or the second of two would undo
//! the work of the first without anybody noticing.

use axum::extract::RawPathParams;
use axum::http::{HeaderMap, HeaderValue, header};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tidegate_export::catalog::{CatalogError, Subject};

/// The tag of a definition.
pub(crate) fn etag(portrait: &Json) -> HeaderValue {
    let digest = Sha256::digest(portrait.to_string());
    HeaderValue::try_from(format!("\"{}\"", hex::encode(&digest[..8]))).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What has to hold for a change to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    matches: Option<String>,
    /// `If-None-Match: *`: it must not be there yet.
    new: bool,
    /// Whether what is replaced has to be named.
    strict: bool,
}

impl Wanted {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let texts = |name| {
            let all: Vec<_> = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
            (!all.is_empty()).then(|| all.join(","))
        };
        let new = texts(header::IF_NONE_MATCH).is_some_and(|text| text.trim() == "*");
        Self { matches: texts(header::IF_MATCH), new, strict: false }
    }

    /// The same, with what is replaced having to be named.
    pub(crate) fn strictly(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Holds it against what the change came to.
    pub(crate) fn check_replaced(
        &self,
        subject: &Subject,
        from: Option<&Json>,
        to: Option<&Json>,
    ) -> Result<(), CatalogError> {
        let replaced = from.is_some() && to.is_some() && from != to;
        if self.strict && replaced && self.matches.is_none() && !self.new {
            return Err(CatalogError::Unconditional { object: subject.words() });
        }
        Ok(())
    }

    /// Holds it against what is there.
    pub(crate) fn check(&self, subject: &Subject, now: Option<&Json>) -> Result<(), CatalogError> {
        let stale = || Err(CatalogError::Stale { object: subject.words() });
        if self.new && now.is_some() {
            return stale();
        }
        let Some(wanted) = &self.matches else { return Ok(()) };
        let Some(now) = now.map(etag) else { return stale() };
        let fits = |tag: &str| tag == "*" || tag.as_bytes() == now.as_bytes();
        if wanted.split(',').any(|tag| fits(tag.trim())) { Ok(()) } else { stale() }
    }
}

/// A parameter of the path.
pub(crate) fn named<'p>(path: &'p RawPathParams, parameter: &str) -> Option<&'p str> {
    path.iter().find(|(name, _)| *name == parameter).map(|(_, value)| value)
}

/// The thing that a path speaks of, if it has a definition of its own.
pub(crate) fn subject(route: &str, path: &RawPathParams) -> Option<Subject> {
    let of = |parameter| Some(named(path, parameter)?.to_owned());
    Some(match route {
        "/tenants/{tenant}/quotas" => Subject::Tenant(of("tenant")?),
        "/users/{user}" => Subject::User(of("user")?),
        "/projects/{project}" | "/projects/{project}/retention" => Subject::Project(of("project")?),
        "/projects/{project}/metric-sets/{set}" => Subject::MetricSet(of("project")?, of("set")?),
        "/projects/{project}/metric-sets/{set}/metrics/{metric}" => {
            Subject::Metric(of("project")?, of("set")?, of("metric")?)
        }
        "/projects/{project}/stores/{store}" => Subject::Store(of("project")?, of("store")?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(name: header::HeaderName, value: &str, now: Option<&Json>) -> bool {
        let headers = HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())]);
        Wanted::of(&headers).check(&Subject::Project("web".to_owned()), now).is_ok()
    }

    #[test]
    fn a_change_is_made_if_one_of_the_tags_is_that_of_now() {
        let (now, other) = (json!({"a": 1}), json!({"a": 2}));
        let tag = |of: &Json| etag(of).to_str().unwrap().to_owned();
        assert!(check(header::IF_MATCH, &tag(&now), Some(&now)));
        assert!(check(header::IF_MATCH, &format!("{}, {}", tag(&other), tag(&now)), Some(&now)));
        assert!(!check(header::IF_MATCH, &tag(&other), Some(&now)));
        // A weak tag does not say that it is the same (RFC 9110, 13.1.1).
        assert!(!check(header::IF_MATCH, &format!("W/{}", tag(&now)), Some(&now)));
        assert!(check(header::IF_MATCH, "*", Some(&now)) && !check(header::IF_MATCH, "*", None));
        assert!(check(header::IF_NONE_MATCH, "*", None) && !check(header::IF_NONE_MATCH, "*", Some(&now)));
        assert!(Wanted::default().check(&Subject::Host, None).is_ok());
    }

    #[test]
    fn only_what_is_replaced_has_to_be_named_and_only_where_people_do_it() {
        let (one, other, subject) = (json!({"a": 1}), json!({"a": 2}), Subject::Host);
        let blind = |wanted: &Wanted, from: Option<&Json>, to: Option<&Json>| {
            wanted.check_replaced(&subject, from, to).is_err()
        };
        let strict = Wanted::default().strictly();
        assert!(blind(&strict, Some(&one), Some(&other)));
        assert!(!blind(&Wanted::default(), Some(&one), Some(&other)));
        for (from, to) in [(None, Some(&one)), (Some(&one), Some(&one)), (Some(&one), None)] {
            assert!(!blind(&strict, from, to));
        }
        let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static("*"))]);
        assert!(!blind(&Wanted::of(&headers).strictly(), Some(&one), Some(&other)));
    }
}
