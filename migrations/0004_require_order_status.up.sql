-- ops: phase=contract
-- Version 2 names the status of every order it makes; from now on one that is forgotten is an error instead of a guess.
-- Version 1, which does not know the column, could not make orders any more: this waits until it has no traffic.
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
