-- A constant default: PostgreSQL adds the column without rewriting the table, and version 1 of the application,
-- which does not know the column, goes on inserting.
ALTER TABLE orders
  ADD COLUMN status text NOT NULL DEFAULT 'placed'
  CONSTRAINT orders_status_known CHECK (status IN ('placed', 'paid', 'shipped', 'cancelled'));

CREATE INDEX orders_status_idx ON orders (status);
