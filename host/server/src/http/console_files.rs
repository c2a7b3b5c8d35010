//! The files of the web console, all of them: a test compares the list with the folder.

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Path below the folder of the console, and content.
        pub(super) const FILES: &[(&str, &[u8])] = &[$(($path, include_bytes!(concat!("../../console/", $path)))),*];
    };
}

files! {
    "css/base.css",
    "css/content.css",
    "css/controls.css",
    "css/frame.css",
    "css/pages.css",
    "img/mark.svg",
    "js/charts/bars.js",
    "js/charts/scale.js",
    "js/charts/series.js",
    "js/charts/spark.js",
    "js/lib/api.js",
    "js/lib/dom.js",
    "js/lib/format.js",
    "js/lib/router.js",
    "js/lib/session.js",
    "js/main.js",
    "js/pages/adapters.js",
    "js/pages/audit.js",
    "js/pages/event.js",
    "js/pages/explore-ask.js",
    "js/pages/explore-export.js",
    "js/pages/explore-results.js",
    "js/pages/explore.js",
    "js/pages/metrics.js",
    "js/pages/projects.js",
    "js/pages/signin.js",
    "js/pages/states.js",
    "js/pages/store-adapter.js",
    "js/pages/store-form.js",
    "js/pages/store-history.js",
    "js/pages/store-look.js",
    "js/pages/stores.js",
    "js/pages/tokens.js",
    "js/pages/users.js",
    "js/parts/bits.js",
    "js/parts/dialog.js",
    "js/parts/fields.js",
    "js/parts/frame.js",
    "js/parts/icons.js",
    "js/parts/limits.js",
    "js/parts/listing.js",
    "js/parts/say.js",
    "js/parts/schema.js",
    "js/query/run.js",
    "js/query/state.js",
    "js/query/words.js",
    "js/routes.js",
    "js/theme.js",
}
