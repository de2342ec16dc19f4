import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parsePoint } from "../../../src/load-engine/k6-output.ts";
import { k6Script } from "../../../src/load-engine/k6-script.ts";
import { makeLoad } from "../../../src/load-engine/make-load.ts";
import type { LoadPlan } from "../../../src/load-engine/plan.ts";

/** Lines as k6's documentation of its JSON output has them, with the tags that the script asks for. */
const recorded = fileURLToPath(new URL("../../fixtures/k6/points.jsonl", import.meta.url));
const never = new AbortController().signal;

describe("k6", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops-k6-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const plan = (program: string): LoadPlan => ({
    engine: "k6",
    program,
    origin: "http://127.0.0.1:1",
    steps: ["GET /", "POST /orders"].map((name) => ({
      name,
      method: "GET",
      path: "/",
      headers: { a: "b" },
      thinkMs: 0,
    })),
    users: 2,
    durationMs: 2000,
    rampUpMs: 0,
    timeoutMs: 1000,
    intervalMs: 1000,
  });

  /**
   * Stands in for the program itself, which no registry has: it says what was recorded, and what it was told. As k6 does
   * it, it opens the path that it is given for its points, and writes to its own standard output for "-" only.
   */
  async function standIn(body: string): Promise<string> {
    const file = join(folder, "k6");
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  }

  test("its points become the same figures as those of the other engine", async () => {
    const program = await standIn(
      `cat > ${folder}/script; echo "$@" > ${folder}/arguments; echo "$OPS_LOAD" > ${folder}/plan
       while [ "$1" != --out ]; do shift; done
       case "$2" in json=-) cat ${recorded} ;; json=*) cat ${recorded} > "\${2#json=}" ;; esac`,
    );
    const figures = await makeLoad(plan(program), { stop: never, signal: never, onInterval: () => {} });

    expect(figures).toMatchObject({
      requests: 5,
      bad: 3,
      failures: { status: 1, timeout: 1, connection: 1 },
      statuses: { 200: 1, 201: 1, 503: 1 },
      throughput: 1,
    });
    expect(figures.intervals.map(({ requests, bad }) => [requests, bad])).toEqual([
      [2, 0],
      [3, 3],
    ]);
    // Given up after a second: that long at least.
    expect(figures.latency.max).toBeCloseTo(1000, -1);
    expect(figures.steps.map(({ requests, bad }) => [requests, bad])).toEqual([
      [2, 1],
      [3, 2],
    ]);
    expect(await readFile(join(folder, "script"), "utf8")).toBe(k6Script);
    expect(await readFile(join(folder, "arguments"), "utf8")).toMatch(/^run .*--out json=- -\n$/);
    expect(JSON.parse(await readFile(join(folder, "plan"), "utf8"))).toMatchObject({ users: 2 });
  });

  test("its failure is told with its words", async () => {
    const program = await standIn("cat > /dev/null; echo 'invalid option' >&2; exit 104");

    await expect(
      makeLoad(plan(program), { stop: never, signal: never, onInterval: () => {} }),
    ).rejects.toThrow(
      expect.objectContaining({
        code: "E_LOAD_GENERATOR",
        message: expect.stringContaining("invalid option"),
      }),
    );
  });

  test.each([
    "",
    "running (0m01s)",
    '{"type":"Metric","metric":"vus","data":{}}',
    '{"type":"Point","da',
    "{}",
  ])("the line %j says nothing", (line) => {
    expect(parsePoint(line)).toBeUndefined();
  });

  test("the script asks for each step under its number, follows no redirect and ramps up in steps", () => {
    const asked: unknown[][] = [];
    const text = k6Script.replace(/^import .*$/gm, "").replace(/^export (default )?/gm, "");
    const context = {
      __ENV: { OPS_LOAD: JSON.stringify({ ...plan("k6"), users: 20, rampUpMs: 1000 }) },
      http: { request: (...given: unknown[]) => asked.push(given) },
      sleep: () => {},
      found: {} as {
        options?: { maxRedirects: number; scenarios: { users: { stages: { target: number }[] } } };
        user?: () => void;
      },
    };
    new Script(
      `${text.replace("function ()", "found.user = function ()")}\nfound.options = options;`,
    ).runInNewContext(context);
    context.found.user?.();

    expect(asked).toMatchObject([
      ["GET", "http://127.0.0.1:1/", null, { headers: { a: "b" }, tags: { name: "0" } }],
      ["GET", "http://127.0.0.1:1/", null, { tags: { name: "1" } }],
    ]);
    const { options } = context.found;
    expect(options?.maxRedirects).toBe(0);
    expect(options?.scenarios.users.stages.map(({ target }) => target)).toEqual([
      ...[2, 4, 6, 8, 10, 12, 14, 16, 18, 20].flatMap((each) => [each, each]),
      20,
    ]);
  });
});
