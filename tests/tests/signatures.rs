//! Adapters that a real minisign has signed: who vouches for each version, what is refused with which reason, and what a host takes that
//! asks for signatures.

use crate::world::{self, PATIENCE, PROJECT};
use serde_json::{Map, Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidegate_tests::guests;
use tidegate_tests::minisign::{Vendor, beside};
use tidegate_tests::oracle::Metric;
use tidegate_tests::receiver::Receiver;
use tidegate_tests::scratch::Scratch;
use tidegate_tests::tidegate::Tidegate;
use tidegate_tests::wait;

const STORE: &str = "web shop/central";

/// A folder of adapters, a folder of trusted keys with that of `acme` in it, and a vendor whom nobody trusts.
struct Place {
    scratch: Scratch,
    adapters: PathBuf,
    keys: PathBuf,
    acme: Vendor,
    stranger: Vendor,
}

impl Place {
    fn new(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let (adapters, keys, vendors) = (scratch.folder("adapters"), scratch.folder("keys"), scratch.folder("vendors"));
        let (acme, stranger) = (Vendor::new(&vendors, "acme"), Vendor::new(&vendors, "stranger"));
        fs::copy(acme.public(), keys.join("acme.pub")).expect("copied");
        Self { scratch, adapters, keys, acme, stranger }
    }

    fn tidegate(&self) -> Tidegate {
        let argument = |path: &Path| path.display().to_string();
        let tidegate = world::tidegate(&self.scratch).argument("--adapter-dir").argument(argument(&self.adapters));
        tidegate.argument("--adapter-keys").argument(argument(&self.keys))
    }

    /// Components that lie outside of the folder of adapters.
    fn components(&self) -> Vec<PathBuf> {
        guests::install(&["evolving-1", "evolving-2", "evolving-3"], &self.scratch.folder("components"))
    }

    /// Puts a component into the folder of adapters, behind its signature if it is to have one.
    fn drop_in(&self, component: &Path, sign: impl FnOnce(&Path)) -> PathBuf {
        let to = self.adapters.join(component.file_name().expect("a name"));
        let staged = to.with_extension("new");
        fs::copy(component, &staged).expect("copied");
        sign(&staged);
        if beside(&staged).exists() {
            fs::rename(beside(&staged), beside(&to)).expect("renamed");
        }
        fs::rename(staged, &to).expect("renamed");
        to
    }
}

/// What the list says of a version of `evolving` that is on offer.
fn signature(tidegate: &Tidegate, version: &str) -> Option<Json> {
    let listed = tidegate.api().get(&["adapters"]);
    let adapters = listed["adapters"].as_array().expect("a list");
    let found = adapters.iter().find(|a| a["name"] == "evolving" && a["version"] == version && a["offered"] == true);
    found.map(|adapter| adapter["signature"].clone())
}

#[track_caller]
fn until_signature(tidegate: &Tidegate, version: &str, state: &str) -> Json {
    wait::until(&format!("version {version} is {state}"), Duration::from_secs(30), || {
        let found = signature(tidegate, version);
        let found = found.ok_or_else(|| format!("not there: {}", tidegate.api().get(&["adapters"])))?;
        if found["state"] == state { Ok(found) } else { Err(found.to_string()) }
    })
}

/// Waits until the file is refused, and gives the reason.
#[track_caller]
fn until_refused(tidegate: &Tidegate, file: &Path) -> String {
    wait::until("the file is refused", Duration::from_secs(30), || {
        let listed = tidegate.api().get(&["adapters"]);
        let mut refused = listed["refused"].as_array().expect("a list").iter();
        let one = refused.find(|one| one["file"] == json!(file)).ok_or_else(|| listed["refused"].to_string())?;
        Ok(one["reason"].as_str().expect("a reason").to_owned())
    })
}

fn event() -> Map<String, Json> {
    Map::from_iter([("error.type".to_owned(), json!("Crash"))])
}

/// Sends events until the store has delivered some more.
#[track_caller]
fn delivers(tidegate: &Tidegate) {
    let rows = || tidegate.api().store(PROJECT, "central").map(|s| s["status"]["deliveries"]["accepted_rows"].as_u64());
    let before = rows().expect("the store");
    wait::until("the store delivers", PATIENCE, || {
        let _ = tidegate.api().bulk_until_acknowledged(PROJECT, &[event()]);
        let now = rows()?;
        if now > before {
            Ok(())
        } else {
            Err(format!("{now:?}: {}", tidegate.api().store(PROJECT, "central")?["status"]))
        }
    });
}

fn document(receiver: &Receiver) -> Json {
    let metric = Metric::new("by type", &["error.type"], &[("_tx", "count")]);
    world::document(&[metric], &[world::store("central", "evolving", 1, json!({"url": receiver.url()}))])
}

#[test]
fn each_version_tells_who_vouches_for_it_and_less_of_that_has_to_be_agreed_to() {
    let place = Place::new("signatures");
    let components = place.components();
    place.drop_in(&components[0], |file| place.acme.sign_beside(file, "evolving 1.0.0 of acme"));
    let tidegate = place.tidegate().start();
    let told = until_signature(&tidegate, "1.0.0", "signed");
    let expected = (json!("acme"), json!(place.acme.id()), json!("evolving 1.0.0 of acme"));
    assert_eq!((told["key"].clone(), told["key_id"].clone(), told["comment"].clone()), expected);
    assert!(tidegate.cli(&["adapter", "list"]).contains("by acme"));
    assert!(tidegate.cli(&["adapter", "inspect", "evolving"]).contains("who says: evolving 1.0.0 of acme"));
    assert!(tidegate.cli(&["adapter", "inspect", "influxdb"]).contains("part of Tidegate"));
    let receiver = Receiver::start(|_| (204, String::new()));
    tidegate.apply(&document(&receiver));
    delivers(&tidegate);

    // Without a signature; then with that of another file, which fits nothing; then with its own, which comes later than the file.
    let second = place.drop_in(&components[1], |_| ());
    until_signature(&tidegate, "2.0.0", "unsigned");
    let refused = tidegate.cli_output(&["adapter", "upgrade", STORE]);
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    let asked = "be used although no trusted key has signed it; the version in use is signed with the key acme";
    assert!(!refused.status.success() && reason.contains(asked), "{reason}");
    assert!(tidegate.cli(&["adapter", "diff", STORE]).contains(asked));
    place.acme.sign(&components[0], &beside(&second), "another file");
    let reason = until_refused(&tidegate, &second);
    assert!(reason.contains("these are not the bytes that the key acme"), "{reason}");
    assert_eq!(signature(&tidegate, "1.0.0").expect("it is unaffected")["state"], "signed");
    delivers(&tidegate);
    place.acme.sign_beside(&second, "evolving 2.0.0 of acme");
    until_signature(&tidegate, "2.0.0", "signed");
    let _ = tidegate.cli(&["adapter", "upgrade", STORE]);
    delivers(&tidegate);

    // Of a key that is not known; until it is, and is not any more.
    place.drop_in(&components[2], |file| place.stranger.sign_beside(file, "trust me"));
    let told = until_signature(&tidegate, "3.0.0", "unknown-key");
    assert_eq!((&told["key_id"], &told["comment"]), (&json!(place.stranger.id()), &Json::Null));
    fs::copy(place.stranger.public(), place.keys.join("no stranger.pub")).expect("copied");
    assert_eq!(until_signature(&tidegate, "3.0.0", "signed")["key"], "no stranger");
    fs::remove_file(place.keys.join("no stranger.pub")).expect("removed");
    until_signature(&tidegate, "3.0.0", "unknown-key");
    fs::write(place.keys.join("wrong.pub"), "hello").expect("written");
    let reason = until_refused(&tidegate, &place.keys.join("wrong.pub"));
    assert!(reason.contains("this is no public key"), "{reason}");
    delivers(&tidegate);
}

#[test]
fn a_host_that_asks_for_signatures_takes_what_a_trusted_key_signed_and_nothing_else() {
    let place = Place::new("signatures-required");
    let components = place.components();
    let first = place.drop_in(&components[0], |_| ());
    let mut tidegate = place.tidegate().argument("--require-signatures").start();
    let reason = until_refused(&tidegate, &first);
    assert!(reason.contains("--require-signatures") && reason.contains("there is no signature"), "{reason}");
    assert_eq!(tidegate.api().get(&["adapters", "influxdb"])["signature"]["state"], "part-of-tidegate");
    place.acme.sign_beside(&first, "evolving 1.0.0 of acme");
    until_signature(&tidegate, "1.0.0", "signed");
    let stranger = place.drop_in(&components[2], |file| place.stranger.sign_beside(file, "trust me"));
    let reason = until_refused(&tidegate, &stranger);
    assert!(reason.contains(&place.stranger.id()) && reason.contains("does not trust"), "{reason}");

    // The same by the command line: what it tries, it says.
    let component = components[1].display().to_string();
    for signature in [None, Some("stranger"), Some("another")] {
        let file = place.scratch.path("given.minisig");
        match signature {
            Some("stranger") => place.stranger.sign(&components[1], &file, "trust me"),
            Some(_) => place.acme.sign(&components[0], &file, "of the version before"),
            None => {}
        }
        let given = file.display().to_string();
        let mut line = vec!["adapter", "install", &component];
        line.extend(signature.iter().flat_map(|_| ["--signature", &given]));
        let refused = tidegate.cli_output(&line);
        let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
        let expected = match signature {
            Some("stranger") => "does not trust",
            Some(_) => "these are not the bytes",
            None => "there is no signature",
        };
        assert!(!refused.status.success() && reason.contains(expected), "{signature:?}: {reason}");
    }
    assert_eq!(signature(&tidegate, "2.0.0"), None);
    // What lies beside the file is taken along without being named.
    place.acme.sign_beside(&components[1], "evolving 2.0.0 of acme");
    let shown = tidegate.cli(&["adapter", "install", &component, "--dry-run"]);
    assert!(shown.contains("by acme") && signature(&tidegate, "2.0.0").is_none(), "{shown}");
    let _ = tidegate.cli(&["adapter", "install", &component]);
    assert_eq!(until_signature(&tidegate, "2.0.0", "signed")["comment"], "evolving 2.0.0 of acme");

    // A store keeps its version, with its signature, when both files are gone; not when the key is.
    let receiver = Receiver::start(|_| (204, String::new()));
    tidegate.apply(&document(&receiver));
    delivers(&tidegate);
    for entry in fs::read_dir(&place.adapters).expect("the folder").flatten() {
        fs::remove_file(entry.path()).expect("removed");
    }
    tidegate.stop();
    tidegate.restart();
    delivers(&tidegate);
    fs::remove_file(place.keys.join("acme.pub")).expect("removed");
    wait::until("the store waits for somebody to trust its adapter", PATIENCE, || {
        let status = tidegate.api().store(PROJECT, "central")?["status"].clone();
        if status["state"] == "misconfigured" { Ok(()) } else { Err(status.to_string()) }
    });
    fs::copy(place.acme.public(), place.keys.join("acme.pub")).expect("copied");
    delivers(&tidegate);
}
