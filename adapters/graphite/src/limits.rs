//! What Graphite loses silently if it is sent, and so is refused here, with the limit and the amount.

/// Longest line without its end in bytes. Carbon closes the connection at a longer one (`MAX_LENGTH` of its line receiver), and
/// every line after it is lost.
pub const LINE_BYTES: usize = 16_384;
/// Longest node in bytes: whisper makes a file or a folder of each, and file names end there.
pub const NODE_BYTES: usize = 255;
/// Longest tag, key or value, and longest name beside tags in characters: the columns of graphite-web's tag store.
pub const TAG_CHARS: usize = 191;

/// Most bytes of a value and a time stamp with the blanks before them: the longest float has 24 bytes.
const REST_BYTES: usize = 1 + 24 + 1 + 20;
/// Longest series as written, so that every line is within its limit.
pub(crate) const SERIES_BYTES: usize = LINE_BYTES - REST_BYTES;

/// Why a name cannot be sent, if it cannot.
pub(crate) fn name_refusal(name: &str, is_tagged: bool) -> Option<String> {
    if let Some(node) = name.split('.').find(|node| node.len() > NODE_BYTES) {
        return Some(format!(
            "its name has a node of {} bytes ({}), and Graphite takes {NODE_BYTES}",
            node.len(),
            cut(node)
        ));
    }
    // Names are ASCII, so bytes are characters.
    if is_tagged && name.len() > TAG_CHARS {
        let length = name.len();
        return Some(format!(
            "its name has {length} characters ({}), and Graphite's tag store takes {TAG_CHARS}",
            cut(name)
        ));
    }
    None
}

/// Why a tag cannot be sent, if it cannot. `part` says what it is, as in "the value of os".
pub(crate) fn tag_refusal(part: &str, tag: &str) -> Option<String> {
    if tag.len() <= TAG_CHARS {
        return None;
    }
    let length = tag.chars().count();
    (length > TAG_CHARS)
        .then(|| format!("{part} has {length} characters ({}), and Graphite's tag store takes {TAG_CHARS}", cut(tag)))
}

/// Why a value cannot be a node, if it cannot.
pub(crate) fn node_refusal(dimension: &str, node: &str) -> Option<String> {
    let length = node.len();
    (length > NODE_BYTES).then(|| {
        format!(
            "the value of {} is a node of {length} bytes ({}), and Graphite takes {NODE_BYTES}",
            cut(dimension),
            cut(node)
        )
    })
}

/// Why a series of so many bytes cannot be sent.
pub(crate) fn line_refusal(series: usize) -> String {
    format!(
        "name and labels have {series} bytes, and with value and time a line of Graphite takes {LINE_BYTES}, so {SERIES_BYTES}"
    )
}

/// The beginning of a text, for reasons.
pub(crate) fn cut(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
