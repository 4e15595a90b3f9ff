# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database with one of everything that a restore can get wrong."""

from __future__ import annotations

RICH = """
CREATE SCHEMA "Odd.Schema" AUTHORIZATION orchestrator;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, note text COLLATE "C", amount positive, m mood DEFAULT 'ok',
    twice int GENERATED ALWAYS AS (amount * 2) STORED, spare int);
ALTER TABLE orders DROP COLUMN spare;
INSERT INTO orders (note, amount) SELECT repeat(md5(g::text), 3), g FROM generate_series(1, 20000) g;
CREATE TABLE lines (id int GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3), order_id bigint REFERENCES orders,
    at timestamptz NOT NULL DEFAULT now(), what pair) PARTITION BY RANGE (at);
CREATE TABLE lines_old PARTITION OF lines FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE lines_new PARTITION OF lines DEFAULT;
INSERT INTO lines (order_id, at, what)
  SELECT g, '2019-12-01'::timestamptz + g * interval '1 hour', ROW(g, E'a\\nb\\t\\\\.'::text)::pair
  FROM generate_series(1, 2000) g;
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 2), (3, 3);
CREATE TABLE "Odd.Schema"."We""ird.T" ("sel ect" int, "ü" text);
INSERT INTO "Odd.Schema"."We""ird.T" VALUES (1, NULL), (2, '');
CREATE TABLE none ();
CREATE INDEX ON orders (lower(note)) WHERE amount > 10;
CREATE UNIQUE INDEX ON lines_new (id) INCLUDE (order_id);
CREATE INDEX ON lines (at);
CREATE STATISTICS orders_stats (dependencies) ON amount, note FROM orders;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE TRIGGER noted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noted();
CREATE FUNCTION add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT a + b';
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = 0);
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE CAST (pair AS text) WITH INOUT;
CREATE VIEW big AS SELECT id, add(amount) FROM orders WHERE amount > 10 WITH LOCAL CHECK OPTION;
CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM lines;
CREATE RULE nope AS ON DELETE TO "Odd.Schema"."We""ird.T" DO INSTEAD NOTHING;
CREATE POLICY own ON orders TO day2_observe USING (amount > 3);
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE SEQUENCE counter START 5;
SELECT nextval('counter'), nextval('counter');
CREATE SEQUENCE untouched MINVALUE -10 START -3;
CREATE PUBLICATION all_orders FOR TABLE orders;
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE COLLATION mine (LOCALE = 'C');
CREATE EXTENSION hstore;
CREATE EXTENSION dblink;
CREATE TABLE tags (h hstore);
INSERT INTO tags VALUES ('a=>1');
COMMENT ON TABLE orders IS 'it''s ours';
COMMENT ON COLUMN orders.note IS 'a note';
COMMENT ON INDEX orders_pkey IS 'key';
ALTER TABLE orders OWNER TO orchestrator;
ALTER VIEW big OWNER TO orchestrator;
ALTER FUNCTION add(int, int) OWNER TO orchestrator;
GRANT SELECT, INSERT ON orders TO day2_observe WITH GRANT OPTION;
GRANT SELECT (id, order_id) ON lines TO day2_observe;
GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO day2_observe;
REVOKE ALL ON FUNCTION add(int, int) FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO day2_observe, orchestrator;
GRANT SELECT ON pg_authid TO day2_observe;
ALTER DEFAULT PRIVILEGES FOR ROLE orchestrator IN SCHEMA public GRANT SELECT ON TABLES TO day2_observe;
SET ROLE orchestrator;
GRANT SELECT ON big TO day2_maintenance;
RESET ROLE;
SELECT lo_from_bytea(0, repeat('x', 5000)::bytea), lo_from_bytea(0, '');
"""

# What reaches out by itself, or would while it is restored. {port} is where the other server listens.
REACHING = """
CREATE EXTENSION postgres_fdw;
CREATE TABLE here (id int);
INSERT INTO here VALUES (1);
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{own}', dbname '{database}');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'postgres', password '{password}');
CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres', password '{password}');
CREATE FOREIGN TABLE there (id int) SERVER far OPTIONS (table_name 'here');
CREATE VIEW seen AS SELECT id FROM there;
CREATE MATERIALIZED VIEW copied AS SELECT id FROM seen;
CREATE MATERIALIZED VIEW own_copy AS SELECT id FROM here;
CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port={port} user=x dbname=x' PUBLICATION p
  WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION feed IS 'elsewhere';
CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''live''; END';
ALTER SERVER far OPTIONS (SET host '127.0.0.1', SET port '{port}');
CREATE EVENT TRIGGER watched ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION watched();
"""
