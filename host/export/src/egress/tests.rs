//! Against servers of our own on loopback, each permission with its denied twin.

use super::roots::tests::Authority;
use super::*;
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use tidegate_model::Secret;
use tidegate_model::settings::SettingValue;
use tidegate_sandbox::{Credential, HttpRequest, Method, StreamBytes};

const SECRET: &str = "canary-0451";

/// A server that reads one request, tells it, and answers as told. It ends with the test.
pub(super) fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let request = read_request(&mut socket);
            if tell.send(request).is_err() {
                return;
            }
            answer(&mut socket);
        }
    });
    (address, told)
}

fn read_request(socket: &mut TcpStream) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut piece = [0; 65_536];
    loop {
        let read = socket.read(&mut piece).unwrap_or(0);
        seen.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        let body = text.find("\r\n\r\n").map(|at| at + 4);
        let length = text.split("content-length: ").nth(1).and_then(|t| t.split("\r\n").next()?.parse::<usize>().ok());
        let complete = body.is_some_and(|at| seen.len() >= at + length.unwrap_or(0));
        if read == 0 || complete {
            return seen;
        }
    }
}

pub(super) fn says(answer: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |socket| socket.write_all(answer.as_bytes()).unwrap_or_default()
}

pub(super) fn description() -> Description {
    let document = serde_json::json!({
        "name": "sink", "version": "1",
        "settings": [
            {"key": "url", "label": "URL", "kind": "url"},
            {"key": "host", "label": "Host", "kind": "host"},
            {"key": "port", "label": "Port", "kind": "port"},
            {"key": "user", "label": "User", "kind": "text"},
            {"key": "token", "label": "Token", "kind": "secret"},
        ],
        "endpoints": [
            {"key": "write", "kind": "http", "url": "{url}"},
            {"key": "line", "kind": "tcp", "host": "host", "port": "port"},
        ],
    });
    Description::parse(&document.to_string()).unwrap()
}

pub(super) fn settings(address: SocketAddr) -> Settings {
    at(&format!("http://{address}/base"), address.port())
}

pub(super) fn at(url: &str, port: u16) -> Settings {
    let text = |t: &str| SettingValue::Text(t.to_owned());
    Settings::trusted([
        ("url".to_owned(), text(url)),
        ("host".to_owned(), text("localhost")),
        ("port".to_owned(), SettingValue::Integer(i64::from(port))),
        ("user".to_owned(), text("writer")),
        ("token".to_owned(), SettingValue::Secret(Secret::new(SECRET.to_owned()))),
    ])
}

pub(super) fn request() -> HttpRequest {
    HttpRequest {
        endpoint: "write".to_owned(),
        method: Method::Post,
        path: "/write".to_owned(),
        query: vec![("db".to_owned(), "a b&c".to_owned())],
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        credentials: vec![],
        gzip: false,
        body: vec![Bytes::from_static(b"one\n"), Bytes::from_static(b"two\n")],
    }
}

pub(super) fn loopback() -> EgressPolicy {
    EgressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()])
}

pub(super) fn hasty() -> EgressOptions {
    EgressOptions { connect: Duration::from_secs(2), total: Duration::from_millis(700), answer_bytes: 1024 }
}

pub(super) fn perform(
    policy: EgressPolicy,
    options: EgressOptions,
    action: Action,
    settings: &Settings,
) -> Result<Exchange, Unsendable> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let egress = Egress::new(policy, options).unwrap();
    runtime.block_on(egress.perform(&action, &description(), settings))
}

pub(super) fn send(request: HttpRequest, settings: &Settings) -> Exchange {
    perform(loopback(), EgressOptions::default(), Action::Send(request), settings).unwrap()
}

#[test]
fn a_request_goes_to_the_endpoint_with_its_path_query_headers_and_body() {
    let (address, told) = server(says("HTTP/1.1 204 No Content\r\nX-Note: done\r\n\r\n"));
    let exchange = send(request(), &settings(address));
    assert_eq!(exchange.outcome.status, Some(204));
    assert_eq!(exchange.bytes, 8);
    assert!(exchange.outcome.headers.contains(&("x-note".to_owned(), "done".to_owned())));
    let seen = String::from_utf8(told.recv().unwrap()).unwrap();
    assert!(seen.starts_with("POST /base/write?db=a+b%26c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("content-length: 8\r\n") && seen.ends_with("\r\n\r\none\ntwo\n"), "{seen}");
    assert!(seen.contains("content-type: text/plain\r\n") && seen.contains("user-agent: tidegate/"), "{seen}");
}

#[test]
fn credentials_are_filled_in_at_the_end_and_an_echo_of_them_is_blotted_out() {
    let (address, told) = server(|socket| {
        let body = format!("you sent {SECRET}");
        let answer = format!("HTTP/1.1 401 No\r\nX-Echo: {SECRET}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).unwrap_or_default();
    });
    let template = Credential::Header {
        slot: "token".to_owned(),
        header: "Authorization".to_owned(),
        template: "Token {}".to_owned(),
    };
    let exchange = send(HttpRequest { credentials: vec![template], ..request() }, &settings(address));
    let seen = String::from_utf8(told.recv().unwrap()).unwrap();
    assert!(seen.contains(&format!("authorization: Token {SECRET}\r\n")), "{seen}");
    assert_eq!(exchange.outcome.body, "you sent [redacted]");
    assert!(!format!("{exchange:?}").contains(SECRET));
    let basic = Credential::Basic { user_key: "user".to_owned(), password_key: "token".to_owned() };
    send(HttpRequest { credentials: vec![basic], ..request() }, &settings(address));
    let seen = String::from_utf8(told.recv().unwrap()).unwrap();
    assert!(seen.contains("authorization: Basic d3JpdGVyOmNhbmFyeS0wNDUx\r\n"), "{seen}");
}

#[test]
fn a_credential_that_is_not_set_stops_the_request() {
    let (address, _told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    let slot = Credential::Basic { user_key: "user".to_owned(), password_key: "other".to_owned() };
    let action = Action::Send(HttpRequest { credentials: vec![slot], ..request() });
    let error = perform(loopback(), EgressOptions::default(), action, &settings(address)).unwrap_err();
    assert_eq!(error.to_string(), "the credential \"other\" is not set");
}

#[test]
fn a_compressed_body_says_so_and_unpacks_to_what_was_written_however_large_it_is() {
    let large: Vec<Bytes> = (0..30_000).map(|n| Bytes::from(format!("line {n}\n"))).collect();
    for body in [request().body, large] {
        let whole = String::from_utf8(body.concat()).unwrap();
        let (address, told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
        send(HttpRequest { gzip: true, body: body.clone(), ..request() }, &settings(address));
        let seen = told.recv().unwrap();
        let at = seen.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        assert!(String::from_utf8_lossy(&seen[..at]).contains("content-encoding: gzip\r\n"));
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&seen[at..]).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, whole);
        let exchange = send(HttpRequest { body, ..request() }, &settings(address));
        assert_eq!(exchange.bytes, whole.len() as u64);
        assert!(told.recv().unwrap().ends_with(whole.as_bytes()));
    }
}

#[test]
fn loopback_is_denied_by_address_and_by_name_unless_the_operator_allows_it() {
    let (address, told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    let named = at(&format!("http://localhost:{}/base", address.port()), address.port());
    let stream = || Action::SendStream(StreamBytes { endpoint: "line".to_owned(), body: vec![] });
    for (action, settings) in
        [(Action::Send(request()), &settings(address)), (Action::Send(request()), &named), (stream(), &named)]
    {
        let error = perform(EgressPolicy::default(), hasty(), action, settings).unwrap_err();
        assert!(matches!(&error, Unsendable::Denied { .. }), "{error}");
        assert!(error.to_string().contains("is a loopback address, which stores may not reach"), "{error}");
    }
    assert!(told.try_recv().is_err(), "nothing may reach the server");
    assert_eq!(send(request(), &settings(address)).outcome.status, Some(204));
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let (target, told) = server(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let (address, _first) = server(move |socket| {
        let answer = format!("HTTP/1.1 307 Moved\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n");
        socket.write_all(answer.as_bytes()).unwrap_or_default();
    });
    assert_eq!(send(request(), &settings(address)).outcome.status, Some(307));
    assert!(told.try_recv().is_err());
}

#[test]
fn an_endless_answer_is_cut_at_the_limit() {
    let (address, _told) = server(|socket| {
        let mut going = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while going.is_ok() {
            going = socket.write_all(&[b'x'; 4096]);
        }
    });
    let options = EgressOptions { answer_bytes: 1024, ..EgressOptions::default() };
    let exchange = perform(loopback(), options, Action::Send(request()), &settings(address)).unwrap();
    assert_eq!((exchange.outcome.status, exchange.outcome.body.len()), (Some(200), 1024));
}

#[test]
fn a_server_that_never_answers_or_drips_is_left_at_the_deadline() {
    let (silent, _a) = server(|_| thread::sleep(Duration::from_secs(20)));
    let (dripping, _b) = server(|socket| {
        let mut going = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while going.is_ok() {
            thread::sleep(Duration::from_millis(50));
            going = socket.write_all(b"x");
        }
    });
    let began = Instant::now();
    let exchange = perform(loopback(), hasty(), Action::Send(request()), &settings(silent)).unwrap();
    assert_eq!(exchange.outcome.failure.as_deref(), Some("timed out while waiting for the answer"));
    let exchange = perform(loopback(), hasty(), Action::Send(request()), &settings(dripping)).unwrap();
    assert_eq!(exchange.outcome.status, Some(200), "the status counts, the body was cut");
    assert!(began.elapsed() < Duration::from_secs(15), "the deadline is what ended it");
}

#[test]
fn a_refused_connection_and_a_reset_are_told_without_the_url() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(request(), &settings(gone)).outcome.failure.unwrap();
    assert!(failure.starts_with("cannot connect: ") && !failure.contains("/base"), "{failure}");
    let (address, _told) = server(|_| {});
    let failure = send(request(), &settings(address)).outcome.failure.unwrap();
    assert!(failure.starts_with("the exchange broke off: "), "{failure}");
}

fn send_lines(address: SocketAddr) -> Exchange {
    let body = vec![Bytes::from_static(b"a 1 2\n"), Bytes::from_static(b"b 3 4\n")];
    let action = Action::SendStream(StreamBytes { endpoint: "line".to_owned(), body });
    let numeric = Settings::trusted([
        ("host".to_owned(), SettingValue::Text("127.0.0.1".to_owned())),
        ("port".to_owned(), SettingValue::Integer(i64::from(address.port()))),
    ]);
    perform(loopback(), EgressOptions::default(), action, &numeric).unwrap()
}

#[test]
fn a_stream_that_the_other_side_closes_before_it_has_read_everything_has_failed() {
    for bytes in [0, 3] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let reader = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.read_exact(&mut vec![0; bytes]).unwrap();
        });
        let failure = send_lines(address).outcome.failure.unwrap_or_default();
        assert!(failure.starts_with("the connection broke: "), "after {bytes} bytes: {failure:?}");
        reader.join().unwrap();
    }
}

#[test]
fn a_stream_is_written_whole_and_its_answer_read_to_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reader = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut seen = String::new();
        socket.read_to_string(&mut seen).unwrap();
        socket.write_all(b"bye").unwrap();
        seen
    });
    let exchange = send_lines(address);
    assert_eq!((exchange.outcome.failure, exchange.outcome.body), (None, Bytes::from_static(b"bye")));
    assert_eq!(reader.join().unwrap(), "a 1 2\nb 3 4\n");
}

/// A TLS server whose certificate is for `name`; answers 204 to whoever gets through the handshake.
fn tls_server(authority: &Authority, name: &str) -> SocketAddr {
    let (certificate, key) = authority.sign(name);
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut piece = [0; 4096];
            if stream.read(&mut piece).is_ok_and(|read| read > 0) {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            }
        }
    });
    address
}

fn described_with_authorities() -> Description {
    let mut description = description();
    let setting = serde_json::json!({"key": "ca", "label": "Extra CA", "kind": "certificates"});
    description.settings.push(serde_json::from_value(setting).unwrap());
    description
}

/// The outcome of a request to `https://host:port` under a store that trusts `pem` beside the system.
async fn over_tls(egress: &Egress, host: &str, port: u16, pem: Option<&str>) -> Outcome {
    let mut values: Vec<_> = at(&format!("https://{host}:{port}/"), port)
        .iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    values.extend(pem.map(|pem| ("ca".to_owned(), SettingValue::Text(pem.to_owned()))));
    let action = Action::Send(request());
    egress.perform(&action, &described_with_authorities(), &Settings::trusted(values)).await.unwrap().outcome
}

fn patient() -> Egress {
    Egress::new(loopback(), EgressOptions::default()).unwrap()
}

#[tokio::test]
async fn a_server_of_a_private_authority_is_reached_by_the_store_that_trusts_it_and_by_no_other() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let port = tls_server(&authority, "localhost").port();
    let egress = patient();
    let trusted = over_tls(&egress, "localhost", port, Some(&authority.pem())).await;
    assert_eq!((trusted.status, trusted.failure), (Some(204), None));
    // The same host, at the same moment, for a store without the certificate, and for one with another.
    for pem in [None, Some(stranger.pem())] {
        let refused = over_tls(&egress, "localhost", port, pem.as_deref()).await;
        let told = refused.failure.expect("no answer");
        assert!(told.contains("put the authority's certificate (PEM) into the store's setting \"Extra CA\""), "{told}");
    }
    assert_eq!(egress.clients.len(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_although_its_authority_is_trusted() {
    let authority = Authority::new();
    let port = tls_server(&authority, "metrics.example").port();
    let refused = over_tls(&patient(), "localhost", port, Some(&authority.pem())).await;
    let told = refused.failure.expect("no answer");
    assert!(told.contains("not for the host in the URL but for"), "{told}");
    assert!(told.contains("metrics.example"), "{told}");
}
