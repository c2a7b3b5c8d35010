//! The web console: files that travel inside the binary, so it works without a folder, a build step or the internet.
//!
//! The trap is the stale half: a browser that keeps one file of an older version beside new ones. So all files live below a stamp
//! that follows from all of their bytes and may be kept for ever; only the page that names the stamp is asked for again.

use super::console_files::FILES;
use super::gzip;
use super::problem::Problem;
use super::state::App;
use super::submission;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Scripts, styles and requests of this server alone, no frames, no plugins, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// The page that every address of the console answers with; its scripts look at the address.
const SHELL: &str = include_str!("../../console/index.html");
/// What stands for the folder of the files in [`SHELL`].
const FOLDER: &str = "{{files}}";
/// What stands for the list of modules in [`SHELL`], so that a browser asks for all of them at once.
const MODULES: &str = "<!-- modules -->";

/// A file as it is sent.
struct File {
    content_type: &'static str,
    plain: Bytes,
    packed: Option<Bytes>,
}

struct Console {
    /// Where the files are: `a/` and the first 16 bytes of the SHA-256 of all of them.
    folder: String,
    etag: HeaderValue,
    shell: File,
    files: HashMap<&'static str, File>,
}

static CONSOLE: LazyLock<Console> = LazyLock::new(Console::new);

impl Console {
    fn new() -> Self {
        let mut all = Sha256::new_with_prefix(SHELL);
        for (path, bytes) in FILES {
            all.update((path.len() as u64).to_be_bytes());
            all.update(path);
            all.update((bytes.len() as u64).to_be_bytes());
            all.update(bytes);
        }
        let stamp = hex::encode(&all.finalize()[..16]);
        let folder = format!("a/{stamp}");
        let modules = FILES.iter().filter(|(path, _)| path.starts_with("js/") && *path != "js/theme.js");
        let links: Vec<String> = modules
            .map(|(path, _)| format!("<link rel=\"modulepreload\" href=\"/console/{folder}/{path}\">"))
            .collect();
        let shell = SHELL.replace(FOLDER, &format!("/console/{folder}")).replace(MODULES, &links.join("\n"));
        let files = FILES.iter().map(|(path, bytes)| (*path, File::new(path, Bytes::from_static(bytes)))).collect();
        Self {
            // Hexadecimal digits between quotes are a header value.
            etag: HeaderValue::from_str(&format!("\"{stamp}\"")).unwrap_or(HeaderValue::from_static("\"\"")),
            shell: File::new("index.html", shell.into()),
            folder,
            files,
        }
    }
}

impl File {
    fn new(path: &str, plain: Bytes) -> Self {
        let content_type = match path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let packed = gzip::packed(std::slice::from_ref(&plain)).ok().filter(|packed| packed.len() < plain.len());
        Self { content_type, plain, packed }
    }

    fn response(&self, asked: &HeaderMap, etag: &HeaderValue, cache: &'static str) -> Response {
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let known = known.flat_map(|value| value.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
        });
        let packed = self.packed.as_ref().filter(|_| gzip::is_taken(asked));
        let mut response = match packed {
            _ if known => StatusCode::NOT_MODIFIED.into_response(),
            Some(packed) => Response::new(Body::from(packed.clone())),
            None => Response::new(Body::from(self.plain.clone())),
        };
        let headers = response.headers_mut();
        if packed.is_some() && !known {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let fixed: [(HeaderName, &'static str); 6] = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, cache),
            (header::VARY, "accept-encoding"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ETAG, etag.clone());
        response
    }
}

/// The routes of the console. Other methods than GET may be submissions of a client whose universe is called `console`.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/console", get(|| async { Redirect::permanent("/console/") }).fallback(submission::take))
        .route("/console/", get(page).fallback(submission::take))
        .route("/console/{*path}", get(page).fallback(submission::take))
}

/// The page, whatever the address below `/console/`, or one of its files.
async fn page(request: Request) -> Response {
    let console = &*CONSOLE;
    let path = request.uri().path();
    let path = path.strip_prefix("/console/").unwrap_or_default();
    if !path.starts_with("a/") {
        return console.shell.response(request.headers(), &console.etag, "no-cache");
    }
    let file = path.strip_prefix(&console.folder).and_then(|rest| rest.strip_prefix('/'));
    match file.and_then(|file| console.files.get(file)) {
        Some(file) => file.response(request.headers(), &console.etag, "public, max-age=31536000, immutable"),
        None => Problem::not_found("the console has no such file; it may be of another version: load the page again")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded_and_has_a_type_of_its_own() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
        let mut there = BTreeSet::new();
        walk(&root, &root, &mut there);
        there.remove("index.html");
        let embedded: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(embedded, there);
        for file in CONSOLE.files.values() {
            assert_ne!(file.content_type, "application/octet-stream");
        }
    }

    #[test]
    fn the_page_has_nothing_inline_and_names_its_files_by_the_stamp() {
        let page = std::str::from_utf8(&CONSOLE.shell.plain).unwrap();
        assert!(page.contains(&CONSOLE.folder) && !page.contains(FOLDER) && !page.contains(MODULES), "{page}");
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" on"), "{page}");
        assert!(
            page.split("<script").skip(1).all(|rest| rest.contains("src=") && rest.contains("></script>")),
            "{page}"
        );
    }

    #[test]
    fn no_script_makes_markup_of_text() {
        for (path, bytes) in FILES.iter().filter(|(path, _)| path.ends_with(".js")) {
            let text = std::str::from_utf8(bytes).unwrap();
            for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(way), "{path} has {way}");
            }
        }
    }
}
