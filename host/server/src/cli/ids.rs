//! Ids for lines that have none, so that an import that was cut off can simply be run again.
//!
//! The id of a line is made from everything in the file up to and including it. The same file gives the same ids, a file that
//! has grown gives new ids for the new lines only, and two equal lines in one file are two events.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};
use uuid::Builder;

/// Makes the ids of one file's lines, in order.
#[derive(Default)]
pub(crate) struct LineIds {
    so_far: Sha256,
}

#[derive(Deserialize)]
struct Probe {
    uuid: Option<IgnoredAny>,
}

impl LineIds {
    /// The line with an id in it; as it is if it has one, or is nothing that could.
    pub(crate) fn with_id(&mut self, line: &[u8]) -> Vec<u8> {
        self.so_far.update(line);
        self.so_far.update(b"\n");
        let Some(rest) = line.trim_ascii_start().strip_prefix(b"{") else { return line.to_vec() };
        // Only the outer members are looked at, and the text is kept: re-writing it could change a number.
        if !matches!(serde_json::from_slice::<Probe>(line), Ok(Probe { uuid: None })) {
            return line.to_vec();
        }
        let digest = self.so_far.clone().finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        let id = Builder::from_custom_bytes(id).into_uuid();
        let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
        let mut out = format!("{{\"uuid\":\"{id}\"{comma}").into_bytes();
        out.extend_from_slice(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn ids(lines: &[&str]) -> Vec<Json> {
        let mut ids = LineIds::default();
        lines
            .iter()
            .map(|l| serde_json::from_slice::<Json>(&ids.with_id(l.as_bytes())).unwrap()["uuid"].clone())
            .collect()
    }

    #[test]
    fn the_same_file_gives_the_same_ids_and_equal_lines_differ() {
        let lines = ["{\"a\":1}", "{\"a\":1}", " { } "];
        assert_eq!(ids(&lines), ids(&lines));
        let got = ids(&lines);
        assert!(got[0] != got[1] && got[1] != got[2] && got.iter().all(Json::is_string), "{got:?}");
    }

    #[test]
    fn a_file_that_has_grown_keeps_the_ids_of_its_first_lines() {
        assert_eq!(ids(&["{\"a\":1}", "{\"b\":2}"])[..1], ids(&["{\"a\":1}"])[..]);
    }

    #[test]
    fn a_line_with_an_id_and_a_line_that_is_no_object_stay_as_they_are() {
        let mut ids = LineIds::default();
        for line in ["{\"uuid\":\"x\",\"a\":1}", "[1]", "{broken", "", "{\"a\":123456789012345678901234567890"] {
            assert_eq!(ids.with_id(line.as_bytes()), line.as_bytes());
        }
        let kept = ids.with_id(b"{\"a\":123456789012345678901234567890}");
        assert!(String::from_utf8(kept).unwrap().ends_with("\"a\":123456789012345678901234567890}"));
    }
}
