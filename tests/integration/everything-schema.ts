/** One of everything that a database can hold and a restore can lose. */
export const everythingSchema = `
  CREATE EXTENSION pg_trgm;
  CREATE EXTENSION hstore SCHEMA public;
  CREATE SCHEMA "Größe; --";
  CREATE TYPE mood AS ENUM ('fine', 'so "so"');
  CREATE TYPE point3 AS (x float8, y float8, z float8);
  CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%') NOT NULL;
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.changed := '2026-01-01'; RETURN NEW; END$$;
  CREATE FUNCTION nothing_event() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
  CREATE FUNCTION longer(text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT length($1) * 2';

  CREATE TABLE public.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer email,
    amount numeric(12, 2) CHECK (amount >= 0),
    doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
    place point3, m mood DEFAULT 'fine', tags text[], extra hstore, changed timestamptz);
  INSERT INTO public.orders (customer, amount, place, tags, extra)
    SELECT 'a' || i || '@x.org', i / 3.0, ROW(i, 1.1::float8, 'NaN'::float8)::point3, ARRAY['\\n', E'tab\\t', NULL, 'ü'], hstore('k', i::text)
      FROM generate_series(1, 3000) i;
  CREATE TRIGGER touched BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION touch();
  CREATE INDEX ON public.orders USING gin (tags);
  CREATE INDEX ON public.orders (longer(customer)) WHERE amount > 10;
  CREATE STATISTICS order_statistics (dependencies) ON amount, m FROM public.orders;

  CREATE TABLE public.items (order_id bigint REFERENCES public.orders ON DELETE CASCADE, n int, PRIMARY KEY (order_id, n));
  INSERT INTO public.items SELECT i, 1 FROM generate_series(1, 3000) i;

  CREATE TABLE "Größe; --"."Küche ""a""" (id serial PRIMARY KEY, "naïve ""name""" text UNIQUE, raw bytea);
  INSERT INTO "Größe; --"."Küche ""a""" ("naïve ""name""", raw)
    SELECT md5(i::text) || E'\\nline\\\\', decode(md5(i::text), 'hex') FROM generate_series(1, 2000) i;
  SELECT setval('"Größe; --"."Küche ""a""_id_seq"', 7777);

  CREATE TABLE public.measurement (at timestamptz NOT NULL, sensor int, value numeric, PRIMARY KEY (at, sensor)) PARTITION BY RANGE (at);
  CREATE TABLE public.measurement_2025 PARTITION OF public.measurement FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE public.measurement_2026 PARTITION OF public.measurement FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY HASH (sensor);
  CREATE TABLE public.measurement_2026_0 PARTITION OF public.measurement_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE public.measurement_2026_1 PARTITION OF public.measurement_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE INDEX ON public.measurement (value);
  INSERT INTO public.measurement SELECT timestamptz '2025-12-01' + i * interval '1 hour', i % 7, i / 7.0 FROM generate_series(1, 4000) i;

  CREATE TABLE public.animal (id int PRIMARY KEY, name text);
  CREATE TABLE public.cat (lives int DEFAULT 9) INHERITS (public.animal);
  INSERT INTO public.animal VALUES (1, 'cow');
  INSERT INTO public.cat VALUES (2, 'tom', 8);
  CREATE UNLOGGED TABLE public.cache AS SELECT i FROM generate_series(1, 100) i;
  CREATE TABLE public.empty_line (t text);
  INSERT INTO public.empty_line VALUES (''), ('\\.'), (NULL), (E'\\\\.'), (''), (E'a\\\\.\\nb');

  CREATE SEQUENCE public.free INCREMENT 5 START 100;
  SELECT nextval('public.free');
  CREATE VIEW public.recent AS SELECT * FROM public.measurement WHERE at > '2026-02-01';
  CREATE VIEW public.by_order AS SELECT o.*, count(*) AS n FROM public.orders o JOIN public.items i ON i.order_id = o.id GROUP BY o.id;
  CREATE MATERIALIZED VIEW public.total AS SELECT sum(value) AS total FROM public.measurement;
  CREATE UNIQUE INDEX ON public.total (total);
  CREATE MATERIALIZED VIEW public.later AS SELECT 1 AS x WITH NO DATA;
  CREATE RULE no_delete AS ON DELETE TO public.animal DO INSTEAD NOTHING;

  ALTER TABLE public.items ENABLE ROW LEVEL SECURITY;
  ALTER TABLE public.items FORCE ROW LEVEL SECURITY;
  CREATE POLICY own ON public.items FOR SELECT TO everything_reader USING (n > 0);
  GRANT SELECT (id, amount) ON public.orders TO everything_reader;
  GRANT USAGE ON SCHEMA "Größe; --" TO everything_reader WITH GRANT OPTION;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO everything_reader;
  COMMENT ON TABLE public.orders IS 'what people "buy"; it''s important';
  COMMENT ON COLUMN public.orders.amount IS 'in €';
  CREATE PUBLICATION changes FOR TABLE public.orders (id, amount) WHERE (amount > 5);
  CREATE COLLATION public.german (provider = icu, locale = 'de-u-co-phonebk');
  CREATE AGGREGATE public.product(float8) (sfunc = float8mul, stype = float8, initcond = 1);
  CREATE TEXT SEARCH CONFIGURATION public.plain (COPY = simple);
  CREATE FOREIGN DATA WRAPPER nowhere;
  CREATE SERVER away FOREIGN DATA WRAPPER nowhere;
  CREATE FOREIGN TABLE public.far (id int) SERVER away;
  CREATE EVENT TRIGGER nothing_happens ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION nothing_event();
  SELECT lo_from_bytea(4242, 'a large object');
  COMMENT ON LARGE OBJECT 4242 IS 'a picture';
`;

/** What the schema needs and a database does not hold. */
export const everythingRoles = "CREATE ROLE everything_reader";
