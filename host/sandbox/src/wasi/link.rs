//! The stubs themselves, one host function for each function that a component imports.
//!
//! What has an answer that gives nothing away is answered; everything else goes through [`refuse`], so a function that a later
//! version of WASI adds is refused and not forgotten.

use super::stub;
use crate::fault::Fault;
use crate::host::State;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType, Val};
use wasmtime::{Engine, StoreContextMut};

/// Random bytes of one call.
const MOST_RANDOM: u64 = 1 << 16;
/// What a stream takes at once.
const WRITE_BYTES: u64 = 4096;

// Kinds of resources, so that a handle to one cannot be used as another. None has anything behind it; where the host gives one
// out, its number says which stream it is.
enum Pollable {}
enum IoError {}
enum Input {}
enum Output {}
enum TerminalInput {}
enum TerminalOutput {}
enum Network {}
enum Descriptor {}
enum Other {}

fn kind(resource: &str) -> ResourceType {
    match resource {
        "pollable" => ResourceType::host::<Pollable>(),
        "error" => ResourceType::host::<IoError>(),
        "input-stream" => ResourceType::host::<Input>(),
        "output-stream" => ResourceType::host::<Output>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        "network" => ResourceType::host::<Network>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        _ => ResourceType::host::<Other>(),
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "a part of the type that the stubs never give")]
    Failed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Store<'s> = StoreContextMut<'s, State>;
type Written = Result<(), StreamError>;

/// Links a stub for each system interface that `component` imports. Inspection has let through none that has no stub.
pub(crate) fn link(linker: &mut Linker<State>, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    for (import, item) in component.component_type().imports(engine) {
        let (Some(stub), ComponentItem::ComponentInstance(interface)) = (stub(import), item.ty) else { continue };
        let mut instance = linker.instance(import)?;
        for (name, item) in interface.exports(engine) {
            match item.ty {
                ComponentItem::Resource(_) => instance.resource(name, kind(name), |_, _| Ok(()))?,
                ComponentItem::ComponentFunc(_) => define(&mut instance, stub.interface, name)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn pollable() -> wasmtime::Result<(Resource<Pollable>,)> {
    Ok((Resource::new_own(0),))
}

fn closed<T>() -> wasmtime::Result<(Result<T, StreamError>,)> {
    Ok((Err(StreamError::Closed),))
}

fn define(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match interface {
        "wasi:io/streams" => streams(at, interface, name),
        "wasi:io/poll" | "wasi:io/error" => polls(at, interface, name),
        "wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed" => random(at, interface, name),
        "wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock" => clocks(at, interface, name),
        _ => surroundings(at, interface, name),
    }
}

fn streams(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    let short = name.rsplit('.').next().unwrap_or(name);
    match (name.starts_with("[method]input-stream."), short) {
        (true, "read" | "blocking-read") => {
            at.func_wrap(name, |_: Store<'_>, _: (Resource<Input>, u64)| closed::<Vec<u8>>())
        }
        (true, "skip" | "blocking-skip") => {
            at.func_wrap(name, |_: Store<'_>, _: (Resource<Input>, u64)| closed::<u64>())
        }
        (true, "subscribe") => at.func_wrap(name, |_: Store<'_>, _: (Resource<Input>,)| pollable()),
        (false, "subscribe") => at.func_wrap(name, |_: Store<'_>, _: (Resource<Output>,)| pollable()),
        (false, "check-write") => {
            at.func_wrap(name, |_: Store<'_>, _: (Resource<Output>,)| Ok((Ok::<u64, StreamError>(WRITE_BYTES),)))
        }
        (false, "write" | "blocking-write-and-flush") => {
            at.func_wrap(name, |mut store: Store<'_>, (_, text): (Resource<Output>, Vec<u8>)| {
                let length = text.len() as u64;
                if length > WRITE_BYTES {
                    let told = format!("it wrote {length} bytes to a stream at once; the limit is {WRITE_BYTES}");
                    return Err(Fault::contract(told).into());
                }
                store.data_mut().console.print(&text);
                Ok((Written::Ok(()),))
            })
        }
        (false, "flush" | "blocking-flush") => {
            at.func_wrap(name, |_: Store<'_>, _: (Resource<Output>,)| Ok((Written::Ok(()),)))
        }
        _ => refuse(at, interface, name),
    }
}

fn polls(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match name {
        // Time stands still, so whoever waits has waited.
        "[method]pollable.ready" => at.func_wrap(name, |_: Store<'_>, _: (Resource<Pollable>,)| Ok((true,))),
        "[method]pollable.block" => at.func_wrap(name, |_: Store<'_>, _: (Resource<Pollable>,)| Ok(())),
        "poll" => at.func_wrap(name, |_: Store<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            let ready = u32::try_from(all.len()).unwrap_or(u32::MAX);
            Ok(((0..ready).collect::<Vec<u32>>(),))
        }),
        "[method]error.to-debug-string" => {
            at.func_wrap(name, |_: Store<'_>, _: (Resource<IoError>,)| Ok(("no error".to_owned(),)))
        }
        _ => refuse(at, interface, name),
    }
}

fn random(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match name {
        "get-random-u64" | "get-insecure-random-u64" => {
            at.func_wrap(name, |mut store: Store<'_>, (): ()| Ok((store.data_mut().console.random(),)))
        }
        "get-random-bytes" | "get-insecure-random-bytes" => {
            at.func_wrap(name, |mut store: Store<'_>, (length,): (u64,)| {
                if length > MOST_RANDOM {
                    let told = format!("it asked for {length} random bytes at once; the limit is {MOST_RANDOM}");
                    return Err(Fault::contract(told).into());
                }
                let console = &mut store.data_mut().console;
                let bytes = (0..length).map(|_| console.random().to_le_bytes()[0]);
                Ok((bytes.collect::<Vec<u8>>(),))
            })
        }
        "insecure-seed" => at.func_wrap(name, |mut store: Store<'_>, (): ()| {
            let console = &mut store.data_mut().console;
            Ok(((console.random(), console.random()),))
        }),
        _ => refuse(at, interface, name),
    }
}

fn clocks(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match (interface, name) {
        ("wasi:clocks/wall-clock", "now" | "resolution") => {
            at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 0 },)))
        }
        (_, "now") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((0_u64,))),
        (_, "resolution") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((1_u64,))),
        (_, "subscribe-instant" | "subscribe-duration") => at.func_wrap(name, |_: Store<'_>, _: (u64,)| pollable()),
        _ => refuse(at, interface, name),
    }
}

fn surroundings(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match (interface, name) {
        (_, "get-environment") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Vec::<(String, String)>::new(),))),
        (_, "get-arguments") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Vec::<String>::new(),))),
        (_, "initial-cwd") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((None::<String>,))),
        (_, "get-stdin") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Resource::<Input>::new_own(0),))),
        (_, "get-stdout" | "get-stderr") => {
            at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Resource::<Output>::new_own(0),)))
        }
        (_, "get-terminal-stdin") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((None::<Resource<TerminalInput>>,))),
        (_, "get-terminal-stdout" | "get-terminal-stderr") => {
            at.func_wrap(name, |_: Store<'_>, (): ()| Ok((None::<Resource<TerminalOutput>>,)))
        }
        (_, "get-directories") => {
            at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
        }
        // A network is only a word until something is done with it, and everything that can be done with it is refused.
        (_, "instance-network") => at.func_wrap(name, |_: Store<'_>, (): ()| Ok((Resource::<Network>::new_own(0),))),
        _ => refuse(at, interface, name),
    }
}

/// A function that does nothing: where its type has a word for "not allowed" it says that, otherwise it ends the call.
fn refuse(at: &mut LinkerInstance<'_, State>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    let called = format!("{interface}.{name}");
    at.func_new(name, move |mut store: Store<'_>, ty: ComponentFunc, given, results| {
        // What was lent for the call has to be given back before it ends.
        for value in given {
            if let Val::Resource(resource) = value {
                resource.resource_drop(&mut store)?;
            }
        }
        match (ty.results().next(), results.first_mut()) {
            (Some(Type::Option(_)), Some(result)) => *result = Val::Option(None),
            (Some(Type::Result(of)), Some(result)) => match of.err().as_ref().and_then(not_allowed) {
                Some(word) => *result = Val::Result(Err(Some(Box::new(Val::Enum(word))))),
                None => return Err(forbidden(&called)),
            },
            _ => return Err(forbidden(&called)),
        }
        Ok(())
    })
}

fn forbidden(called: &str) -> wasmtime::Error {
    Fault::contract(format!("it called {called}, which adapters do not have")).into()
}

/// The word of an interface for what is not allowed: sockets and files each have their own.
fn not_allowed(error: &Type) -> Option<String> {
    let Type::Enum(words) = error else { return None };
    ["access-denied", "not-permitted", "access"]
        .into_iter()
        .find(|word| words.names().any(|name| name == *word))
        .map(ToOwned::to_owned)
}
