CREATE TABLE customer (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name       text NOT NULL,
  email      text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES customer,
  total       numeric(10, 2) NOT NULL CHECK (total >= 0),
  placed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_customer_id_idx ON orders (customer_id);

INSERT INTO customer (name, email, created_at)
SELECT 'Customer ' || n, 'customer' || n || '@example.com', timestamptz '2026-01-01 00:00+00' + n * interval '1 hour'
FROM generate_series(1, 100) AS n;

INSERT INTO orders (customer_id, total, placed_at)
SELECT 1 + (n * 37) % 100, (n * 7919) % 50000 / 100.0, timestamptz '2026-02-01 00:00+00' + n * interval '20 minutes'
FROM generate_series(1, 500) AS n;
