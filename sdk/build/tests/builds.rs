//! Builds of small workspaces, as a build script would do them.

use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tidegate_adapter_build::{Build, BuildError};

/// A workspace with one library without dependencies.
fn workspace(source: &str, crate_type: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"guest-one\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"{crate_type}\"]\n[profile.release]\npanic = \"abort\"\n"
    );
    write(dir.path(), "Cargo.toml", &manifest);
    fs::create_dir(dir.path().join("src")).unwrap();
    write(dir.path(), "src/lib.rs", source);
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).unwrap();
}

fn told(dir: &TempDir) -> String {
    Build::workspace(dir.path()).run(&["guest-one"]).unwrap_err().to_string()
}

#[test]
fn a_guest_that_does_not_compile_is_reported_with_the_compilers_whole_output() {
    let dir = workspace("pub fn f() -> u32 { missing_thing() }\npub fn g() { another_one() }\n", "cdylib");
    let told = told(&dir);
    assert!(told.starts_with("building guest-one in "), "{told}");
    for part in ["cannot find function `missing_thing`", "cannot find function `another_one`", "src/lib.rs:1"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn a_library_that_is_no_cdylib_is_named_with_what_it_must_be() {
    let dir = workspace("pub fn f() {}\n", "rlib");
    let error = Build::workspace(dir.path()).run(&["guest-one"]).unwrap_err();
    assert!(matches!(error, BuildError::NoModule { .. }), "{error}");
    assert!(error.to_string().contains("crate-type \"cdylib\""), "{error}");
}

#[test]
fn a_module_that_imports_something_else_than_the_contract_is_refused() {
    let source = "#[link(wasm_import_module = \"env\")]\nunsafe extern \"C\" { fn now() -> u64; }\n\
                  #[unsafe(no_mangle)]\npub extern \"C\" fn f() -> u64 { unsafe { now() } }\n";
    let told = told(&workspace(source, "cdylib"));
    assert!(told.starts_with("package guest-one: the module cannot be made a component: "), "{told}");
    assert!(told.contains("env"), "{told}");
}

#[test]
fn a_component_is_written_again_only_when_the_source_changed_and_its_inputs_are_known() {
    let dir = workspace("pub fn f() {}\n", "cdylib");
    let target = tempfile::tempdir().unwrap();
    let build = Build::workspace(dir.path()).target_dir(target.path());
    assert!(build.inputs(&["guest-one"]).is_err(), "nothing was built yet");
    let built = build.run(&["guest-one"]).unwrap();
    assert_eq!(built, [("guest-one".to_owned(), target.path().join("components/guest-one.wasm"))]);
    let written = || fs::metadata(&built[0].1).unwrap().modified().unwrap();
    let first = written();
    build.run(&["guest-one"]).unwrap();
    assert_eq!(written(), first);

    let inputs = build.inputs(&["guest-one"]).unwrap();
    for file in ["Cargo.toml", "Cargo.lock", "src/lib.rs"] {
        assert!(inputs.iter().any(|input| input.ends_with(file)), "{file} is not in {inputs:?}");
    }
    assert!(!dir.path().join("target").exists(), "the target directory was not the given one");

    write(dir.path(), "src/lib.rs", "#[unsafe(no_mangle)]\npub extern \"C\" fn f() -> u32 { 7 }\n");
    let before = fs::read(&built[0].1).unwrap();
    build.run(&["guest-one"]).unwrap();
    assert_ne!(fs::read(&built[0].1).unwrap(), before);
}

#[test]
fn relative_paths_mean_the_folder_of_this_process_and_not_the_workspace() {
    let relative = tempfile::tempdir_in(".").unwrap();
    let dir = workspace("pub fn f() {}\n", "cdylib");
    let target = std::path::Path::new(".").join(relative.path().file_name().unwrap());
    let built = Build::workspace(dir.path()).target_dir(&target).run(&["guest-one"]).unwrap();
    assert!(built[0].1.starts_with(std::env::current_dir().unwrap()) && built[0].1.is_file(), "{built:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "only what was there, and a lock file");
}
