//! What an attacker at the other end, or between a name and its address, may try: each with servers and a resolver of our own.

use super::tests::{at, description, hasty, loopback, perform, request, says, send, server, settings};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use tidegate_model::Secret;
use tidegate_model::settings::SettingValue;
use tidegate_sandbox::{Credential, HttpRequest, StreamBytes};

/// Stands for a public address, which the policy lets through.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// Stands for one on the inside, which it does not.
const INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn outside_only() -> EgressPolicy {
    EgressPolicy::allowing(vec![IpAddr::V4(OUTSIDE).into()])
}

/// A resolver that gives each of `answers` once, and how often it was asked.
fn resolver(answers: Vec<Vec<Ipv4Addr>>) -> (Names, Arc<AtomicUsize>) {
    let count = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&count);
    let answers = Mutex::new(VecDeque::from(answers));
    let names: Names = Box::new(move |_, port| {
        counter.fetch_add(1, Ordering::SeqCst);
        let answer = answers.lock().unwrap().pop_front().expect("no more is asked than was foreseen");
        Box::pin(async move { Ok(answer.into_iter().map(|ip| SocketAddr::new(IpAddr::V4(ip), port)).collect()) })
    });
    (names, count)
}

/// Counts connections to a port at an address; each is answered and closed.
fn count_at(ip: Ipv4Addr, port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((ip, port)).unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut seen = [0; 4096];
            let _ = socket.read(&mut seen);
            let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    (port, count)
}

/// The same port outside and inside.
fn twins() -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (port, outside) = count_at(OUTSIDE, 0);
    let (_, inside) = count_at(INSIDE, port);
    (port, outside, inside)
}

fn named(port: u16) -> Settings {
    let mut values: Vec<_> = at(&format!("http://sink.example:{port}/base"), port)
        .iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect();
    values.retain(|(key, _)| key != "host");
    values.push(("host".to_owned(), SettingValue::Text("sink.example".to_owned())));
    Settings::trusted(values)
}

fn actions() -> [Action; 2] {
    [
        Action::Send(request()),
        Action::SendStream(StreamBytes { endpoint: "line".to_owned(), body: vec![bytes::Bytes::from_static(b"x\n")] }),
    ]
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_asked_once_for_a_connection_and_the_checked_address_is_the_one_connected_to() {
    for action in actions() {
        let (port, outside, inside) = twins();
        let (names, asked) = resolver(vec![vec![OUTSIDE], vec![INSIDE]]);
        let egress = Egress::with_names(outside_only(), EgressOptions::default(), names).unwrap();
        egress.perform(&action, &description(), &named(port)).await.unwrap();
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        assert_eq!((count(&asked), count(&outside), count(&inside)), (1, 1, 0), "{action:?}");
        // The next connection asks again, and what it is told now is checked again.
        let error = egress.perform(&action, &description(), &named(port)).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.2 is a loopback address"), "{error}");
        assert_eq!((count(&asked), count(&outside), count(&inside)), (2, 1, 0), "{action:?}");
    }
}

#[tokio::test]
async fn of_a_name_with_addresses_on_both_sides_only_those_outside_are_connected_to() {
    for action in actions() {
        let (port, outside, inside) = twins();
        let (names, _) = resolver(vec![vec![INSIDE, OUTSIDE], vec![INSIDE, INSIDE], Vec::new()]);
        let egress = Egress::with_names(outside_only(), EgressOptions::default(), names).unwrap();
        egress.perform(&action, &description(), &named(port)).await.unwrap();
        assert_eq!((outside.load(Ordering::SeqCst), inside.load(Ordering::SeqCst)), (1, 0), "{action:?}");
        let error = egress.perform(&action, &description(), &named(port)).await.unwrap_err();
        assert!(matches!(error, Unsendable::Denied { .. }), "{error}");
        let nothing = egress.perform(&action, &description(), &named(port)).await.unwrap();
        assert!(nothing.outcome.failure.unwrap().contains("it has no address"));
        assert_eq!(inside.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn if_the_address_outside_does_not_answer_the_one_inside_is_not_tried_instead() {
    let (port, inside) = count_at(INSIDE, 0);
    // Nobody listens at this port outside.
    let (names, _) = resolver(vec![vec![OUTSIDE, INSIDE], vec![OUTSIDE, INSIDE]]);
    let egress = Egress::with_names(outside_only(), hasty(), names).unwrap();
    for action in actions() {
        let failure = egress.perform(&action, &description(), &named(port)).await.unwrap().outcome.failure;
        assert!(failure.as_deref().is_some_and(|f| f.starts_with("cannot connect: ")), "{failure:?}");
    }
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

#[test]
fn no_way_to_write_an_inner_address_gets_past_the_check() {
    let (address, told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    let port = address.port();
    // Whole numbers, octal, hexadecimal, parts left out, full-width digits, dots at the end, IPv6 clothes.
    let spellings = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "user:word@127.0.0.1",
    ];
    for host in spellings {
        let result = perform(
            EgressPolicy::default(),
            hasty(),
            Action::Send(request()),
            &at(&format!("http://{host}:{port}/"), port),
        );
        let refused = match result {
            Err(error) => error.to_string().contains("which stores may not reach"),
            // The system's resolver may not know the spelling.
            Ok(exchange) => exchange.outcome.failure.is_some_and(|f| f.contains("cannot be resolved")),
        };
        assert!(refused, "{host}");
    }
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "::1", "[::1]", "::ffff:127.0.0.1", "fe80::1%lo", "0"] {
        let mut values: Vec<_> =
            at("http://unused/", port).iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        values.retain(|(key, _)| key != "host");
        values.push(("host".to_owned(), SettingValue::Text(host.to_owned())));
        let stream = Action::SendStream(StreamBytes { endpoint: "line".to_owned(), body: vec![] });
        let refused = match perform(EgressPolicy::default(), hasty(), stream, &Settings::trusted(values)) {
            Err(error) => error.to_string().contains("which stores may not reach"),
            Ok(exchange) => exchange.outcome.failure.is_some_and(|f| f.contains("cannot be resolved")),
        };
        assert!(refused, "{host}");
    }
    assert!(told.try_recv().is_err(), "something reached the server");
}

#[test]
fn no_kind_of_redirect_is_followed_wherever_it_leads() {
    let (target, told) = server(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    for status in [300, 301, 302, 303, 307, 308] {
        for to in [format!("http://{target}/"), format!("//{target}/"), "file:///etc/passwd".to_owned()] {
            let (address, _first) = server(move |socket| {
                let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
                socket.write_all(answer.as_bytes()).unwrap_or_default();
            });
            assert_eq!(send(request(), &settings(address)).outcome.status, Some(status));
        }
    }
    assert!(told.try_recv().is_err());
}

#[test]
fn a_compressed_answer_is_handed_on_as_it_came_and_never_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = packed.finish().unwrap();
    assert!(bomb.len() < 100_000);
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let body = bomb.clone();
        let (address, told) = server(move |socket| {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
        });
        let exchange = send(request(), &settings(address));
        let kept = exchange.outcome.body;
        assert_eq!(kept, &bomb[..kept.len()], "{encoding}");
        assert_eq!(kept.len(), EgressOptions::default().answer_bytes.min(bomb.len()), "{encoding}");
        // Nobody asked for it either.
        let asked = String::from_utf8(told.recv().unwrap()).unwrap();
        assert!(!asked.to_ascii_lowercase().contains("accept-encoding"), "{asked}");
    }
}

/// Writes `piece` after `head` for as long as somebody reads, with a pause between.
fn endless(head: &'static [u8], piece: &'static [u8], pause: Duration) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |socket| {
        let mut going = socket.write_all(head);
        while going.is_ok() {
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            going = socket.write_all(piece);
        }
    }
}

#[test]
fn answers_without_an_end_in_any_part_of_them_are_left_at_a_limit_or_at_the_deadline() {
    let (none, drip) = (Duration::ZERO, Duration::from_millis(30));
    let cases: [(&str, &'static [u8], &'static [u8], Duration); 6] = [
        ("a status line", b"HTTP/1.1 200 ", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", none),
        ("headers", b"HTTP/1.1 200 OK\r\n", b"x-more: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", none),
        ("one header", b"HTTP/1.1 200 OK\r\nx-more: ", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", none),
        ("headers, dripping", b"HTTP/1.1 200 OK\r\nx-more: ", b"a", drip),
        ("provisional answers", b"", b"HTTP/1.1 100 Continue\r\n\r\n", none),
        ("a chunk's extension", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"aaaaaaaaaaaaaaaa", none),
    ];
    for (what, head, piece, pause) in cases {
        let (address, _told) = server(endless(head, piece, pause));
        let began = Instant::now();
        let outcome = perform(loopback(), hasty(), Action::Send(request()), &settings(address)).unwrap().outcome;
        // A body that breaks off does not undo the status; whatever is before it does.
        let status = if what.contains("chunk") { Some(200) } else { None };
        assert_eq!((outcome.status, outcome.failure.is_some()), (status, status.is_none()), "{what}: {outcome:?}");
        assert!(outcome.body.is_empty(), "{what}");
        assert!(began.elapsed() < Duration::from_secs(15), "{what}: the deadline is what ended it");
    }
}

#[test]
fn a_stream_whose_other_side_writes_or_drips_without_end_is_left_at_the_deadline_and_little_is_kept() {
    for (piece, pause) in [(&[b'x'; 4096][..], Duration::ZERO), (b"x", Duration::from_millis(30))] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let writer = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut going = Ok(());
            while going.is_ok() {
                thread::sleep(pause);
                going = socket.write_all(piece);
            }
        });
        let began = Instant::now();
        let [_, stream] = actions();
        let outcome = perform(loopback(), hasty(), stream, &at("http://unused/", port)).unwrap().outcome;
        assert_eq!(outcome.failure.as_deref(), Some("timed out before the other side had read everything"));
        assert!(outcome.body.len() <= hasty().answer_bytes && began.elapsed() < Duration::from_secs(15));
        writer.join().unwrap();
    }
}

#[test]
fn a_credential_with_a_line_break_is_not_sent_and_not_told() {
    let (address, told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    let evil = "canary\r\nX-Injected: yes";
    let values = settings(address).iter().map(|(key, value)| (key.to_owned(), value.clone())).collect::<Vec<_>>();
    let with = |key: &str| {
        let mut values = values.clone();
        values.retain(|(known, _)| known != key);
        values.push((key.to_owned(), SettingValue::Secret(Secret::new(evil.to_owned()))));
        Settings::trusted(values)
    };
    let slot = Credential::Header {
        slot: "token".to_owned(),
        header: "authorization".to_owned(),
        template: "Token {}".to_owned(),
    };
    let action = || Action::Send(HttpRequest { credentials: vec![slot.clone()], ..request() });
    let error = perform(loopback(), hasty(), action(), &with("token")).unwrap_err().to_string();
    assert!(error.contains("must be printable") && !error.contains("canary"), "{error}");
    assert!(told.try_recv().is_err());
    // In basic authentication it is encoded, and so harmless.
    let basic = Credential::Basic { user_key: "user".to_owned(), password_key: "token".to_owned() };
    let action = Action::Send(HttpRequest { credentials: vec![basic], ..request() });
    perform(loopback(), hasty(), action, &with("token")).unwrap();
    let seen = String::from_utf8(told.recv().unwrap()).unwrap().to_ascii_lowercase();
    assert!(seen.contains("authorization: basic ") && !seen.contains("x-injected"), "{seen}");
}

#[test]
fn the_endpoints_host_header_and_length_are_the_hosts_own() {
    let (address, told) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    send(HttpRequest { path: "/http://elsewhere.example/x".to_owned(), ..request() }, &settings(address));
    let seen = String::from_utf8(told.recv().unwrap()).unwrap();
    assert!(seen.starts_with("POST /base/http://elsewhere.example/x?"), "{seen}");
    assert_eq!(seen.to_ascii_lowercase().matches("\r\nhost: ").count(), 1);
    assert!(seen.contains(&format!("\r\nhost: {address}\r\n")), "{seen}");
    assert_eq!(seen.to_ascii_lowercase().matches("\r\ncontent-length: ").count(), 1);
}

proptest! {
    #[test]
    fn whatever_path_and_query_an_adapter_writes_the_request_goes_to_the_endpoints_host(
        path in "/.{0,20}", query in prop::collection::vec((".{0,6}", ".{0,6}"), 0..3),
    ) {
        let query: Vec<(String, String)> = query;
        let wish = HttpRequest { path, query, ..request() };
        let url = http::shown_address(&wish, &SettingValue::Text("https://sink.example:8443/base".to_owned()));
        let url = url::Url::parse(&url).unwrap();
        prop_assert_eq!((url.scheme(), url.host_str(), url.port()), ("https", Some("sink.example"), Some(8443)));
        prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
    }
}
