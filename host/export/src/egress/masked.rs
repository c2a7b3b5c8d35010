//! A request as people may see it: the same URL and headers as on the wire, with the key of a setting in place of each credential.

use super::http::shown_address;
use tidegate_model::adapter::Target;
use tidegate_model::{Description, Settings};
use tidegate_sandbox::{Credential, HttpRequest, StreamBytes};

/// A request without its body.
pub(crate) struct Masked {
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// The request that would go out for `request`.
pub(crate) fn request(request: &HttpRequest, description: &Description, settings: &Settings) -> Masked {
    let url = match description.target(&request.endpoint, settings) {
        Some(Target::Http { url }) => shown_address(request, &url),
        _ => format!("(endpoint {:?} is not set)", request.endpoint),
    };
    let mut headers = request.headers.clone();
    for credential in &request.credentials {
        headers.push(match credential {
            Credential::Header { slot, header, template } => {
                (header.clone(), template.replace("{}", &format!("<{slot}>")))
            }
            Credential::Basic { user_key, password_key } => {
                let user = settings.text(user_key).map_or_else(|| format!("<{user_key}>"), str::to_owned);
                ("authorization".to_owned(), format!("Basic {user}:<{password_key}>"))
            }
        });
    }
    if request.gzip {
        headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    Masked { line: format!("{} {url}", request.method), headers }
}

/// Where the bytes of `stream` would go.
pub(crate) fn stream(stream: &StreamBytes, description: &Description, settings: &Settings) -> String {
    match description.target(&stream.endpoint, settings) {
        Some(Target::Tcp { host, port }) => format!("{host}:{port}"),
        _ => format!("(endpoint {:?} is not set)", stream.endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidegate_sandbox::Method;

    fn description(kind: &str) -> Description {
        let document = json!({
            "name": "sink", "version": "1",
            "settings": [
                {"key": "url", "label": "URL", "kind": kind},
                {"key": "user", "label": "User", "kind": "text"},
                {"key": "token", "label": "Token", "kind": "secret"},
            ],
            "endpoints": [{"key": "write", "kind": "http", "url": "{url}"}],
        });
        Description::parse(&document.to_string()).unwrap()
    }

    fn shown(kind: &str) -> Masked {
        let given = json!({"url": "http://h:1/canary-path/", "user": "u", "token": "canary-7"});
        let description = description(kind);
        let settings = Settings::check(&description, given.as_object().unwrap()).unwrap();
        let header = Credential::Header { slot: "token".into(), header: "x-key".into(), template: "Token {}".into() };
        let basic = Credential::Basic { user_key: "user".into(), password_key: "token".into() };
        let wanted = HttpRequest {
            endpoint: "write".into(),
            method: Method::Post,
            path: "/write".into(),
            query: vec![("db".into(), "m x".into())],
            headers: vec![("content-type".into(), "text/plain".into())],
            credentials: vec![header, basic],
            gzip: true,
            body: vec![],
        };
        request(&wanted, &description, &settings)
    }

    #[test]
    fn the_line_is_that_of_the_wire_and_credentials_are_shown_by_their_keys() {
        let Masked { line, headers } = shown("url");
        assert_eq!(line, "POST http://h:1/canary-path/write?db=m+x");
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        let wanted = [
            pair("content-type", "text/plain"),
            pair("x-key", "Token <token>"),
            pair("authorization", "Basic u:<token>"),
            pair("content-encoding", "gzip"),
        ];
        assert_eq!(headers, wanted);
    }

    #[test]
    fn of_a_url_that_is_a_credential_only_that_there_is_one_is_shown() {
        let Masked { line, headers } = shown("secret-url");
        assert_eq!(line, "POST <secret>/write");
        assert!(!format!("{headers:?}").contains("canary"));
    }
}
