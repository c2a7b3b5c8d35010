//! Where a Backtrace client sends reports, and what it says in the URL.
//!
//! Clients build these URLs in many ways: doubled slashes, the token first or last, options glued to the path without a `?`,
//! a path prefix that looks like the hosted service. Reading them is one pure function, so that each way has a test.

use url::form_urlencoded;

/// What the URL of a submission says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// The submission token; empty if there is none.
    pub(crate) token: String,
    /// What kind of body comes: `json` unless it says otherwise.
    pub(crate) format: String,
    /// The event that a late attachment belongs to.
    pub(crate) object: Option<String>,
    /// Name of a late attachment.
    pub(crate) attachment_name: Option<String>,
    /// Whether the client wants to know the object's id.
    pub(crate) sync: bool,
    /// Everything else becomes attributes.
    pub(crate) attributes: Vec<(String, String)>,
}

impl Target {
    /// Reads path and query of a POST; none if it is no submission.
    pub(crate) fn parse(path: &str, query: &str) -> Option<Self> {
        let path = path.split_once("submit.backtrace.io/").map_or(path, |(_, rest)| rest);
        // `/t/json&version=1.0`: options without a question mark.
        let (path, glued) = path.split_once('&').unwrap_or((path, ""));
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let mut target = match segments[..] {
            ["post"] | ["api", "post"] => Self::default(),
            ["api", ..] | ["pull", ..] => return None,
            [_tenant, token, format] => Self { token: token.to_owned(), format: format.to_owned(), ..Self::default() },
            _ => return None,
        };
        for part in [query, glued] {
            for (name, value) in form_urlencoded::parse(part.as_bytes()) {
                target.take(&name, value.into_owned());
            }
        }
        if target.format.is_empty() {
            "json".clone_into(&mut target.format);
        }
        Some(target)
    }

    fn take(&mut self, name: &str, value: String) {
        match name {
            // The token in the path wins; a client that has both means the same one.
            "token" if self.token.is_empty() => self.token = value,
            "format" if self.format.is_empty() => self.format = value,
            "token" | "format" | "universe" | "project" => {}
            "object" => self.object = Some(value),
            "attachment_name" => self.attachment_name = Some(value),
            "_mod_sync" => self.sync = true,
            "" => {}
            _ => self.attributes.push((name.to_owned(), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Option<Target> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        Target::parse(path, query)
    }

    fn json(token: &str) -> Target {
        Target { token: token.to_owned(), format: "json".to_owned(), ..Target::default() }
    }

    #[test]
    fn every_form_that_clients_use_names_token_and_format() {
        for url in [
            "/post?format=json&token=T",
            "/post?token=T&format=json",
            "/post?token=T",
            "//post?format=json&token=T",
            "/api/post?token=T&universe=U&project=P&format=json",
            "/universe/T/json",
            "//universe//T/json",
            "/submit.backtrace.io/universe/T/json",
        ] {
            assert_eq!(parse(url), Some(json("T")), "{url}");
        }
    }

    #[test]
    fn what_is_no_submission_is_left_to_others() {
        for url in ["/", "/posts", "/a/b", "/a/b/c/d", "/api/v1/projects", "/api/v1/x", "/pull/a/b", "/api/post/x"] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    #[test]
    fn other_parameters_become_attributes_also_when_they_are_glued_to_the_path() {
        let target = parse("/u/T/json&version=1.0&_mod_sync=1?a%20b=c+d").unwrap();
        assert_eq!(target.attributes, [("a b".to_owned(), "c d".to_owned()), ("version".to_owned(), "1.0".to_owned())]);
        assert!(target.sync);
        let late = parse("/u/T/json?object=1f&attachment_name=a.txt").unwrap();
        assert_eq!((late.object.as_deref(), late.attachment_name.as_deref()), (Some("1f"), Some("a.txt")));
    }

    #[test]
    fn another_format_is_kept_for_the_error_to_name_it() {
        assert_eq!(parse("/post?token=T&format=minidump").unwrap().format, "minidump");
        assert_eq!(parse("/u/T/btt").unwrap().format, "btt");
    }
}
