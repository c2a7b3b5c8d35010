//! Catalog, schedule, windows, ledger, push delivery, pull pages, egress.
