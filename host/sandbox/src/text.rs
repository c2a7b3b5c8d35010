//! Guest text made safe to show.
//!
//! Operators read what adapters say: reasons, function names, keys. Unfiltered, a line break forges a log line, an escape
//! sequence repaints the terminal and a direction override makes a sentence read backwards. So guest text is escaped and cut
//! once, at the moment in which it becomes the host's.

/// Longest guest text in a message, in characters before escaping.
pub(crate) const MAX_SHOWN_CHARS: usize = 300;

/// `text` on one line, cut to [`MAX_SHOWN_CHARS`], with what is invisible or steers a terminal written as an escape.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN_CHARS));
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX_SHOWN_CHARS) {
        if steers(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// [`plain`] between quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(text).replace('"', "\\\""))
}

/// The first few of `items` as a list for a sentence; `none` if there are none.
pub(crate) fn listed<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 20;
    let mut items = items.into_iter();
    let mut shown: Vec<String> = items.by_ref().take(SHOWN).map(|i| plain(i.as_ref())).collect();
    let more = items.count();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => {
            shown.push(format!("and {more} more"));
            shown.join(", ")
        }
    }
}

/// Whether a character moves, hides or reorders what is around it.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_steers_a_terminal_or_forges_a_line_is_shown_as_escapes() {
        assert_eq!(plain("a\n\u{1b}[2Jb\u{202e}c"), "a\\n\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(plain("Größe ≥ 3"), "Größe ≥ 3");
    }

    #[test]
    fn text_longer_than_the_bound_is_cut_and_says_so() {
        assert_eq!(plain(&"é".repeat(300)), "é".repeat(300));
        assert_eq!(plain(&"é".repeat(301)), format!("{}…", "é".repeat(300)));
    }

    #[test]
    fn a_long_list_is_cut_and_counts_the_rest() {
        assert_eq!(listed(Vec::<String>::new()), "none");
        assert_eq!(listed(["a", "b"]), "a, b");
        assert!(listed((0..25).map(|i| i.to_string())).ends_with("19, and 5 more"));
    }
}
