-- +goose Up
-- A lasting key of a browser. Registered only when an approval that names it arrives.
CREATE TABLE browsers (
    thumbprint TEXT   NOT NULL PRIMARY KEY,
    jwk        TEXT   NOT NULL,
    cookie     TEXT   NOT NULL,
    agent      TEXT   NOT NULL,
    system     TEXT   NOT NULL,
    created    BIGINT NOT NULL
);
CREATE INDEX browsers_cookie ON browsers (cookie);
-- The professionals for whom a browser is proven. dropped is 0 while it stands.
CREATE TABLE browsers_kept (
    browser      TEXT   NOT NULL REFERENCES browsers (thumbprint),
    professional TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    since        BIGINT NOT NULL,
    last_use     BIGINT NOT NULL,
    dropped      BIGINT NOT NULL,
    PRIMARY KEY (browser, professional)
);
CREATE INDEX browsers_kept_professional ON browsers_kept (professional);
