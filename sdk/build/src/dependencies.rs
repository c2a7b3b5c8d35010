//! The `.d` file that cargo leaves beside a module: the files that it was made from.

use std::path::{Path, PathBuf};

/// The files after the colon of a makefile rule. A space in a name is written `\ `.
pub(crate) fn files(rule: &str) -> Vec<PathBuf> {
    let Some((_, list)) = rule.split_once(": ") else { return Vec::new() };
    let mut files = Vec::new();
    let mut name = String::new();
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&' ') => name.extend(letters.next()),
            letter if letter.is_whitespace() => {
                if !name.is_empty() {
                    files.push(PathBuf::from(std::mem::take(&mut name)));
                }
            }
            letter => name.push(letter),
        }
    }
    if !name.is_empty() {
        files.push(PathBuf::from(name));
    }
    files
}

/// The `Cargo.toml` of the package that a source file belongs to.
pub(crate) fn manifest_of(file: &Path) -> Option<PathBuf> {
    file.ancestors().skip(1).map(|dir| dir.join("Cargo.toml")).find(|manifest| manifest.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_rule_are_read_with_spaces_in_their_names() {
        let rule = "/t/a.wasm: /s/lib.rs /s/with\\ space.rs /s/b.rs\n";
        let expected = ["/s/lib.rs", "/s/with space.rs", "/s/b.rs"].map(PathBuf::from);
        assert_eq!(files(rule), expected);
        assert!(files("").is_empty());
    }

    #[test]
    fn a_source_file_belongs_to_the_nearest_manifest() {
        let this = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(manifest_of(&this.join("src/lib.rs")), Some(this.join("Cargo.toml")));
    }
}
