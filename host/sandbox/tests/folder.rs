//! The folder into which adapters are dropped: what comes of each file, how versions stand beside each other, and what a file
//! can do to the host (nothing).

mod common;

use common::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_sandbox::{Folder, LoadError, News, Registry, Sandbox, SandboxOptions, Shelf, Signature, Step, Trust};

fn described(name: &str, version: &str) -> Vec<u8> {
    let description = format!(r#"{{"name":"{name}","version":"{version}"}}"#);
    Guest { description, ..Guest::default() }.component()
}

fn registry() -> Registry {
    Registry::new(Arc::clone(sandbox()))
}

fn folder() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().to_owned());
    (dir, folder)
}

/// Puts a file into the folder as careful programs do, and as one that was there for a while.
fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let hidden = dir.join(".being-written");
    let file = fs::File::create(&hidden).unwrap();
    std::io::Write::write_all(&mut &file, bytes).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    fs::rename(hidden, dir.join(name)).unwrap();
}

/// File name, and why it was refused.
fn told(news: Vec<News>) -> Vec<(String, Option<String>)> {
    let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
    let one = |news| match news {
        News::Loaded(file, _) => (name(&file), None),
        News::Refused(file, error) => (name(&file), Some(error.to_string())),
        News::Gone(file) => (name(&file), Some("gone".to_owned())),
        News::Keys(trust) => (format!("{} keys", trust.keys().len()), None),
    };
    news.into_iter().map(one).collect()
}

#[test]
fn one_bad_file_in_a_folder_costs_itself_only() {
    let (dir, mut folder) = folder();
    put(dir.path(), "a-good.wasm", &described("a", "1.0.0"));
    put(dir.path(), "b-empty.wasm", b"");
    put(dir.path(), "c-text.WASM", b"hello");
    put(dir.path(), "d-ignored.txt", b"hello");
    put(dir.path(), "e-good.wasm", &described("e", "1.0.0"));
    fs::create_dir(dir.path().join("f-folder.wasm")).unwrap();
    let registry = registry();
    let told = told(folder.look(&registry));
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a-good.wasm", "b-empty.wasm", "c-text.WASM", "e-good.wasm", "f-folder.wasm"]);
    assert_eq!((&told[0].1, &told[3].1), (&None, &None));
    let refused: Vec<_> = registry.refused().into_iter().map(|r| (r.file, r.error.to_string())).collect();
    assert_eq!(refused.len(), 3);
    assert!(refused[0].0.ends_with("b-empty.wasm") && refused[0].1.starts_with("the file is empty"));
    assert!(refused[1].1.starts_with("the file is text"));
    assert_eq!(refused[2].1, "this is a folder; only regular files are loaded");
    assert_eq!(registry.names(), ["a", "e"]);
    let adapter = registry.get("e").unwrap();
    assert!(matches!(adapter.begin(&settings(), view(), &Default::default()).result, Ok(Step::Done(_))));
    assert!(registry.get("b").is_none());
    assert!(folder.look(&registry).is_empty(), "nothing has changed, so nothing is loaded again");
}

#[test]
fn a_file_that_grows_is_left_alone_until_it_has_come_to_rest() {
    let (dir, mut folder) = folder();
    let (file, bytes, registry) = (dir.path().join("slow.wasm"), described("slow", "1.0.0"), registry());
    let half = bytes.len() / 2;
    fs::write(&file, &bytes[..half]).unwrap();
    assert!(folder.look(&registry).is_empty(), "it was written just now");
    std::thread::sleep(Duration::from_millis(100));
    fs::write(&file, &bytes).unwrap();
    let news = folder.settle(&registry, Duration::from_secs(30));
    assert_eq!(told(news), [("slow.wasm".to_owned(), None)]);
    // A copy that stands still half way is told, and taken when it goes on.
    fs::write(&file, &bytes[..half]).unwrap();
    let news = told(folder.settle(&registry, Duration::from_secs(30)));
    assert!(news[0].1.as_ref().unwrap().contains("cut off"), "{news:?}");
    assert!(registry.get("slow").is_none() && registry.refused().len() == 1);
    fs::write(&file, &bytes).unwrap();
    folder.settle(&registry, Duration::from_secs(30));
    assert!(registry.get("slow").is_some() && registry.refused().is_empty());
}

#[test]
fn links_are_followed_inside_the_folder_and_nowhere_else() {
    let (dir, mut folder) = folder();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "secret.wasm", &described("outside", "1.0.0"));
    // As mounts of configuration do it: the names lead through a hidden folder that is swapped as a whole.
    fs::create_dir(dir.path().join("..data")).unwrap();
    put(&dir.path().join("..data"), "mounted.wasm", &described("mounted", "1.0.0"));
    symlink("..data/mounted.wasm", dir.path().join("mounted.wasm")).unwrap();
    symlink(outside.path().join("secret.wasm"), dir.path().join("absolute.wasm")).unwrap();
    let up = format!("../{}/secret.wasm", outside.path().file_name().unwrap().to_str().unwrap());
    symlink(up, dir.path().join("climbs.wasm")).unwrap();
    symlink("loop.wasm", dir.path().join("loop.wasm")).unwrap();
    symlink("nowhere.wasm", dir.path().join("dangles.wasm")).unwrap();
    let registry = registry();
    let told = told(folder.look(&registry));
    assert_eq!(told.len(), 5, "{told:?}");
    for (name, refused) in told {
        match name.as_str() {
            "mounted.wasm" => assert_eq!(refused, None),
            _ => assert!(refused.as_ref().unwrap().contains("not followed"), "{name}: {refused:?}"),
        }
    }
    assert_eq!(registry.names(), ["mounted"]);
}

#[test]
fn pipes_sockets_and_devices_are_neither_opened_nor_waited_for() {
    let (dir, mut folder) = folder();
    let pipe = dir.path().join("pipe.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket.wasm")).unwrap();
    // A device in the folder needs privileges to make; a link to one leaves the folder.
    symlink("/dev/zero", dir.path().join("zero.wasm")).unwrap();
    let told = told(folder.look(&registry()));
    for (name, refused) in &told[..2] {
        assert_eq!(
            refused.as_deref(),
            Some("this is a device, socket or pipe; only regular files are loaded"),
            "{name}"
        );
    }
    assert!(told[2].1.as_ref().unwrap().contains("not followed"), "{told:?}");
}

#[test]
fn a_file_over_the_size_limit_is_not_read() {
    let (dir, mut folder) = folder();
    // A hole of 1 TiB: reading it would take all memory there is.
    let hole = fs::File::create(dir.path().join("hole.wasm")).unwrap();
    hole.set_len(1 << 40).unwrap();
    hole.set_modified(std::time::UNIX_EPOCH).unwrap();
    let told = told(folder.look(&registry()));
    assert_eq!(told[0].1.as_deref(), Some("the component has 1099511627776 bytes; the limit is 33554432 bytes"));
}

#[test]
fn more_files_than_a_folder_may_hold_are_refused_and_the_first_stay() {
    let (dir, mut folder) = folder();
    put(dir.path(), "a.wasm", &described("a", "1.0.0"));
    for n in 0..256 {
        put(dir.path(), &format!("b{n:03}.wasm"), b"no component");
    }
    let registry = registry();
    let told = told(folder.look(&registry));
    assert_eq!(told.len(), 257);
    assert_eq!(told[0].1, None);
    assert!(told[256].1.as_ref().unwrap().contains("more than 256 components"), "{:?}", told[256]);
    assert!(told[255].1.as_ref().unwrap().contains("the file is text"));
}

#[test]
fn a_folder_that_is_not_there_is_one_error_and_read_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later");
    let (mut folder, registry) = (Folder::new(path.clone()), registry());
    assert!(matches!(&folder.look(&registry)[..], [News::Refused(at, LoadError::Unreadable(_))] if *at == path));
    assert!(folder.look(&registry).is_empty(), "said once");
    assert_eq!(registry.refused().len(), 1);
    fs::create_dir(&path).unwrap();
    put(&path, "a.wasm", &described("a", "1.0.0"));
    assert_eq!(told(folder.look(&registry)), [("a.wasm".to_owned(), None)]);
    assert!(registry.refused().is_empty());
    // Away for a moment, as a mount may be: what was loaded stays.
    fs::rename(&path, dir.path().join("away")).unwrap();
    folder.look(&registry);
    assert!(registry.get("a").is_some());
    assert_eq!(registry.refused().len(), 1);
}

#[test]
fn the_newest_version_is_what_new_stores_get_and_the_others_stay_beside_it() {
    for versions in [["1.2.0", "1.10.0"], ["1.10.0", "1.2.0"]] {
        let (dir, mut folder) = folder();
        for (file, version) in ["a.wasm", "b.wasm"].iter().zip(versions) {
            put(dir.path(), file, &described("twin", version));
        }
        let registry = registry();
        folder.look(&registry);
        assert_eq!(registry.get("twin").unwrap().description().version, "1.10.0");
        let listed: Vec<_> = registry.list().into_iter().map(|r| r.adapter.description().version.clone()).collect();
        assert_eq!(listed, ["1.10.0", "1.2.0"]);
        let older = registry.resolve("twin@1.2.0").unwrap().unwrap();
        let digest = format!("sha256:{}", hex::encode(older.adapter.digest()));
        assert_eq!(registry.resolve(&digest[..20]).unwrap().unwrap().adapter.description().version, "1.2.0");
        assert!(registry.resolve("twin@3.0.0").unwrap().is_none());
        assert!(registry.resolve("sha256:00").unwrap().is_none(), "too short to mean anything");
    }
}

#[test]
fn two_files_that_claim_one_version_are_two_versions_and_have_to_be_told_apart_by_digest() {
    let (dir, mut folder) = folder();
    let registry = registry();
    let twin = |extra: &str| Guest {
        description: r#"{"name":"twin","version":"1.0.0"}"#.to_owned(),
        extra: extra.to_owned(),
        ..Guest::default()
    };
    put(dir.path(), "a.wasm", &twin("").component());
    put(dir.path(), "b.wasm", &twin("(global i32 (i32.const 7))").component());
    folder.look(&registry);
    assert_eq!(registry.list().len(), 2);
    let error = registry.resolve("twin@1.0.0").unwrap_err();
    assert_eq!(error.candidates.len(), 2);
    assert!(error.to_string().contains("say which by its digest"), "{error}");
}

#[test]
fn a_version_whose_file_is_gone_is_not_offered_but_stays_for_those_who_use_it() {
    let (dir, mut folder) = folder();
    let registry = registry();
    put(dir.path(), "old.wasm", &described("sink", "1.0.0"));
    put(dir.path(), "new.wasm", &described("sink", "2.0.0"));
    folder.look(&registry);
    let new = *registry.get("sink").unwrap().digest();
    fs::remove_file(dir.path().join("new.wasm")).unwrap();
    assert_eq!(told(folder.look(&registry)), [("new.wasm".to_owned(), Some("gone".to_owned()))]);
    assert_eq!(registry.get("sink").unwrap().description().version, "1.0.0");
    assert!(registry.find(&new).is_some_and(|r| !r.offered()));
    assert_eq!(registry.keep(&[new].into()), []);
    assert!(registry.find(&new).is_some());
    registry.keep(&[].into());
    assert!(registry.find(&new).is_none());
    assert_eq!(registry.list().len(), 1);
}

#[test]
fn a_version_that_a_store_uses_comes_back_from_its_copy_after_a_restart_without_its_file() {
    let (dir, mut folder) = folder();
    let shelf = || Shelf::new(dir.path().join("shelf"));
    let before = Registry::with_shelf(Arc::clone(sandbox()), shelf());
    put(dir.path(), "sink.wasm", &described("sink", "1.0.0"));
    folder.look(&before);
    let digest = *before.get("sink").unwrap().digest();
    fs::remove_file(dir.path().join("sink.wasm")).unwrap();
    let after = Registry::with_shelf(Arc::clone(sandbox()), shelf());
    assert_eq!(after.keep(&[digest].into()), []);
    assert!(after.find(&digest).is_some_and(|r| !r.offered()) && after.get("sink").is_none());
    // Nobody uses it any more: the copy goes, and what is used and nowhere is told.
    after.keep(&[].into());
    let told = after.keep(&[digest].into());
    assert_eq!(told, [(digest, "there is no copy of it".to_owned())]);
}

#[test]
fn what_lies_in_the_folder_twice_is_one_version_and_stays_while_one_of_the_files_does() {
    let (dir, mut folder) = folder();
    let registry = registry();
    put(dir.path(), "a.wasm", &described("sink", "1.0.0"));
    put(dir.path(), "b.wasm", &described("sink", "1.0.0"));
    folder.look(&registry);
    assert_eq!(registry.list().len(), 1);
    assert_eq!(registry.list()[0].files.len(), 2);
    fs::remove_file(dir.path().join("a.wasm")).unwrap();
    folder.look(&registry);
    assert!(registry.get("sink").is_some());
    fs::remove_file(dir.path().join("b.wasm")).unwrap();
    folder.look(&registry);
    assert!(registry.get("sink").is_none());
}

#[test]
fn a_file_that_is_replaced_is_another_version_even_if_it_looks_as_old_and_as_long() {
    let (dir, mut folder) = folder();
    let registry = registry();
    put(dir.path(), "sink.wasm", &described("sink", "1.0.0"));
    folder.look(&registry);
    put(dir.path(), "sink.wasm", &described("sink", "1.0.1"));
    let news = folder.look(&registry);
    assert!(matches!(&news[..], [News::Loaded(_, adapter)] if adapter.description().version == "1.0.1"), "{news:?}");
    assert_eq!(registry.get("sink").unwrap().description().version, "1.0.1");
}

#[test]
fn a_component_over_the_limit_of_memory_is_refused_before_it_is_compiled_and_named_in_the_list() {
    let (dir, mut folder) = folder();
    let options = SandboxOptions { max_instances: 1, ..SandboxOptions::default() };
    let registry = Registry::new(Sandbox::new(options).unwrap());
    put(dir.path(), "big.wasm", &Guest { pages: 1_025, ..Guest::default() }.component());
    folder.look(&registry);
    let refused = registry.refused();
    assert_eq!(refused[0].error, LoadError::Memory { asked: 1_025 * 65_536, limit: 64 << 20 });
}

/// The public key and a signature of the four bytes `test`, from the documentation of minisign's verifier.
const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
    RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
    trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
    wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";

/// The only reason for which the one file of the folder is refused.
fn reason(registry: &Registry) -> String {
    registry.refused().into_iter().map(|r| r.error.to_string()).collect::<Vec<_>>().join(" | ")
}

#[test]
fn a_signature_is_looked_at_before_the_component_and_whenever_it_or_the_keys_change() {
    let (dir, folder) = folder();
    let keys = tempfile::tempdir().unwrap();
    let mut folder = folder.with_keys(keys.path().to_owned());
    let registry = registry();
    registry.set_trust(Trust::read(keys.path(), true));
    // Four bytes of text are no component, which is what is said of them once their signature holds.
    put(dir.path(), "t.wasm", b"test");
    folder.look(&registry);
    assert!(reason(&registry).contains("there is no signature beside it"), "{}", reason(&registry));
    put(dir.path(), "t.wasm.minisig", SIGNATURE.as_bytes());
    folder.look(&registry);
    assert!(reason(&registry).contains("E7620F1842B4E81F, which this host does not trust"), "{}", reason(&registry));
    fs::write(keys.path().join("acme.pub"), KEY).unwrap();
    let news = told(folder.look(&registry));
    assert_eq!(news[0], ("1 keys".to_owned(), None));
    assert_eq!(reason(&registry), "the file is text; expected a WebAssembly component in its binary form");
    assert!(folder.look(&registry).is_empty(), "nothing has changed, so nothing is looked at again");
    put(dir.path(), "t.wasm.minisig", SIGNATURE.replace("test", "best").as_bytes());
    folder.look(&registry);
    assert!(
        reason(&registry).contains("its signature does not hold: these are not the bytes"),
        "{}",
        reason(&registry)
    );
    fs::remove_file(keys.path().join("acme.pub")).unwrap();
    fs::remove_file(dir.path().join("t.wasm.minisig")).unwrap();
    folder.look(&registry);
    assert!(reason(&registry).contains("there is no signature beside it"), "{}", reason(&registry));
}

#[test]
fn a_signature_that_is_no_file_of_text_or_leads_out_of_the_folder_is_none_that_holds() {
    let (dir, mut folder) = folder();
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "real.minisig", SIGNATURE.as_bytes());
    for name in ["folder", "long", "bytes", "link"] {
        put(dir.path(), &format!("{name}.wasm"), &described(name, "1.0.0"));
    }
    fs::create_dir(dir.path().join("folder.wasm.minisig")).unwrap();
    put(dir.path(), "long.wasm.minisig", &[b'a'; 9000]);
    put(dir.path(), "bytes.wasm.minisig", &[0xff; 300]);
    symlink(outside.path().join("real.minisig"), dir.path().join("link.wasm.minisig")).unwrap();
    let registry = registry();
    folder.settle(&registry, Duration::from_secs(30));
    let told: Vec<String> = registry.refused().into_iter().map(|r| r.error.to_string()).collect();
    let expected = ["it is not text", "this is a folder", "9000 bytes; the limit is 8192 bytes"];
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with("its signature does not hold") && told.contains(expected), "{told}");
    }
    // A link that leads nowhere inside of the folder is not there, so this one is unsigned.
    let link = registry.list().into_iter().find(|r| r.adapter.description().name == "link").unwrap();
    assert_eq!(link.signature, Signature::Unsigned);
}

#[test]
fn a_store_keeps_a_version_with_its_signature_and_a_host_that_asks_for_more_takes_it_away() {
    let shelf_dir = tempfile::tempdir().unwrap();
    let with_shelf = || Registry::with_shelf(Arc::clone(sandbox()), Shelf::new(shelf_dir.path().to_owned()));
    let bytes = described("kept", "1.0.0");
    let digest = Sandbox::digest(&bytes);
    let before = with_shelf();
    before.add_file(Path::new("kept.wasm"), Ok(&bytes), Some(SIGNATURE)).unwrap();
    let unknown = Signature::UnknownKey { key_id: "E7620F1842B4E81F".to_owned() };
    assert_eq!(before.find(&digest).unwrap().signature, unknown);
    // After a restart, without the file: the signature is there, and the key is known now. It is of other bytes.
    let keys = tempfile::tempdir().unwrap();
    fs::write(keys.path().join("acme.pub"), KEY).unwrap();
    let after = with_shelf();
    assert!(after.keep(&[digest].into()).is_empty());
    assert_eq!(after.find(&digest).unwrap().signature, unknown);
    after.set_trust(Trust::read(keys.path(), false));
    assert!(after.find(&digest).is_none(), "it waits to be looked at");
    let missing = after.keep(&[digest].into());
    assert!(missing[0].1.contains("these are not the bytes"), "{missing:?}");
    assert_eq!(after.why_missing(&digest).as_ref(), Some(&missing[0].1));
    // What is inside the binary is nobody's to sign; what lies on the shelf because it was inside an earlier one neither.
    let builtin = tidegate_sandbox::builtin::COMPONENTS[0].1;
    let strict = with_shelf();
    strict.set_trust(Trust::read(keys.path(), true));
    strict.add_builtin().unwrap();
    let ours = Sandbox::digest(builtin);
    assert!(strict.keep(&[ours].into()).is_empty());
    assert_eq!(strict.find(&ours).unwrap().signature, Signature::PartOfTidegate);
    let later = with_shelf();
    later.set_trust(Trust::read(keys.path(), true));
    assert!(later.keep(&[ours].into()).is_empty());
    assert_eq!(later.find(&ours).unwrap().signature, Signature::PartOfTidegate);
}
