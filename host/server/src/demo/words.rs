//! The made-up product of the demo: its releases, devices and faults. Nothing in here is a real product's.

use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

/// Version, build number and commit of each release, the newest first.
pub(super) const VERSIONS: [(&str, u32, &str); 9] = [
    ("5.2.0", 5120, "9f31c0e"),
    ("5.1.3", 5087, "41d7aa2"),
    ("5.1.2", 5061, "c2b90f4"),
    ("5.0.9", 4990, "7ad4413"),
    ("5.0.7", 4951, "e01b6d8"),
    ("4.9.4", 4702, "55f2e19"),
    ("4.8.0", 4510, "b83a7c5"),
    ("4.6.2", 4188, "0c9de47"),
    ("3.11.0", 3307, "a6471bf"),
];

pub(super) const THREADS: [&str; 6] = ["main", "render", "network-1", "network-2", "io", "decoder"];
pub(super) const SCREENS: &[&str] = &["home", "search", "player", "checkout", "profile", "settings", "library"];
pub(super) const NETWORKS: &[&str] = &["wifi", "wifi", "wifi", "5g", "4g", "4g", "offline"];
pub(super) const LOCALES: [&str; 10] =
    ["en-US", "de-DE", "en-GB", "fr-FR", "es-ES", "pt-BR", "ja-JP", "it-IT", "nl-NL", "pl-PL"];
pub(super) const COUNTRIES: [&str; 10] = ["US", "DE", "GB", "FR", "ES", "BR", "JP", "IT", "NL", "PL"];

/// A kind of device.
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) short: &'static str,
    pub(super) maker: &'static str,
    pub(super) system: &'static str,
    pub(super) releases: &'static [&'static str],
    pub(super) machine: &'static str,
    pub(super) cores: u32,
    pub(super) memory_mb: u64,
}

const fn model(
    name: &'static str,
    short: &'static str,
    maker: &'static str,
    system: (&'static str, &'static [&'static str]),
    machine: (&'static str, u32, u64),
) -> Model {
    let (system, releases) = system;
    let (machine, cores, memory_mb) = machine;
    Model { name, short, maker, system, releases, machine, cores, memory_mb }
}

const ANDROID: (&str, &[&str]) = ("Android", &["16", "15", "14", "13", "11"]);
const IOS: (&str, &[&str]) = ("iOS", &["26.1", "26.0", "18.6", "17.7"]);
const WINDOWS: (&str, &[&str]) = ("Windows", &["10.0.26100", "10.0.22631", "10.0.19045"]);
const LINUX: (&str, &[&str]) = ("Linux", &["6.17.4", "6.12.30", "6.1.0"]);

const MODELS: [Model; 10] = [
    model("Corvid One", "corvid1", "Corvid", ANDROID, ("aarch64", 8, 8_192)),
    model("Corvid Mini", "corvidm", "Corvid", ANDROID, ("aarch64", 8, 4_096)),
    model("Halden 7", "halden7", "Halden", ANDROID, ("aarch64", 8, 6_144)),
    model("Orchard 14", "orch14", "Orchard", IOS, ("arm64", 6, 6_144)),
    model("Orchard 12", "orch12", "Orchard", IOS, ("arm64", 6, 4_096)),
    model("Orchard Slate", "slate", "Orchard", IOS, ("arm64", 8, 8_192)),
    model("Tern Laptop", "tern", "Tern", WINDOWS, ("x86_64", 16, 16_384)),
    model("Tern Desk", "ternd", "Tern", WINDOWS, ("x86_64", 24, 32_768)),
    model("Pike Station", "pike", "Pike", LINUX, ("x86_64", 12, 16_384)),
    model("Pike Board", "board", "Pike", LINUX, ("aarch64", 4, 2_048)),
];

/// The model of a device; low numbers, which are the busy ones, are spread over all of them.
pub(super) fn model_of(device: usize) -> &'static Model {
    // Three in ten devices are the popular one.
    const SPREAD: [usize; 14] = [0, 3, 0, 1, 6, 0, 2, 4, 0, 3, 5, 7, 8, 9];
    &MODELS[SPREAD[device % SPREAD.len()]]
}

/// What goes wrong in the product.
pub(super) struct Fault {
    pub(super) fingerprint: String,
    pub(super) error_type: &'static str,
    pub(super) class: &'static str,
    pub(super) message: String,
    pub(super) frames: Vec<String>,
    pub(super) address: String,
    pub(super) language: &'static str,
}

/// Type, class and message of each kind of fault; the earlier ones are the commoner.
const KINDS: [(&str, &str, &str, &str); 12] = [
    ("Crash", "SIGSEGV", "invalid memory access", "cpp"),
    ("Exception", "NullPointerException", "value was null", "java"),
    ("Unhandled exception", "TimeoutError", "request timed out", "typescript"),
    ("Exception", "IllegalStateException", "player was released", "java"),
    ("Hang", "AppNotResponding", "main thread blocked for 5 s", "java"),
    ("Crash", "SIGABRT", "assertion failed", "cpp"),
    ("Exception", "KeyError", "unknown key in reply", "python"),
    ("Unhandled exception", "TypeError", "undefined is not a function", "typescript"),
    ("OOMException", "OutOfMemory", "allocation of a bitmap failed", "java"),
    ("Exception", "IndexOutOfRange", "index beyond the end", "swift"),
    ("Message", "Message", "cache was rebuilt", "cpp"),
    ("Crash", "SIGBUS", "mapped file was truncated", "cpp"),
];

const MODULES: &[&str] =
    &["player", "catalog", "cart", "session", "image", "sync", "search", "upload", "feed", "billing"];
const VERBS: &[&str] = &["load", "decode", "flush", "resume", "merge", "parse", "render", "commit", "fetch", "close"];
const NOUNS: &[&str] = &["Frame", "Page", "Token", "Queue", "Index", "Track", "Order", "Buffer", "Cursor", "Thumbnail"];

/// The fault number `n`.
pub(super) fn fault(n: usize, random: &mut StdRng) -> Fault {
    let (error_type, class, message, language) = KINDS[n % KINDS.len()];
    let depth = random.random_range(4..9);
    let mut frames: Vec<String> = (0..depth)
        .map(|_| format!("{}::{}{}", pick(MODULES, random), pick(VERBS, random), pick(NOUNS, random)))
        .collect();
    frames.push("main".to_owned());
    Fault {
        fingerprint: hex::encode(Sha256::digest(frames.join("\n"))),
        error_type,
        class,
        message: format!("{message} in {}", frames[0]),
        address: format!("0x{:012x}", random.random::<u64>() >> 16),
        frames,
        language,
    }
}

/// One of several words.
pub(super) fn pick(words: &[&'static str], random: &mut StdRng) -> &'static str {
    words[random.random_range(0..words.len())]
}

/// `bytes` bytes that follow from a number and look as if they did not.
pub(super) fn hex_id(n: usize, bytes: usize) -> String {
    hex::encode(&Sha256::digest(n.to_le_bytes())[..bytes])
}
