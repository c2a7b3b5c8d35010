//! Secrets of earlier versions, new keys and missing ones.

use super::*;
use rusqlite::Connection;

pub(super) fn plain_file(dir: &std::path::Path) -> std::path::PathBuf {
    let file = dir.join("tidegate.db");
    let connection = Connection::open(&file).unwrap();
    for script in [
        include_str!("../db/v1.sql"),
        include_str!("../db/v2.sql"),
        include_str!("../db/v3.sql"),
        include_str!("../db/v4.sql"),
    ] {
        connection.execute_batch(script).unwrap();
    }
    connection.pragma_update(None, "user_version", 4).unwrap();
    let rows = "INSERT INTO tenants (id, name, created) VALUES (1, 'default', 0); \
                INSERT INTO projects (id, tenant, name, created) VALUES (1, 1, 'web', 0); \
                INSERT INTO stores (id, project, name, period, adapter, settings, revision, paused, pull, pull_token, created) \
                VALUES (1, 1, 'page', 60, 'sink', '{}', 1, 0, 1, 'canary-token-in-a-url', 0); \
                INSERT INTO store_secrets (store, key, value) VALUES (1, 'password', 'canary-secret-setting'); \
                INSERT INTO pull_logins (store, user, password) VALUES (1, 'u', 'canary-page-password');";
    connection.execute_batch(rows).unwrap();
    file
}

fn canaries(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        if bytes.windows(7).any(|w| w == b"canary-") {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn plain_secrets_of_an_earlier_version_are_sealed_and_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = plain_file(dir.path());
    assert!(!canaries(dir.path()).is_empty(), "there is nothing to seal");
    let clock = || -> Arc<dyn Clock> { Arc::new(tidegate_model::SystemClock) };
    let read = |catalog: &Catalog| {
        let of = |v: &View<'_>| Ok((v.store(StoreId(1))?.pull_token, v.pull_login(StoreId(1))?.unwrap()));
        let (token, login) = catalog.read(of).unwrap();
        assert_eq!(
            (token.as_deref(), login.password.expose()),
            (Some("canary-token-in-a-url"), "canary-page-password")
        );
        assert_eq!(catalog.store_of_pull_token("canary-token-in-a-url"), Some(StoreId(1)));
    };
    let catalog = Catalog::open(&file, clock()).unwrap();
    assert_eq!(canaries(dir.path()), Vec::<String>::new());
    read(&catalog);
    drop(catalog);
    // A new key before the old one: everything is sealed anew, and the old one is not needed any more.
    let keys = dir.path().join("tidegate.key");
    let old = std::fs::read_to_string(&keys).unwrap();
    Keyring::add_new_key(&keys).unwrap();
    read(&Catalog::open(&file, clock()).unwrap());
    let both = std::fs::read_to_string(&keys).unwrap();
    let old = old.lines().last().unwrap();
    std::fs::write(&keys, both.lines().filter(|line| *line != old).map(|l| format!("{l}\n")).collect::<String>())
        .unwrap();
    read(&Catalog::open(&file, clock()).unwrap());
    // Without the key, or with another one, it says so and changes nothing.
    let right = std::fs::read(&keys).unwrap();
    std::fs::remove_file(&keys).unwrap();
    let told = Catalog::open(&file, clock()).unwrap_err().to_string();
    assert!(told.contains("there is no key file") && told.contains("Put that key back"), "{told}");
    assert!(!keys.exists(), "a key was made with which nothing opens");
    Keyring::add_new_key(&keys).unwrap();
    let told = Catalog::open(&file, clock()).unwrap_err().to_string();
    assert!(told.contains("the key there is ") && told.contains("Nothing was changed"), "{told}");
    std::fs::write(&keys, right).unwrap();
    read(&Catalog::open(&file, clock()).unwrap());
}
