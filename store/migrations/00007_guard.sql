-- +goose Up
-- Each ring of a proven browser; approved is 0 until its request was approved.
CREATE TABLE rings (
    request      TEXT   NOT NULL PRIMARY KEY,
    browser      TEXT   NOT NULL,
    professional TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    approved     BIGINT NOT NULL
);
CREATE INDEX rings_of ON rings (professional, browser, at);
CREATE INDEX rings_at ON rings (at);
