//! The template of a new adapter, compiled and tested where it is, and the pages that show it.

#[path = "../../templates/collector/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own where it is copied to")]
mod collector;

include!("../../templates/collector/tests/encodes.rs");

mod page {
    //! The pull adapter of the authors' page.

    use tidegate_adapter::{Page, PullAdapter, Scrape, Snapshot};

    struct Table;

    impl PullAdapter for Table {
        type Settings = ();

        fn render(_: &(), snapshot: &Snapshot<'_>, _: &Scrape<'_>) -> Result<Page, String> {
            let mut page = Page::new("text/csv; charset=utf-8");
            for batch in snapshot.batches() {
                for metric in batch.metrics() {
                    for row in metric.columns().all() {
                        for (measure, total) in row.totals() {
                            page.body().text(&format!("{},{}_total,{total}\n", metric.name(), measure.aggregate));
                        }
                    }
                }
            }
            Ok(page)
        }
    }

    #[test]
    fn a_page_has_a_line_for_each_total() {
        use tidegate_adapter::testing::{BatchBuilder, MetricBuilder, PullStore};
        let metric = MetricBuilder::new("m", ["d"]).measure("count", "_tx").past_row(["a"], [2.0]);
        let batch = BatchBuilder::new("p", "s").metric(metric).build();
        let page = PullStore::<Table>::new([]).render(&[batch], &[]).unwrap();
        assert_eq!(page.text(), "m,count_total,2\n");
    }
}

#[test]
fn all_code_on_the_authors_page_is_code_that_is_compiled_here() {
    let unindented = |text: &str| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    let compiled = [
        include_str!("../../templates/collector/src/lib.rs"),
        include_str!("../../templates/collector/tests/encodes.rs"),
        include_str!("both.rs"),
        include_str!("delivery.rs"),
        include_str!("settings.rs"),
        include_str!("template.rs"),
    ]
    .map(unindented);
    let document = include_str!("../../../docs/adapter-authors.md");
    let mut blocks = 0;
    for block in document.split("```rust\n").skip(1) {
        let code = unindented(block.split("```").next().unwrap().trim_end());
        assert!(compiled.iter().any(|file| file.contains(&code)), "compiled nowhere:\n{code}");
        blocks += 1;
    }
    assert!(blocks >= 4, "{blocks} blocks");
    let manifest = include_str!("../../templates/collector/Cargo.toml");
    let shown = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(shown, manifest.replace("path = \"../../rust\"", "path = \"../tidegate/sdk/rust\""));
}
