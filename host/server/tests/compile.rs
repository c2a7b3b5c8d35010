//! Components are compiled by a process that can do nothing else, within limits, and what it gives is kept under seal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{Period, Settings};
use tidegate_sandbox::{
    CompileCounts, CompileError, CompileLimits, CompileOptions, Folder, Limits, LoadError, News, Registry, Sandbox,
    SandboxOptions, Snapshot, builtin,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

fn options(cache: Option<&Path>) -> CompileOptions {
    CompileOptions { program: Some(PROGRAM.into()), cache: cache.map(Path::to_owned), ..CompileOptions::default() }
}

fn limited(limits: CompileLimits) -> CompileOptions {
    CompileOptions { limits, ..options(None) }
}

fn sandbox(compile: CompileOptions) -> Arc<Sandbox> {
    Sandbox::new(SandboxOptions { max_instances: 2, compile, ..SandboxOptions::default() }).unwrap()
}

fn good() -> &'static [u8] {
    builtin::COMPONENTS[0].1
}

/// Why `sandbox` does not compile `component`.
fn refused(sandbox: &Arc<Sandbox>, component: &[u8]) -> CompileError {
    match sandbox.load(component) {
        Err(LoadError::Compile(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// A good adapter with one more module in it, which nobody uses and which has to be compiled like the rest.
fn with_module(text: &str) -> Vec<u8> {
    let module = wat::parse_str(text).unwrap();
    let mut component = good().to_vec();
    component.push(1);
    let mut length = module.len();
    while length > 0x7f {
        component.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    component.push(u8::try_from(length).unwrap());
    component.extend(module);
    component
}

/// One function that keeps the compiler busy for many seconds.
fn bomb() -> Vec<u8> {
    let step = "(local.set 0 (i64.xor (i64.mul (local.get 0) (local.get 1)) (i64.rotl (local.get 1) (local.get 0)))) (br_if 0 (i64.eqz (local.get 0)))";
    with_module(&format!("(module (func (param i64 i64) (block {})))", step.repeat(120_000)))
}

fn only(cached: u64, compiled: u64) -> CompileCounts {
    CompileCounts { cached, compiled, ..CompileCounts::default() }
}

/// Everything in the cache besides the key.
fn artefacts(cache: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap() != "key").collect()
}

#[cfg(target_os = "linux")]
#[test]
fn the_compiling_process_reaches_no_file_no_network_no_process_and_no_more_memory() {
    let output = Command::new(PROGRAM).args(["compile", "--probe"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.lines().filter(|line| line.starts_with("shut")).count(), 9, "{told}");
    assert!(!std::env::temp_dir().join("tidegate-probe").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn the_compiling_process_gets_no_environment_and_no_descriptors() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    // Tells what it was given, as the reason why it does not compile.
    let script = "#!/bin/sh\ncat >/dev/null\necho \"has $TIDEGATE_CANARY$HOME$CARGO_MANIFEST_DIR, is in $(pwd), \
                  found $(ls -l /proc/$$/fd | grep -c canary)\" >&2\nexit 1\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let open = fs::File::create(folder.path().join("canary")).unwrap();
    // Like one that whoever started the server has left open.
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let error = refused(&sandbox(CompileOptions { program: Some(program), ..options(None) }), good());
    assert_eq!(error.to_string(), "has , is in /, found 0");
}

#[test]
fn what_was_compiled_once_is_taken_from_the_cache_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = sandbox(options(Some(folder.path())));
    let name = first.load(good()).unwrap().description().name.clone();
    assert_eq!(first.compiled(), only(0, 1));
    first.load(good()).unwrap();
    assert_eq!(first.compiled(), only(1, 1));
    let second = sandbox(options(Some(folder.path())));
    assert_eq!(second.load(good()).unwrap().description().name, name);
    assert_eq!(second.compiled(), only(1, 0));
}

#[test]
fn a_changed_cut_or_foreign_artefact_is_compiled_again_and_never_loaded() {
    let folder = tempfile::tempdir().unwrap();
    sandbox(options(Some(folder.path()))).load(good()).unwrap();
    let file = artefacts(folder.path()).pop().unwrap();
    let sealed = fs::read(&file).unwrap();
    let mut changed = sealed.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let other = tempfile::tempdir().unwrap();
    sandbox(options(Some(other.path()))).load(good()).unwrap();
    let foreign = fs::read(artefacts(other.path()).pop().unwrap()).unwrap();
    for bad in [changed, sealed[..sealed.len() - 1].to_vec(), vec![], foreign] {
        fs::write(&file, bad).unwrap();
        let sandbox = sandbox(options(Some(folder.path())));
        sandbox.load(good()).unwrap();
        assert_eq!(sandbox.compiled(), CompileCounts { discarded: 1, ..only(0, 1) });
        // And what is there now is good again.
        sandbox.load(good()).unwrap();
        assert_eq!(sandbox.compiled().cached, 1);
    }
}

#[test]
fn an_artefact_for_another_engine_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    sandbox(options(Some(folder.path()))).load(good()).unwrap();
    // Without the pool's address space, code has bounds checks: another engine.
    let compile = options(Some(folder.path()));
    let max_memory_bytes = 64 << 20;
    let small = SandboxOptions { max_instances: u32::MAX, max_memory_bytes, compile, ..SandboxOptions::default() };
    let small = Sandbox::new(small).unwrap();
    small.load(good()).unwrap();
    assert_eq!(small.compiled(), only(0, 1));
    assert_eq!(artefacts(folder.path()).len(), 2);
}

#[test]
fn a_component_that_takes_too_much_cpu_time_is_given_up_and_others_are_compiled() {
    let limits = CompileLimits { cpu: Duration::from_secs(1), ..CompileLimits::default() };
    let sandbox = sandbox(limited(limits));
    let error = refused(&sandbox, &bomb());
    assert_eq!(error, CompileError::Cpu { limit: Duration::from_secs(1) });
    assert_eq!(
        LoadError::Compile(error).to_string(),
        "the component cannot be compiled: it takes more than 1 s of CPU time, which is the limit"
    );
    sandbox.load(good()).unwrap();
}

#[test]
fn a_component_that_takes_too_long_is_given_up() {
    let limits = CompileLimits { wall: Duration::from_millis(300), ..CompileLimits::default() };
    assert_eq!(refused(&sandbox(limited(limits)), &bomb()), CompileError::Wall { limit: Duration::from_millis(300) });
}

#[test]
fn a_component_that_takes_too_much_memory_is_given_up_and_others_are_compiled() {
    let limits = CompileLimits { memory_bytes: 200 << 20, ..CompileLimits::default() };
    let sandbox = sandbox(limited(limits));
    let error = refused(&sandbox, &bomb());
    assert_eq!(error.to_string(), "the compiler needs more than 209715200 bytes of memory for it, which is the limit");
    sandbox.load(good()).unwrap();
}

#[test]
fn a_component_that_becomes_too_large_is_given_up() {
    let limits = CompileLimits { artefact_bytes: 10_000, ..CompileLimits::default() };
    let error = refused(&sandbox(limited(limits)), good());
    assert_eq!(error.to_string(), "it has more than 10000 bytes of machine code, which is the limit");
}

/// A component of these parts, called like an adapter.
fn with_parts(parts: &str, last: &str) -> Vec<u8> {
    let text = format!(
        "(component {parts} (export \"tidegate:adapter/about@1.0.0\" (instance {last})) (export \"tidegate:adapter/push@1.0.0\" (instance {last})))"
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn types_that_double_or_nest_without_end_end_the_compiling_process_at_most() {
    let sandbox = sandbox(options(None));
    // Thirty lines that stand for a billion bytes.
    let doubled: String = (1..30).map(|n| format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1)).collect();
    let told =
        refused(&sandbox, &with_parts(&format!("(type $t0 (list u8)) {doubled} (instance $i)"), "$i")).to_string();
    assert!(told.contains("type size"), "{told}");
    // Instances inside of instances, each under another name; and lists of lists.
    let inside: String =
        (1..20_000).map(|n| format!("(instance $i{n} (export \"x\" (instance $i{})))", n - 1)).collect();
    let lists: String = (1..20_000).map(|n| format!("(type $t{n} (list $t{}))", n - 1)).collect();
    for deep in [
        with_parts(&format!("(instance $i0) {inside}"), "$i19999"),
        with_parts(&format!("(type $t0 (list u8)) {lists} (export \"deep\" (type $t19999)) (instance $i)"), "$i"),
    ] {
        assert!(sandbox.load(&deep).is_err());
        sandbox.load(good()).unwrap();
    }
}

#[test]
fn what_the_compiler_refuses_is_told_in_its_words() {
    let sandbox = sandbox(options(None));
    let told = refused(&sandbox, &with_module("(module (memory i64 1))")).to_string();
    assert!(told.contains("memory64 must be enabled for 64-bit memories"), "{told}");
}

#[test]
fn a_verdict_is_remembered_over_restarts_as_long_as_the_limits_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let start = |limits: CompileLimits| sandbox(CompileOptions { limits, ..options(Some(folder.path())) });
    let tight = CompileLimits { artefact_bytes: 10_000, ..CompileLimits::default() };
    let first = start(tight.clone());
    for _ in 0..2 {
        assert_eq!(refused(&first, good()), CompileError::Artefact { limit: 10_000 });
    }
    assert_eq!(first.compiled(), CompileCounts { remembered: 1, ..only(0, 1) });
    let second = start(tight);
    refused(&second, good());
    assert_eq!(second.compiled(), CompileCounts { remembered: 1, ..only(0, 0) });
    start(CompileLimits::default()).load(good()).unwrap();
}

#[test]
fn a_program_that_is_not_there_is_nobodys_verdict_on_the_component() {
    let folder = tempfile::tempdir().unwrap();
    let missing = CompileOptions { program: Some("/no/such/program".into()), ..options(Some(folder.path())) };
    let error = refused(&sandbox(missing), good());
    assert!(
        matches!(&error, CompileError::Child(told) if told.starts_with("cannot start /no/such/program")),
        "{error}"
    );
    assert_eq!(artefacts(folder.path()), Vec::<PathBuf>::new());
    sandbox(options(Some(folder.path()))).load(good()).unwrap();
}

#[test]
fn of_a_hundred_components_dropped_at_once_some_wait_and_the_rest_is_told_to_come_back() {
    let compile = CompileOptions { at_once: 1, waiting: 3, ..options(None) };
    let sandbox = sandbox(compile);
    let components: Vec<Vec<u8>> =
        (0..100).map(|n| with_module(&format!("(module (global i32 (i32.const {n})))"))).collect();
    let (_, page) = builtin::COMPONENTS.iter().find(|(name, _)| *name == "prometheus").unwrap();
    let running = sandbox.load(page).unwrap();
    let settings = Arc::new(Settings::check(running.description(), &serde_json::Map::new()).unwrap());
    let snapshot = || Snapshot { batches: Vec::new(), period: Period::default() };
    let results: Vec<_> = std::thread::scope(|scope| {
        let loads: Vec<_> = components.iter().map(|bytes| scope.spawn(|| sandbox.load(bytes).map(drop))).collect();
        // An adapter that is there already is not held up by any of it: it is called until the last of them is through.
        let mut calls = 0;
        while loads.iter().any(|load| !load.is_finished()) {
            let page = running.render(&settings, snapshot(), Vec::new(), &Limits::default());
            assert!(page.result.is_ok(), "{page:?}");
            calls += 1;
        }
        assert!(calls > 0);
        loads.into_iter().map(|load| load.join().unwrap()).collect()
    });
    let busy = LoadError::Compile(CompileError::Busy { limit: 3 });
    assert!(results.iter().filter(|result| result.is_ok()).count() >= 4);
    assert!(results.iter().all(|result| result.is_ok() || *result == Err(busy.clone())), "{results:?}");
    // Nothing was held against those: they are taken when there is room.
    let late = results.iter().position(Result::is_err).expect("one that was told to come back");
    sandbox.load(&components[late]).unwrap();
}

/// A compiler that is ended from outside the first two times, and does its work from then on.
#[cfg(unix)]
#[test]
fn a_file_whose_compiling_was_ended_from_outside_is_tried_again_and_loaded_without_a_touch() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (script, folder) = (dir.path().join("compiler"), dir.path().join("adapters"));
    let count = dir.path().join("count");
    let text = format!(
        "#!/bin/sh\nprintf x >> '{count}'\n[ $(wc -c < '{count}') -gt 2 ] || kill -KILL $$\nexec '{PROGRAM}' \"$@\"\n",
        count = count.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("good.wasm"), good()).unwrap();
    let registry = Registry::new(sandbox(CompileOptions { program: Some(script), ..options(None) }));
    let mut folder = Folder::new(folder);
    let mut told = Vec::new();
    let started = std::time::Instant::now();
    while !told.iter().any(|news| matches!(news, News::Loaded(..))) {
        assert!(started.elapsed() < Duration::from_secs(120), "{told:?}");
        told.extend(folder.look(&registry));
        if let Some(refused) = registry.refused().first() {
            assert!(refused.error.to_string().contains("the system ended it"), "{refused:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(matches!(&told[..], [News::Refused(..), News::Loaded(..)]), "it is told once: {told:?}");
    assert!(registry.refused().is_empty());
    assert_eq!(fs::read(&count).unwrap().len(), 3);
    // A compiler that says no is believed, once and for all.
    let bomb = with_module("(module (func (result v128) (v128.const i64x2 0 0)))");
    fs::write(folder.path().join("bad.wasm"), bomb).unwrap();
    told.clear();
    let started = std::time::Instant::now();
    while told.is_empty() || started.elapsed() < Duration::from_secs(2) {
        assert!(started.elapsed() < Duration::from_secs(120));
        told.extend(folder.look(&registry));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(matches!(&told[..], [News::Refused(..)]), "{told:?}");
    assert_eq!(fs::read(&count).unwrap().len(), 4);
}
