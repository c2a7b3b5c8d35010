-- The name of the key under which every secret in this file lies: secret settings, passwords of pages, secret parts of pull URLs.
-- Without a row they are still plain, as earlier versions wrote them, and are sealed at the next start.
CREATE TABLE sealed_with (key TEXT NOT NULL) STRICT;
