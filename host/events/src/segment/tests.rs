use super::*;
use proptest::prelude::*;
use tidegate_model::Instant;

type Row = (Option<Cell>, Option<[u8; 16]>);

fn cell() -> impl Strategy<Value = Option<Cell>> {
    prop_oneof![
        Just(None),
        (1u32..).prop_map(|c| Some(Cell::Text(c))),
        (1u32..300).prop_map(|c| Some(Cell::Text(c))),
        any::<i64>().prop_map(|i| Some(Cell::Int(i))),
        (-3i64..70_000).prop_map(|i| Some(Cell::Int(i))),
        (-1e9..1e9).prop_map(|f| Some(Cell::Float(f))),
        any::<bool>().prop_map(|b| Some(Cell::Bool(b))),
    ]
}

/// Pieces in memory.
struct Kept<'a> {
    head: &'a [u8],
    apart: Vec<Vec<u8>>,
}

impl Pieces for Kept<'_> {
    type Error = SegmentError;

    fn apart(&self, place: usize) -> Result<Option<Vec<u8>>, SegmentError> {
        Ok(self.apart.get(place).cloned())
    }

    fn together(&self) -> &[u8] {
        self.head
    }
}

fn stored(rows: &[Row]) -> Vec<u8> {
    let encoded = encoded(rows);
    assert_eq!(encoded.apart().count(), 0, "a small segment is one piece");
    encoded.head
}

fn encoded(rows: &[Row]) -> Encoded {
    let mut arrivals = Arrivals::default();
    let mut column = ColumnBuilder::default();
    for (i, (cell, _)) in rows.iter().enumerate() {
        arrivals.push(Instant::from_micros(1000 + (i as u64) / 3), 1);
        if let Some(cell) = cell {
            column.put(i, *cell);
        }
    }
    let mut encoder = Encoder::new(&arrivals).unwrap();
    encoder.uuids(&rows.iter().map(|r| r.1).collect::<Vec<_>>()).unwrap();
    encoder.column(7, &column.finish(rows.len())).unwrap();
    encoder.finish()
}

fn read_all(bytes: &[u8]) -> Result<Vec<Row>, SegmentError> {
    read_pieces(&Kept { head: bytes, apart: Vec::new() })
}

fn read_pieces(from: &Kept<'_>) -> Result<Vec<Row>, SegmentError> {
    let directory = Directory::read(from.head)?;
    directory.arrivals(from)?;
    let column = directory.column(7, from)?.unwrap_or_default();
    let uuids = directory.uuids(from)?;
    Ok((0..directory.rows()).map(|i| (column.cell(i), uuids.get(i).copied().flatten())).collect())
}

proptest! {
    #[test]
    fn a_segment_with_any_mix_of_types_reads_back_as_it_was(rows in prop::collection::vec((cell(), any::<Option<[u8; 16]>>()), 0..300)) {
        let bytes = stored(&rows);
        prop_assert_eq!(read_all(&bytes).unwrap(), rows.clone());
        let arrivals = Directory::read(&bytes).unwrap().arrivals(&Kept { head: &bytes, apart: Vec::new() }).unwrap();
        let expected: Vec<_> = (0..rows.len()).filter(|i| (1002..1010).contains(&(1000 + i / 3))).collect();
        let found = arrivals.between(Instant::from_micros(1002), Instant::from_micros(1010));
        prop_assert_eq!(found.map(|r| r as usize).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_damaged_byte_is_an_error_and_never_a_panic_or_another_value(
        rows in prop::collection::vec((cell(), any::<Option<[u8; 16]>>()), 1..200), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut bytes = stored(&rows);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(read_all(&bytes).is_err(), "byte {} of {}", at, bytes.len());
    }

    #[test]
    fn a_segment_that_was_cut_short_is_an_error(rows in prop::collection::vec((cell(), any::<Option<[u8; 16]>>()), 1..50), at in any::<prop::sample::Index>()) {
        let bytes = stored(&rows);
        prop_assert!(read_all(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn bytes_of_anything_else_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read_all(&bytes).is_err());
        for mark in [TOGETHER, APART, UNCOUNTED_TOGETHER, UNCOUNTED_APART] {
            let marked = [mark.as_slice(), &bytes].concat();
            prop_assert!(read_all(&marked).is_err());
        }
    }
}

#[test]
fn a_piece_that_claims_more_than_its_rows_can_need_is_refused_before_it_is_unpacked() {
    // The checksums are right, so that only the claimed length is left to stop it.
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
    let mut bytes = [TOGETHER.as_slice(), &1u32.to_le_bytes(), &1u32.to_le_bytes()].concat();
    for n in [7, u32::try_from(bomb.len()).unwrap(), 1 << 20, checksum(&bomb), 1] {
        bytes.extend_from_slice(&n.to_le_bytes());
    }
    let head = checksum(&bytes);
    bytes.extend_from_slice(&head.to_le_bytes());
    bytes.extend_from_slice(&bomb);
    let from = Kept { head: &bytes, apart: Vec::new() };
    let error = Directory::read(&bytes).unwrap().column(7, &from).unwrap_err().to_string();
    assert_eq!(error, "column 7 of a segment: expected no more bytes than its rows need");
}

#[test]
fn a_later_version_of_the_form_is_not_taken_for_this_one() {
    let mut bytes = stored(&[(Some(Cell::Int(1)), None)]);
    bytes[3] = 5;
    assert_eq!(read_all(&bytes), Err(SegmentError::Mark));
}

#[test]
fn a_large_segment_is_a_directory_and_pieces_apart_and_damage_to_any_of_them_is_an_error() {
    let row = |n: u32| (Some(Cell::Text(n % 300 + 1)), n.is_multiple_of(2).then(|| u128::from(n).to_le_bytes()));
    let rows: Vec<Row> = (0..5_000).map(row).collect();
    let encoded = encoded(&rows);
    let apart: Vec<Vec<u8>> = encoded.apart().map(<[u8]>::to_vec).collect();
    assert_eq!(apart.len(), 3, "arrivals, uuids, one column");
    assert_eq!(encoded.len(), encoded.head.len() + apart.iter().map(Vec::len).sum::<usize>());
    let mut kept = Kept { head: &encoded.head, apart };
    assert_eq!(read_pieces(&kept).unwrap(), rows);
    for place in 0..3 {
        let whole = kept.apart[place].clone();
        for damaged in [vec![], whole[1..].to_vec(), [whole.as_slice(), b"x"].concat()] {
            kept.apart[place] = damaged;
            assert!(matches!(read_pieces(&kept), Err(SegmentError::Checksum { .. })), "piece {place}");
        }
        kept.apart[place][0] ^= 1;
        assert!(matches!(read_pieces(&kept), Err(SegmentError::Checksum { .. })), "piece {place}");
        kept.apart[place] = whole;
    }
    kept.apart.pop();
    assert_eq!(read_pieces(&kept).unwrap_err().to_string(), "column 7 of a segment: expected it to be there");
}

/// The head of a segment as versions 1 and 2 wrote it: without the numbers of events that have a value.
fn uncounted(head: &[u8]) -> Vec<u8> {
    let count = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
    let mark = if head.starts_with(APART) { UNCOUNTED_APART } else { UNCOUNTED_TOGETHER };
    let mut old = [mark.as_slice(), &head[4..12]].concat();
    let end = 12 + count * ENTRY_BYTES;
    head[12..end].chunks(ENTRY_BYTES).for_each(|entry| old.extend_from_slice(&entry[..UNCOUNTED_ENTRY_BYTES]));
    let checksum = checksum(&old);
    old.extend_from_slice(&checksum.to_le_bytes());
    old.extend_from_slice(&head[end + 4..]);
    old
}

proptest! {
    #[test]
    fn the_directory_tells_how_many_events_have_an_attribute_and_that_of_an_older_version_does_not(
        rows in prop::collection::vec((cell(), any::<Option<[u8; 16]>>()), 0..200), large in any::<bool>(),
    ) {
        let rows = if large { rows.iter().cycle().take(rows.len() * 300).copied().collect() } else { rows };
        let encoded = encoded(&rows);
        let values = rows.iter().filter(|(cell, _)| cell.is_some()).count();
        let directory = Directory::read(&encoded.head).unwrap();
        prop_assert_eq!((directory.filled(7), directory.filled(8)), (Some(values), Some(0)));
        let old = uncounted(&encoded.head);
        let from = Kept { head: &old, apart: encoded.apart().map(<[u8]>::to_vec).collect() };
        prop_assert_eq!(read_pieces(&from).unwrap(), rows);
        prop_assert_eq!(Directory::read(&old).unwrap().filled(7), None);
    }
}
