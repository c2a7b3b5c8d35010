//! Bytes arrive whole and in order, whatever the pieces; numbers read back as they were.

use proptest::prelude::*;
use std::cell::RefCell;
use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PullStore};
use tidegate_adapter::{Body, Page, Pieces, PullAdapter, Scrape, Snapshot, export_pull};

type Script = Box<dyn Fn(&mut Body)>;

thread_local! {
    static SCRIPT: RefCell<Option<Script>> = const { RefCell::new(None) };
}

/// A page that a test writes.
struct Scripted;

impl PullAdapter for Scripted {
    type Settings = ();

    fn render((): &(), snapshot: &Snapshot<'_>, by: &Scrape<'_>) -> Result<Page, String> {
        let mut page = Page::new(&by.header("ACCEPT").ok_or("no accept header")?);
        assert_eq!(snapshot.batches().len(), 1);
        SCRIPT.with_borrow(|script| script.as_ref().map(|script| script(page.body())));
        Ok(page)
    }
}

export_pull!(Scripted, name = "scripted");

fn page(script: impl Fn(&mut Body) + 'static) -> Vec<u8> {
    SCRIPT.set(Some(Box::new(script)));
    let batch = BatchBuilder::new("p", "s").metric(MetricBuilder::new("m", [""; 0])).build();
    let page = PullStore::<Scripted>::new([]).render(&[batch], &[("Accept", "text/x")]).unwrap();
    assert_eq!(page.content_type, "text/x");
    page.body
}

fn number(value: f64) -> String {
    String::from_utf8(page(move |body| body.number(value))).unwrap()
}

#[test]
fn a_page_that_cannot_be_made_is_an_error_for_the_operator() {
    let batch = BatchBuilder::new("p", "s").build();
    assert_eq!(PullStore::<Scripted>::new([]).render(&[batch], &[]), Err("no accept header".to_owned()));
}

#[test]
fn whole_numbers_have_no_fraction_and_others_are_as_short_as_can_be() {
    let table = [
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (-7.0, "-7"),
        (10.0, "10"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (9_007_199_254_740_994.0, "9007199254740994"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
    ];
    for (value, expected) in table {
        assert_eq!(number(value), expected);
    }
}

proptest! {
    #[test]
    fn every_number_reads_back_as_it_was(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(number(value).parse::<f64>().unwrap(), value);
    }

    #[test]
    fn writes_of_all_kinds_arrive_in_order_over_many_chunks(
        texts in proptest::collection::vec(".{0,90}", 1..20),
        writes in proptest::collection::vec((0..4_u8, 0..20_usize, 0..70_000_usize), 1..60),
    ) {
        let mut expected = Vec::new();
        for (kind, at, long) in &writes {
            let text = texts[at % texts.len()].as_bytes();
            match kind {
                0 => expected.extend_from_slice(text),
                1 => expected.push(*long as u8),
                2 => expected.extend(std::iter::repeat_n(b'x', *long)),
                _ => for _ in 0..long / 50 { expected.extend_from_slice(text) },
            }
        }
        let pieces = Pieces::of(&texts, |text, piece| piece.extend_from_slice(text.as_bytes()));
        let count = texts.len();
        let found = page(move |body| {
            for (kind, at, long) in &writes {
                let code = (at % count) as u32;
                match kind {
                    0 => body.write(pieces.get(code)),
                    1 => body.byte(*long as u8),
                    2 => body.text(&"x".repeat(*long)),
                    _ => for _ in 0..long / 50 { body.piece(&pieces, code) },
                }
            }
            // Beyond the last piece there is nothing.
            body.piece(&pieces, count as u32);
        });
        prop_assert!(found == expected);
    }
}
