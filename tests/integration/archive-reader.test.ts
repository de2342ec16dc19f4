import { execFileSync } from "node:child_process";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { ArchiveReader } from "../../src/archive/custom-format.ts";
import { findProgram } from "../../src/postgres/programs.ts";
import { startTestCluster } from "../support/postgres.ts";

/** A real archive: short rows, one of 300,000 bytes, an empty table and a large object. */
describe("an archive of pg_dump", () => {
  let archive: Buffer;

  beforeAll(async () => {
    await using made = new AsyncDisposableStack();
    const cluster = await startTestCluster();
    made.defer(() => cluster.stop());
    const client = new pg.Client({ connectionString: cluster.url() });
    await client.connect();
    await client.query(`
      CREATE TABLE short AS SELECT n, 'row ' || n AS text FROM generate_series(1, 2000) AS n;
      CREATE TABLE long AS SELECT 1 AS n, repeat('long ', 60000) AS text;
      CREATE TABLE empty (n int);
      SELECT lo_from_bytea(0, convert_to(repeat('large object', 10000), 'UTF8'))`);
    await client.end();
    const { path } = await findProgram("pg_dump", 0);
    archive = execFileSync(path, ["--format=custom", "--compress=0", cluster.url()], {
      maxBuffer: 10_000_000,
    });
  });

  it.each([1, 7, 4096, 65_536, 10_000_000])("is the same when it comes in chunks of %i bytes", (size) => {
    const whole = new ArchiveReader();
    whole.write(archive);
    const inChunks = new ArchiveReader();

    for (let from = 0; from < archive.length; from += size) {
      const chunk = Buffer.from(archive.subarray(from, from + size));
      inChunks.write(chunk);
      // It may be gone after the call.
      chunk.fill(0);
    }

    const found = inChunks.finish();
    expect(found).toEqual(whole.finish());
    expect(new Map(found.map(({ name, rows }) => [name, rows]))).toEqual(
      new Map([
        ["empty", 0],
        ["long", 1],
        ["short", 2000],
      ]),
    );
  });

  it("is refused where it ends too early", () => {
    const reader = new ArchiveReader();
    reader.write(archive.subarray(0, archive.length - 3));

    expect(() => reader.finish()).toThrow(expect.objectContaining({ code: "E_ARCHIVE_FORMAT" }));
  });
});
