//! Who may read a pull page: whoever has the URL, and for some adapters the login that the host made up.

use crate::catalog::PullLogin;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longest `Authorization` header that is looked at.
const MAX_HEADER_BYTES: usize = 1024;

/// What a store's page asks for beside its URL.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Nothing.
    Open,
    /// This login. None: one is wanted, and there is none yet, so nobody gets in.
    Login(Option<PullLogin>),
}

impl Access {
    /// Whether a request with this `Authorization` header may read the page.
    pub(crate) fn allows(&self, authorization: Option<&str>) -> bool {
        match self {
            Self::Open => true,
            Self::Login(None) => false,
            Self::Login(Some(login)) => authorization.and_then(basic).is_some_and(|pair| {
                let mut parts = pair.splitn(2, |b| *b == b':');
                let (user, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                login.fits(user, password)
            }),
        }
    }
}

/// User name, colon and password of a Basic header (RFC 7617).
fn basic(header: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (scheme, coded) = header.trim().split_once(' ')?;
    if header.len() > MAX_HEADER_BYTES || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(coded.trim()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::Secret;

    fn header(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn the_right_login_opens_a_page_and_nothing_else_does() {
        let login = PullLogin { user: "u".to_owned(), password: Secret::new("p:q".to_owned()) };
        let access = Access::Login(Some(login));
        let good = header("u:p:q");
        assert!(access.allows(Some(&good)));
        assert!(access.allows(Some(&good.replace("Basic", "bAsIc"))));
        let long = header(&format!("u:p:q{}", " ".repeat(1000)));
        let bearer = good.replace("Basic", "Bearer");
        for wrong in
            [header("u:p"), header("u"), header(":p:q"), header(""), bearer, "Basic %%%".into(), "Basic".into(), long]
        {
            assert!(!access.allows(Some(&wrong)), "{wrong}");
        }
        assert!(!access.allows(None));
    }

    #[test]
    fn a_page_without_a_login_is_open_and_one_whose_login_is_missing_is_shut() {
        assert!(Access::Open.allows(None) && Access::Open.allows(Some("Basic x")));
        assert!(!Access::Login(None).allows(Some(&header(":"))) && !Access::Login(None).allows(None));
    }
}
