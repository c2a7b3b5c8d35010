//! What an adapter wants done, complete and checked, with places left open for credentials.
//!
//! An action names its endpoint and its credentials by key. Filling them in is the sender's last step, after the adapter has
//! seen everything it will ever see of them; so nothing in here is secret and all of it may be shown or stored.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fmt;

/// One thing for the host to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an HTTP request and come back with the answer.
    Send(HttpRequest),
    /// Connect, write all, close the sending half, read to the end.
    SendStream(StreamBytes),
}

/// The methods that an adapter may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// The method of that word, in capitals.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put].into_iter().find(|m| m.as_str() == word)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request to one of the store's HTTP endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Key of an HTTP endpoint in the adapter's description.
    pub endpoint: String,
    /// Method.
    pub method: Method,
    /// To append to the endpoint's path: empty, or starts with `/`; percent-encoded; without `..`, query or fragment.
    pub path: String,
    /// To append to the endpoint's query string, not yet percent-encoded.
    pub query: Vec<(String, String)>,
    /// Names are tokens in lower case, values printable ASCII. Never a header that frames the message or carries a credential.
    pub headers: Vec<(String, String)>,
    /// What to fill in after the adapter's last look.
    pub credentials: Vec<Credential>,
    /// Compress the body and say so in `Content-Encoding`.
    pub gzip: bool,
    /// The body in pieces, to be sent as one.
    pub body: Vec<Bytes>,
}

impl HttpRequest {
    /// Bytes of the body before compression.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

/// A place for a credential in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A header whose value is `template` with the secret in place of `{}`.
    Header {
        /// Key of a secret setting that has a value.
        slot: String,
        /// Header name in lower case.
        header: String,
        /// Printable ASCII with one `{}`.
        template: String,
    },
    /// Basic authentication.
    Basic {
        /// Key of the setting that holds the user name; it has a value.
        user_key: String,
        /// Key of the setting that holds the password; it has a value.
        password_key: String,
    },
}

/// Bytes for one of the store's TCP endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamBytes {
    /// Key of a TCP endpoint in the adapter's description.
    pub endpoint: String,
    /// The bytes in pieces, to be sent as one.
    pub body: Vec<Bytes>,
}

impl StreamBytes {
    /// Bytes to send.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}

impl Action {
    /// Key of the endpoint that it goes to.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::Send(request) => &request.endpoint,
            Self::SendStream(stream) => &stream.endpoint,
        }
    }

    /// Bytes of the body before compression.
    #[must_use]
    pub fn body_len(&self) -> usize {
        match self {
            Self::Send(request) => request.body_len(),
            Self::SendStream(stream) => stream.body_len(),
        }
    }

    /// SHA-256 over everything that goes on the wire, except the credentials themselves: their places count, their values do
    /// not, so a rotated token leaves the digest of a resend as it was. How the body is cut into pieces makes no difference.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut sum = Sum(Sha256::new());
        match self {
            Self::Send(request) => {
                sum.text("http");
                sum.text(&request.endpoint);
                sum.text(request.method.as_str());
                sum.text(&request.path);
                sum.pairs(&request.query);
                sum.pairs(&request.headers);
                sum.number(request.credentials.len());
                for credential in &request.credentials {
                    sum.credential(credential);
                }
                sum.number(usize::from(request.gzip));
                sum.body(&request.body);
            }
            Self::SendStream(stream) => {
                sum.text("tcp");
                sum.text(&stream.endpoint);
                sum.body(&stream.body);
            }
        }
        sum.0.finalize().into()
    }
}

/// Each part goes in behind its length, so that no two different actions give the same bytes.
struct Sum(Sha256);

impl Sum {
    fn number(&mut self, n: usize) {
        self.0.update((n as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn pairs(&mut self, pairs: &[(String, String)]) {
        self.number(pairs.len());
        for (name, value) in pairs {
            self.text(name);
            self.text(value);
        }
    }

    fn credential(&mut self, credential: &Credential) {
        let parts: &[&String] = match credential {
            Credential::Header { slot, header, template } => &[slot, header, template],
            Credential::Basic { user_key, password_key } => &[user_key, password_key],
        };
        self.number(parts.len());
        for part in parts {
            self.text(part);
        }
    }

    fn body(&mut self, body: &[Bytes]) {
        self.number(body.iter().map(Bytes::len).sum());
        for piece in body {
            self.0.update(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> HttpRequest {
        HttpRequest {
            endpoint: "write".to_owned(),
            method: Method::Post,
            path: "/api".to_owned(),
            query: vec![("db".to_owned(), "m".to_owned())],
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            credentials: vec![Credential::Basic { user_key: "user".to_owned(), password_key: "password".to_owned() }],
            gzip: true,
            body: vec![Bytes::from_static(b"abc"), Bytes::from_static(b"def")],
        }
    }

    #[test]
    fn the_cut_of_a_body_leaves_the_digest_alone_and_every_other_change_alters_it() {
        let digest = |r: HttpRequest| Action::Send(r).digest();
        let base = digest(request());
        assert_eq!(digest(HttpRequest { body: vec![Bytes::from_static(b"abcdef")], ..request() }), base);
        let others = [
            HttpRequest { endpoint: "w".to_owned(), ..request() },
            HttpRequest { method: Method::Put, ..request() },
            HttpRequest { path: String::new(), ..request() },
            HttpRequest { query: vec![], ..request() },
            HttpRequest { query: vec![("d".to_owned(), "bm".to_owned())], ..request() },
            HttpRequest { headers: vec![], ..request() },
            HttpRequest { credentials: vec![], ..request() },
            HttpRequest { gzip: false, ..request() },
            HttpRequest { body: vec![], ..request() },
        ];
        for other in others {
            assert_ne!(digest(other.clone()), base, "{other:?}");
        }
        let stream = StreamBytes { endpoint: "write".to_owned(), body: request().body };
        assert_ne!(Action::SendStream(stream).digest(), base);
    }
}
