//! The commands' way to the server: its HTTP API, with the token from the command line or the environment, or as somebody who has
//! logged in.

use super::CliError;
use super::config::{self, Key};
use crate::http::TENANT_HEADER;
use clap::Args;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_model::Secret;
use url::Url;

/// Which server, and who asks.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Where the server listens; without it where you are logged in (`tidegate login`), or else http://127.0.0.1:8460.
    #[arg(long, env = "TIDEGATE_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// The API token; `serve` prints one at its first start.
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true, value_name = "TOKEN", conflicts_with = "token_file")]
    pub token: Option<String>,
    /// A file with the authority (PEM) that signed the server's certificate, if it is one of your own.
    #[arg(long, env = "TIDEGATE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file that holds the API token.
    #[arg(long, env = "TIDEGATE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The tenant that is meant, for those who may act in several.
    #[arg(long, env = "TIDEGATE_TENANT", value_name = "TENANT")]
    pub tenant: Option<String>,
}

/// A server to ask, and the form of the answer: the same for every command that talks to one.
#[derive(Debug, Clone, Args)]
pub struct AskArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the server is.
    #[command(flatten)]
    pub server: ServerArgs,
}

impl ServerArgs {
    /// A server and a token, and nothing else.
    pub(crate) fn at(server: Url, token: Option<String>) -> Self {
        Self { server: Some(server), token, ca: None, token_file: None, tenant: None }
    }
}

/// A client of the HTTP API.
pub(crate) struct ApiClient {
    http: Client,
    server: Url,
    key: Option<Key>,
    tenant: Option<String>,
}

/// What came back from a request that may be tried again.
pub(crate) enum Attempt {
    Answer(Json),
    /// Worth another try, not before the given time if there is one.
    Again {
        reason: String,
        after: Option<Duration>,
    },
}

impl ApiClient {
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, CliError> {
        let given = match (&args.token, &args.token_file) {
            (Some(token), _) => Some(Key::Token(Secret::new(token.trim().to_owned()))),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|e| CliError::file(file, e))?;
                Some(Key::Token(Secret::new(text.trim().to_owned())))
            }
            (None, None) => None,
        };
        // With everything given there is no need to look, and a damaged file is in nobody's way.
        let login = match (&args.server, &given, config::path()) {
            (Some(_), Some(_), _) | (_, _, None) => None,
            (_, _, Some(path)) => config::read(&path)?,
        };
        let server = match (&args.server, &login) {
            (Some(server), _) => server.clone(),
            (None, Some(login)) => login.server.clone(),
            (None, None) => Url::parse(config::DEFAULT_SERVER).map_err(|e| CliError::failed("--server", e))?,
        };
        let login = login.filter(|login| login.is_for(&server));
        let ca = args.ca.as_ref().or(login.as_ref().and_then(|login| login.ca.as_ref())).cloned();
        let key = given.or(login.map(|login| login.key));
        let mut builder = Client::builder();
        if let Some(file) = &ca {
            builder = builder.tls_certs_merge(authorities(file)?);
        }
        let http = builder
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(Duration::from_secs(120))
            // A token must go to the server that was named and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| CliError::failed("cannot make an HTTP client", e))?;
        Ok(Self { http, server, key, tenant: args.tenant.clone() })
    }

    /// What opens the server.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Signs in with a password: from now on requests are made with the session. Gives what the server says of it.
    pub(crate) async fn sign_in(&mut self, user: &str, password: &Secret) -> Result<Json, CliError> {
        self.key = None;
        let request = self.request(Method::POST, &["session"], &[])?.header("content-type", "application/json");
        let body = serde_json::json!({"user": user, "password": password.expose()});
        let response = request.body(body.to_string()).send().await.map_err(|e| self.unreachable(&e))?;
        let cookies = response.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
        let cookie = cookies.filter_map(|cookie| cookie.split(';').next()).find(|c| c.starts_with("tidegate_session="));
        let cookie = cookie.map(|cookie| Secret::new(cookie.to_owned()));
        let told = match self.answer(response).await {
            // Of a token nobody spoke here.
            Err(CliError::Token { detail, .. }) => return Err(CliError::Failed(detail)),
            told => told?,
        };
        let (Some(cookie), Some(csrf)) = (cookie, told["csrf"].as_str()) else {
            return Err(CliError::Failed(format!(
                "{} does not answer as Tidegate does; is --server right?",
                self.server
            )));
        };
        self.key = Some(Key::Session { cookie, csrf: Secret::new(csrf.to_owned()) });
        Ok(told)
    }

    /// The server that is asked.
    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// `/api/v1/` with `segments`, each percent-encoded, so that a name may hold a slash.
    fn url(&self, segments: &[&str]) -> Result<Url, CliError> {
        let mut url = self.server.clone();
        let not_a_base = || CliError::Failed(format!("--server must be an http or https URL, {} is not", self.server));
        url.path_segments_mut().map_err(|()| not_a_base())?.pop_if_empty().extend(["api", "v1"]).extend(segments);
        Ok(url)
    }

    fn request(&self, method: Method, segments: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder, CliError> {
        let mut url = self.url(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        if let Some(tenant) = &self.tenant {
            request = request.header(TENANT_HEADER, tenant);
        }
        Ok(match &self.key {
            Some(Key::Token(token)) => request.bearer_auth(token.expose()),
            Some(Key::Session { cookie, csrf }) => {
                request.header("cookie", cookie.expose()).header("x-csrf-token", csrf.expose())
            }
            None => request,
        })
    }

    pub(crate) async fn get(&self, segments: &[&str]) -> Result<Json, CliError> {
        self.get_with(segments, &[]).await
    }

    pub(crate) async fn get_with(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Json, CliError> {
        let response = self.request(Method::GET, segments, query)?.send().await;
        self.answer(response.map_err(|e| self.unreachable(&e))?).await
    }

    /// All of a list, page by page: the document of one that had everything in `member`.
    pub(crate) async fn list(&self, segments: &[&str], member: &str) -> Result<Json, CliError> {
        self.list_with(segments, member, &[]).await
    }

    /// The same of what fits a query.
    pub(crate) async fn list_with(
        &self,
        segments: &[&str],
        member: &str,
        query: &[(&str, &str)],
    ) -> Result<Json, CliError> {
        let mut whole = self.get_with(segments, query).await?;
        while let Some(next) = whole["next"].as_str().map(ToOwned::to_owned) {
            let query: Vec<(&str, &str)> = query.iter().copied().chain([("cursor", next.as_str())]).collect();
            let mut page = self.get_with(segments, &query).await?;
            whole["next"] = page["next"].take();
            let more = page[member].take();
            if let (Some(items), Json::Array(more)) = (whole[member].as_array_mut(), more) {
                items.extend(more);
            }
        }
        if let Some(members) = whole.as_object_mut() {
            members.remove("next");
        }
        Ok(whole)
    }

    pub(crate) async fn put(&self, segments: &[&str], body: &Json) -> Result<Json, CliError> {
        let send = async |header: &[(&'static str, &'static str)]| {
            let mut request = self.request(Method::PUT, segments, &[])?.header("content-type", "application/json");
            for (name, value) in header {
                request = request.header(*name, *value);
            }
            request.body(body.to_string()).send().await.map_err(|e| self.unreachable(&e))
        };
        let mut response = send(&[]).await?;
        if response.status() == StatusCode::PRECONDITION_REQUIRED {
            // Whoever types a command means it, whatever was there.
            response = send(&[("if-match", "*")]).await?;
        }
        self.answer(response).await
    }

    pub(crate) async fn post(&self, segments: &[&str], query: &[(&str, &str)], body: &Json) -> Result<Json, CliError> {
        let request = self.request(Method::POST, segments, query)?.header("content-type", "application/json");
        let response = request.body(body.to_string()).send().await;
        self.answer(response.map_err(|e| self.unreachable(&e))?).await
    }

    /// Posts a file.
    pub(crate) async fn post_bytes(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Json, CliError> {
        let request = self.request(Method::POST, segments, query)?.header("content-type", "application/octet-stream");
        let response = request.body(body).send().await;
        self.answer(response.map_err(|e| self.unreachable(&e))?).await
    }

    pub(crate) async fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Json, CliError> {
        let response = self.request(Method::DELETE, segments, query)?.send().await;
        self.answer(response.map_err(|e| self.unreachable(&e))?).await
    }

    /// Posts a document and reads lines until the answer comes; `watch` gets what the others say of the progress.
    pub(crate) async fn post_watched(
        &self,
        segments: &[&str],
        body: &Json,
        watch: &mut dyn FnMut(&Json),
    ) -> Result<Json, CliError> {
        let request = self.request(Method::POST, segments, &[])?.header("content-type", "application/json");
        let request = request.header("accept", "application/x-ndjson").body(body.to_string());
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        if !response.status().is_success() {
            return self.answer(response).await;
        }
        let mut text: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            // The answer is one line, which may be long: only what is new is searched.
            let searched = text.len();
            text.extend_from_slice(&chunk);
            let mut from = searched;
            while let Some(end) = text[from..].iter().position(|byte| *byte == b'\n').map(|place| from + place) {
                let mut line: Json = serde_json::from_slice(&text[..end]).unwrap_or_default();
                text.drain(..=end);
                from = 0;
                if let Some(progress) = line.get("progress") {
                    watch(progress);
                } else if line.get("answer").is_some() {
                    return Ok(line["answer"].take());
                } else if let Some(error) = line.get("error") {
                    let status = error["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
                    let detail = error["detail"].as_str().unwrap_or("the server gave no reason").to_owned();
                    return Err(CliError::Refused { status, detail });
                }
            }
        }
        Err(CliError::Failed(format!("{} ended before it had answered", self.server)))
    }

    /// Posts lines. Failures that a later try may mend are told apart from those that it will not.
    pub(crate) async fn post_lines(&self, segments: &[&str], lines: Vec<u8>) -> Result<Attempt, CliError> {
        let request = self.request(Method::POST, segments, &[])?.header("content-type", "application/x-ndjson");
        let response = match request.body(lines).send().await {
            Ok(response) => response,
            Err(error) => {
                return Ok(Attempt::Again { reason: self.unreachable(&error).to_string(), after: None });
            }
        };
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
            let reason = match self.answer(response).await {
                Err(error) => error.to_string(),
                Ok(_) => status.to_string(),
            };
            return Ok(Attempt::Again { reason, after: after.map(Duration::from_secs) });
        }
        // A bulk of which no line could be taken is a 400 with the same answer in it.
        let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        match serde_json::from_slice::<Json>(&bytes) {
            Ok(answer) if status.is_success() || answer.get("errors").is_some() => Ok(Attempt::Answer(answer)),
            answer => Err(self.refused(status, &answer.unwrap_or(Json::Null))),
        }
    }

    async fn answer(&self, response: Response) -> Result<Json, CliError> {
        let status = response.status();
        let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?;
        let body = if bytes.is_empty() { Ok(Json::Null) } else { serde_json::from_slice(&bytes) };
        match (status.is_success(), body) {
            (true, Ok(body)) => Ok(body),
            (false, body) => Err(self.refused(status, &body.unwrap_or(Json::Null))),
            (true, Err(error)) => {
                let server = &self.server;
                Err(CliError::Failed(format!(
                    "{server} does not answer as Tidegate does ({error}); is --server right?"
                )))
            }
        }
    }

    fn refused(&self, status: StatusCode, body: &Json) -> CliError {
        let detail = body["detail"].as_str().unwrap_or("the server gave no reason").to_owned();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return CliError::Token { server: self.server.to_string(), detail };
        }
        CliError::Refused { status: status.as_u16(), detail }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        // The outer error repeats the URL; what helps is at the end of the chain.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        CliError::Unreachable { server: self.server.to_string(), reason: cause.to_string() }
    }
}

/// The authorities in a file.
fn authorities(file: &Path) -> Result<Vec<Certificate>, CliError> {
    let pem = std::fs::read(file).map_err(|e| CliError::file(file, e))?;
    let unusable = || CliError::Failed(format!("{}: expected certificates in PEM", file.display()));
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> ApiClient {
        let _ = rustls::crypto::ring::default_provider().install_default();
        ApiClient::new(&ServerArgs::at(Url::parse(server).unwrap(), Some("tg_x".to_owned()))).unwrap()
    }

    #[test]
    fn a_name_with_a_slash_or_a_question_mark_stays_one_segment() {
        let url = client("http://h:1/under/").url(&["projects", "a/b?c", "stores"]).unwrap();
        assert_eq!(url.as_str(), "http://h:1/under/api/v1/projects/a%2Fb%3Fc/stores");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_what_to_do() {
        let error = client("http://127.0.0.1:1").get(&["status"]).await.unwrap_err().to_string();
        assert!(error.contains("cannot reach http://127.0.0.1:1/") && error.contains("tidegate serve"), "{error}");
    }
}
