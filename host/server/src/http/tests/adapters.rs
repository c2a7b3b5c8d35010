//! Adapters that come and go while the server runs.

use super::{Server, told};
use crate::serve::Options;
use reqwest::Method;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::time::Duration;
use tidegate_sandbox::builtin;

/// One of the adapters inside the binary.
pub(super) fn component(name: &str) -> Vec<u8> {
    builtin::COMPONENTS.iter().find(|(known, _)| *known == name).unwrap().1.to_vec()
}

/// The same with something at its end that does nothing: another version for whoever goes by the bytes.
pub(super) fn variant(name: &str, mark: &[u8]) -> Vec<u8> {
    let mut bytes = component(name);
    let body = [&[4][..], b"mark", mark].concat();
    bytes.extend([0, u8::try_from(body.len()).unwrap()]);
    bytes.extend(body);
    bytes
}

fn folder(options: &Options) -> PathBuf {
    options.data_dir.join("adapters")
}

async fn until(what: &str, server: &Server, fits: impl Fn(&Json) -> bool) -> Json {
    for _ in 0..600 {
        let (_, listed) = server.get("/adapters").await;
        if fits(&listed) {
            return listed;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}: {}", server.get("/adapters").await.1)
}

fn of(listed: &Json, builtin: bool) -> Vec<&Json> {
    listed["adapters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["name"] == "influxdb" && a["builtin"] == builtin)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_dropped_into_the_folder_is_live_without_a_restart_and_gone_with_its_file() {
    let mut dir = PathBuf::new();
    let server = Server::with(|options| dir = folder(options)).await;
    let (_, before) = server.get("/adapters").await;
    assert_eq!(before["folder"], json!(dir));
    let file = dir.join("mine.wasm");
    std::fs::write(&file, variant("influxdb", b"1")).unwrap();
    std::fs::write(dir.join("bad.wasm"), b"not at all").unwrap();
    let listed = until("both files are told", &server, |l| l["refused"] != json!([]) && of(l, false).len() == 1).await;
    let mine = of(&listed, false)[0];
    assert_eq!((&mine["file"], &mine["offered"], &mine["default"]), (&json!(file), &json!(true), &json!(false)));
    assert_eq!(of(&listed, true)[0]["default"], true, "of two that call themselves the same, the built-in one counts");
    let refused = json!([{"file": dir.join("bad.wasm"), "reason": "the file is text; expected a WebAssembly component in its binary form"}]);
    assert_eq!(listed["refused"], refused);
    assert_eq!(mine["signature"], json!({"state": "unsigned", "pinned": mine["digest"]}));
    assert_eq!(of(&listed, true)[0]["signature"]["state"], "part-of-tidegate");
    // By digest, by name, and what is neither.
    let digest = mine["digest"].as_str().unwrap();
    let (status, shown) = server.get(&format!("/adapters/{digest}")).await;
    assert_eq!((status, &shown["digest"]), (200, &mine["digest"]));
    assert!(shown["settings"].as_array().is_some_and(|s| !s.is_empty()), "{shown}");
    assert_eq!(server.get("/adapters/influxdb").await.1["builtin"], true);
    let (status, problem) = server.get("/adapters/influxdb@9.9.9").await;
    assert_eq!(status, 404, "{problem}");
    std::fs::remove_file(&file).unwrap();
    until("the version is not offered any more", &server, |l| of(l, false).iter().all(|a| a["offered"] == false)).await;
    let (status, told) = told(server.request(Method::GET, "/status").send().await.unwrap()).await;
    assert_eq!(status, 200, "{told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_tells_who_uses_it_and_how_much_of_its_limits_but_not_to_those_who_do_not_see_the_store() {
    let server = Server::start().await;
    server.project("web").await;
    let of = async |name: &str| server.get(&format!("/adapters/{name}")).await.1;
    let before = of("prometheus").await;
    assert_eq!((&before["stores"], &before["limits"], &before["used_by"]), (&json!(0), &json!([]), &json!([])));
    let query = json!({"query": {"fold": {"_tx": [["count"]]}}});
    server.send(Method::PUT, "/projects/web/metric-sets/crashes", json!({})).await;
    server.send(Method::PUT, "/projects/web/metric-sets/crashes/metrics/errors", query).await;
    let page = json!({"adapter": "prometheus", "period": 1, "metric_sets": ["crashes"]});
    let (status, made) = server.send(Method::PUT, "/projects/web/stores/page", page).await;
    assert_eq!(status, 201, "{made}");
    // A page that is read is a call.
    let page = made["pull"]["url"].as_str().unwrap().to_owned();
    let path = page.strip_prefix(&server.url("")).unwrap().to_owned();
    let mut told = Json::Null;
    for _ in 0..200 {
        server.bare(Method::GET, &path).send().await.unwrap();
        told = of("prometheus").await;
        if told["limits"]
            .as_array()
            .is_some_and(|l| l.iter().any(|l| l["name"] == "memory" && l["used"].as_u64() > Some(0)))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let place = json!({"project": "web", "store": "page"});
    assert_eq!((&told["stores"], &told["used_by"]), (&json!(1), &json!([place])));
    let memory = told["limits"].as_array().unwrap().iter().find(|l| l["name"] == "memory").unwrap().clone();
    assert!(memory["used"].as_u64() > Some(0) && memory["used"].as_u64() < memory["limit"].as_u64(), "{memory}");
    assert_eq!((&memory["of"], &memory["unit"]), (&place, &json!("bytes")));
    // Of another tenant, nobody learns that there is such a store.
    let (_, acme) = server.send(Method::POST, "/tenants", json!({"name": "acme"})).await;
    let theirs = server.bare(Method::GET, "/api/v1/adapters/prometheus").bearer_auth(acme["token"].as_str().unwrap());
    let theirs = super::told(theirs.send().await.unwrap()).await.1;
    assert_eq!((&theirs["stores"], &theirs["limits"], &theirs["used_by"]), (&json!(0), &json!([]), &json!([])));
    server.stop().await;
}
