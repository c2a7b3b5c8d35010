//! What may stand in a request that an adapter builds. Pure checks, no state.
//!
//! A request leaves the host with the operator's credentials, so nothing that an adapter writes may change where it goes or how
//! it is framed: no line breaks, no headers that belong to the connection, no path that climbs out of the endpoint's own.

use crate::fault::Fault;
use crate::text::quoted;

/// Most headers of a request, credentials included.
pub(crate) const MAX_HEADERS: usize = 64;
/// Most bytes of names and values of all headers of a request. Common servers refuse more than 8 to 16 KiB.
pub(crate) const MAX_HEADER_BYTES: usize = 16 << 10;
/// Most query parameters of a request.
pub(crate) const MAX_PARAMETERS: usize = 64;
/// Most bytes of path and query parameters. Common servers refuse request lines over 8 KiB.
pub(crate) const MAX_TARGET_BYTES: usize = 8 << 10;

/// Headers that describe the connection or frame the message; the host writes them. RFC 9110 sections 7.2, 7.6 and 8.6.
const HOST_WRITES: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers that carry credentials. An adapter places those by slot, so that previews and logs know what to blot out.
const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

/// A header that an adapter sets by hand. Gives the name in lower case.
pub(crate) fn header(name: &str, value: &str) -> Result<String, Fault> {
    let name = header_name(name)?;
    if CREDENTIALS.contains(&name.as_str()) {
        return Err(Fault::contract(format!("header {name} carries credentials; place one by its slot")));
    }
    header_value(&name, value)?;
    Ok(name)
}

/// A header that the host fills a credential into. Gives the name in lower case.
pub(crate) fn credential_header(name: &str, template: &str) -> Result<String, Fault> {
    let name = header_name(name)?;
    header_value(&name, template)?;
    if template.matches("{}").count() != 1 {
        let what = format!("the template {} of header {name} must hold {{}} once", quoted(template));
        return Err(Fault::contract(what));
    }
    Ok(name)
}

fn header_name(name: &str) -> Result<String, Fault> {
    // A token, as RFC 9110 section 5.6.2 has it.
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(Fault::contract(format!("{} is not a header name", quoted(name))));
    }
    let lower = name.to_ascii_lowercase();
    if HOST_WRITES.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(Fault::contract(format!("header {lower} is for the host alone to set")));
    }
    Ok(lower)
}

/// Printable ASCII and spaces: what every server reads the same way.
pub(crate) fn header_value(name: &str, value: &str) -> Result<(), Fault> {
    match value.chars().find(|c| !matches!(c, ' '..='~')) {
        None => Ok(()),
        Some(c) => {
            let what = format!("the value of header {name} must be printable ASCII; found U+{:04X}", u32::from(c));
            Err(Fault::contract(what))
        }
    }
}

/// A piece of a path, to go behind the endpoint's own path.
pub(crate) fn path(piece: &str) -> Result<(), Fault> {
    let refused = |why: &str| Err(Fault::contract(format!("the path {} {why}", quoted(piece))));
    if !piece.starts_with('/') {
        return refused("must start with /");
    }
    if let Some(c) = piece.chars().find(|&c| !path_char(c)) {
        let mut bytes = [0; 4];
        let written: String = c.encode_utf8(&mut bytes).bytes().map(|b| format!("%{b:02X}")).collect();
        return refused(&format!("must have {} percent-encoded, as {written}", quoted(&c.to_string())));
    }
    let mut rest = piece;
    while let Some(at) = rest.find('%') {
        let hex = rest.get(at + 1..at + 3).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        match hex {
            // A slash or a backslash in disguise: some servers decode before they split.
            Some(hex) if ["2f", "5c", "00"].contains(&hex.to_ascii_lowercase().as_str()) => {
                return refused("must not hold an encoded slash, backslash or zero");
            }
            Some(_) => rest = &rest[at + 3..],
            None => return refused("has a % without two hexadecimal digits behind it"),
        }
    }
    let segments: Vec<&str> = piece[1..].split('/').collect();
    let (last, inner) = segments.split_last().unwrap_or((&"", &[]));
    if inner.iter().any(|s| s.is_empty()) {
        return refused("must not have // in it");
    }
    let dots = |s: &str| matches!(s.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if inner.iter().any(|s| dots(s)) || dots(last) {
        return refused("must not have . or .. as a segment");
    }
    Ok(())
}

/// What may stand in a path as it is: `pchar` of RFC 3986 section 3.3, and `/`.
fn path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(result: Result<impl Sized, Fault>) -> String {
        match result {
            Ok(_) => "taken".to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn a_header_with_a_line_break_is_refused_with_its_code() {
        assert_eq!(header("X-Kind", "a b").unwrap(), "x-kind");
        let broken = told(header("x-kind", "a\r\nHost: evil"));
        assert!(broken.ends_with("the value of header x-kind must be printable ASCII; found U+000D"), "{broken}");
        assert!(told(header("x\r\nhost", "a")).ends_with("\"x\\r\\nhost\" is not a header name"));
        assert!(told(header("", "a")).ends_with("is not a header name"));
    }

    #[test]
    fn headers_of_the_connection_are_refused_in_any_case_of_letters() {
        for name in ["Host", "CONTENT-LENGTH", "transfer-encoding", "Connection", "Upgrade", "Proxy-Authorization"] {
            assert!(told(header(name, "x")).ends_with("is for the host alone to set"), "{name}");
            assert!(told(credential_header(name, "{}")).ends_with("is for the host alone to set"), "{name}");
        }
    }

    #[test]
    fn credentials_go_in_by_slot_and_not_by_hand() {
        assert!(told(header("Authorization", "Token x")).ends_with("place one by its slot"));
        assert_eq!(credential_header("Authorization", "Token {}").unwrap(), "authorization");
        assert!(told(credential_header("authorization", "Token")).contains("must hold {} once"));
        assert!(told(credential_header("authorization", "{}{}")).contains("must hold {} once"));
    }

    #[test]
    fn a_path_cannot_climb_out_of_the_endpoints_own() {
        for good in ["/", "/api/v2/write", "/a%20b", "/a.b/..c/c..", "/a:b@c/"] {
            assert_eq!(told(path(good)), "taken", "{good}");
        }
        let bad = [
            "",
            "x",
            "/..",
            "/a/../b",
            "/a/%2E%2e/b",
            "/./a",
            "/.%2e",
            "//evil.example/x",
            "/a//b",
            "/a?b=c",
            "/a#b",
            "/a\\b",
            "/a b",
            "/ü",
            "/a%2fb",
            "/a%5Cb",
            "/%00",
            "/%",
            "/%2",
            "/%zz",
            "/a\nb",
        ];
        for bad in bad {
            assert!(told(path(bad)).contains("broke the contract: the path"), "{bad:?}");
        }
        assert!(told(path("/ü")).contains("percent-encoded, as %C3%BC"));
    }

    proptest! {
        #[test]
        fn a_taken_path_stays_below_its_endpoint_for_a_url_parser(piece in "/[a-z./%2eE:@?#\\\\]{0,12}") {
            // The oracle is the parser that the sender uses.
            if path(&piece).is_ok() {
                let joined = url::Url::parse(&format!("http://sink.example/base{piece}")).unwrap();
                prop_assert_eq!(joined.host_str(), Some("sink.example"));
                prop_assert!(joined.path().starts_with("/base/"), "{}", joined);
                prop_assert_eq!((joined.query(), joined.fragment()), (None, None));
            }
        }

        #[test]
        fn a_taken_header_is_one_line(name in ".{0,6}", value in ".{0,12}") {
            if let Ok(name) = header(&name, &value) {
                let line = format!("{name}: {value}");
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
