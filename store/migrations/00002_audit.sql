-- +goose Up
-- What was decided. A row is written in the transaction of the deed and never changed.
CREATE TABLE audit (
    id      TEXT   NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    actor   TEXT   NOT NULL,
    phone   TEXT   NOT NULL,
    request TEXT   NOT NULL,
    session TEXT   NOT NULL,
    service TEXT   NOT NULL,
    browser TEXT   NOT NULL,
    detail  TEXT   NOT NULL,
    evidence BYTEA NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_request ON audit (request);
-- Who it was about and from where: personal, so that it can be erased while the fact stays.
CREATE TABLE audit_person (
    id           TEXT   NOT NULL PRIMARY KEY REFERENCES audit (id),
    at           BIGINT NOT NULL,
    professional TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    agent        TEXT   NOT NULL
);
CREATE INDEX audit_person_professional ON audit_person (professional, at);
