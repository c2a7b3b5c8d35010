-- What a scraper has to give for a store's page, beside its URL. Kept in plain text: it is shown to whoever sets the scraper up.
CREATE TABLE pull_logins (
    store    INTEGER PRIMARY KEY REFERENCES stores (id) ON DELETE CASCADE,
    user     TEXT NOT NULL,
    password TEXT NOT NULL
) STRICT;
