import { appendFile, chmod, chown, lstat, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { FlagDefinition } from "../../../src/flag-source/definition.ts";
import { documentOf, emptySet, withEvaluator, withFlag } from "../../../src/flag-source/flag-set.ts";
import type { FlagSource } from "../../../src/flag-source/flag-source.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { contextOf, flag } from "../../support/flag-operations.ts";
import { databasePlace, type FlagPlace, filePlace, note, sql } from "../../support/flag-sources.ts";
import { startTestCluster } from "../../support/postgres.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());

const pooling: FlagDefinition = {
  state: "ENABLED",
  variants: { on: true, off: false },
  defaultVariant: "off",
  targeting: {
    if: [
      { $ref: "beta" },
      "on",
      {
        fractional: [
          ["on", 10],
          ["off", 90],
        ],
      },
    ],
  },
  metadata: { description: 'with "quotes", ümlauts: and\nlines', owner: "shop", protected: true, tries: 3 },
};
const colour: FlagDefinition = {
  state: "DISABLED",
  variants: { red: { r: 255, list: [1, null, "x"] }, none: {} },
  defaultVariant: "none",
};
const beta = { ends_with: [{ var: "email" }, "@example.com"] };

describe.each(["postgres", "flags.json", "flags.yaml"] as const)("flags in %s", (kind) => {
  let place: FlagPlace;
  let source: FlagSource;

  beforeEach(async () => {
    place = kind === "postgres" ? await databasePlace(cluster) : await filePlace(kind);
    source = place.open();
    return async () => {
      await source.close();
      await place.remove();
    };
  });

  const another = (): FlagSource => {
    const opened = place.open();
    onTestFinished(() => opened.close());
    return opened;
  };

  test("are none where nothing was ever written, and reading makes nothing", async () => {
    expect(await source.read()).toEqual(emptySet);
    expect(await source.changes({ limit: 10 })).toEqual([]);
    if (place.url !== undefined) {
      expect(await sql(place.url, "SELECT to_regnamespace('ops') AS made")).toEqual([{ made: null }]);
    }
  });

  test("come back as they were written, segments and all, with time and author", async () => {
    await source.update(note, (now) =>
      withEvaluator(withFlag(withFlag(now, "pooling", pooling), "colour", colour), "beta", beta),
    );
    const set = await another().read();
    expect(documentOf(set)).toEqual({ flags: { pooling, colour }, $evaluators: { beta } });
    expect(set.flags.get("pooling")?.changedBy).toBe("ann@laptop");
    expect(Date.now() - Date.parse(set.flags.get("pooling")?.changedAt ?? "")).toBeLessThan(60_000);
  });

  test("keep a history of who, when, from which run, why, before and after", async () => {
    await source.update(note, (now) => withFlag(now, "colour", colour));
    await source.update({ ...note, actor: "bob", reason: undefined }, (now) =>
      withFlag(now, "colour", { ...colour, state: "ENABLED" }),
    );
    await source.update(note, (now) => withFlag(now, "colour", null));
    const history = await source.changes({ flag: "colour", limit: 10 });
    expect(history).toMatchObject([
      { before: { state: "ENABLED" }, after: null },
      { actor: "bob", reason: null, before: colour, after: { ...colour, state: "ENABLED" } },
      {
        actor: "ann@laptop",
        run: note.run,
        operation: "flag.set",
        reason: "a test",
        before: null,
        after: colour,
      },
    ]);
    expect(await source.changes({ limit: 1 })).toHaveLength(1);
    expect((await source.read()).flags.size).toBe(0);
  });

  test("may be called what every object of JavaScript has", async () => {
    await source.update(note, (now) => withFlag(withFlag(now, "colour", colour), "constructor", colour));
    expect([...(await another().read()).flags.keys()]).toEqual(["colour", "constructor"]);
    await source.update(note, (now) => withFlag(now, "constructor", null));
    expect([...(await another().read()).flags.keys()]).toEqual(["colour"]);
  });

  test("can be killed whatever their texts and numbers are", async () => {
    const odd = { ...colour, metadata: { description: "a\u0000b \ud800" } };
    await source.update(note, (now) => withFlag(now, "colour", odd));
    if (place.url !== undefined) {
      await sql(
        place.url,
        `UPDATE ops.flag SET definition = replace(definition::text, '255', '1234567890123456789.25')::json`,
      );
    }
    await flag(contextOf(place), "kill", { flag: "colour", variant: "none" });
    expect((await another().read()).flags.get("colour")?.definition.metadata).toHaveProperty("killed-by");
    await source.update(note, (now) => withFlag(now, "colour", null));
    expect((await another().read()).flags.size).toBe(0);
  });

  test("that say the same already are not written again", async () => {
    await source.update(note, (now) => withFlag(now, "colour", colour));
    const { metadata: _, ...reordered } = {
      ...colour,
      variants: { none: {}, red: colour.variants.red ?? null },
      metadata: 1,
    };
    await source.update(note, (now) => withFlag(now, "colour", reordered));
    expect(await source.changes({ limit: 10 })).toHaveLength(1);
  });

  test("refuse what flagd would refuse, and store nothing of it", async () => {
    await source.update(note, (now) => withFlag(now, "colour", colour));
    const broken = {
      ...pooling,
      targeting: {
        fractional: [
          ["on", 0.5],
          ["off", 99.5],
        ],
      },
    };
    await expect(
      source.update(note, (now) => withFlag(withFlag(now, "fine", colour), "pooling", broken)),
    ).rejects.toMatchObject({ code: "E_FLAG_INVALID", exitCode: 2 });
    expect([...(await source.read()).flags.keys()]).toEqual(["colour"]);
    expect(await source.changes({ limit: 10 })).toHaveLength(1);
  });

  test("lose no change of twenty writers at once", async () => {
    const count = (set: { flags: ReadonlyMap<string, { definition: FlagDefinition }> }) =>
      Number(set.flags.get("counter")?.definition.metadata?.tries ?? 0);
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) =>
        another().update(note, (now) => {
          const own = withFlag(now, `own-${index}`, colour);
          return withFlag(own, "counter", { ...colour, metadata: { tries: count(now) + 1 } });
        }),
      ),
    );
    const set = await source.read();
    expect(count(set)).toBe(20);
    expect(set.flags.size).toBe(21);
    expect((await source.changes({ flag: "counter", limit: 100 })).map((each) => each.after)).toHaveLength(
      20,
    );
  });

  test("tell a reader of a change in less than a second, also of one by hand", async () => {
    await source.update(note, (now) => withFlag(now, "colour", colour));
    const reader = another();
    const ended = new AbortController();
    let told = Promise.withResolvers<number>();
    const watching = reader.watch(() => told.resolve(performance.now()), ended.signal);
    await told.promise;
    const changed = async (change: () => Promise<unknown>): Promise<number> => {
      told = Promise.withResolvers<number>();
      const from = performance.now();
      await change();
      return (await told.promise) - from;
    };
    expect(await changed(() => source.update(note, (now) => withFlag(now, "other", colour)))).toBeLessThan(
      1000,
    );
    const byHand =
      place.url === undefined
        ? () => appendFile(place.file ?? "", "\n")
        : () => sql(place.url ?? "", "DELETE FROM ops.flag WHERE name = 'other'");
    await changed(byHand);
    ended.abort();
    await watching;
  });
});

describe("a file of flags", () => {
  const place = async (name: "flags.json" | "flags.yaml", text: string): Promise<FlagPlace> => {
    const made = await filePlace(name);
    onTestFinished(() => made.remove());
    await writeFile(made.file ?? "", text);
    return made;
  };
  const at = (source: FlagPlace) => readFile(source.file ?? "", "utf8");

  test("in JSON keeps everything but the place of the change", async () => {
    const text = `{
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "flags": {
        "b": {"state": "ENABLED", "variants": {"on": true, "off": false},   "defaultVariant": "on"},
        "a": {
            "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off"
        }
    }
}`;
    const made = await place("flags.json", text);
    const source = made.open();
    await source.update(note, (now) =>
      withFlag(now, "a", { state: "ENABLED", variants: { on: true, off: false }, defaultVariant: "on" }),
    );
    expect(await at(made)).toBe(text.replace('"defaultVariant": "off"', '"defaultVariant": "on"'));
    await source.update(note, (now) => withFlag(now, "c", colour));
    expect(await at(made)).toContain('\n        "c": {\n            "state": "DISABLED"');
  });

  test("in YAML keeps comments, order and quotes", async () => {
    const text = `# Flags of the shop
flags:
  # first
  b:
    state: ENABLED # since May
    variants: { on: true, off: false }
    defaultVariant: "on"
  # the banner
  a:
    state: 'ENABLED'
    variants:
      "on": true
      "off": false # not yet
    defaultVariant: "off" # for now
`;
    const made = await place(
      "flags.yaml",
      text.replace("{ on: true, off: false }", '{ "on": true, "off": false }'),
    );
    const before = await at(made);
    await made.open().update(note, (now) => {
      const a = now.flags.get("a")?.definition ?? colour;
      return withFlag(now, "a", { ...a, defaultVariant: "on" });
    });
    expect(await at(made)).toBe(before.replace('"off" # for now', '"on" # for now'));
  });

  test("in YAML with anchors is left alone where a change would reach another flag, and none are made", async () => {
    const text = `flags:
  a: &same
    state: ENABLED
    variants: { "on": true, "off": false }
    defaultVariant: "off"
  b: *same
`;
    const made = await place("flags.yaml", text);
    const source = made.open();
    await expect(
      source.update(note, (now) => {
        const a = now.flags.get("a")?.definition ?? colour;
        return withFlag(now, "b", { ...a, defaultVariant: "on" });
      }),
    ).rejects.toMatchObject({ code: "E_FLAG_FILE" });
    expect(await at(made)).toBe(text);
    await source.update(note, (now) => withFlag(withFlag(now, "c", colour), "d", colour));
    expect((await at(made)).match(/[&*]\w/g)).toHaveLength(2);
  });

  test("behind a link keeps the link, its owner and rights, and loses no change by either name; a read-only one is left", async () => {
    const made = await place("flags.json", '{"flags": {}}');
    const file = made.file ?? "";
    await chmod(file, 0o640);
    if (process.getuid?.() === 0) await chown(file, 4711, 4712);
    const before = await stat(file);
    const link = join(made.directory, "link.json");
    await symlink(file, link);
    const linked = made.open(link);
    const open = made.open();
    await Promise.all(
      Array.from({ length: 16 }, (_, index) =>
        (index % 2 === 0 ? linked : open).update(note, (now) => withFlag(now, `f${index}`, colour)),
      ),
    );

    expect((await open.read()).flags.size).toBe(16);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    const { mode, uid, gid } = await stat(file);
    expect({ mode, uid, gid }).toEqual({ mode: before.mode, uid: before.uid, gid: before.gid });
    await chmod(file, 0o444);
    await expect(linked.update(note, (now) => withFlag(now, "f1", null))).rejects.toMatchObject({
      code: "E_FLAG_FILE",
      message: expect.stringContaining("is read-only"),
    });
    expect((await open.read()).flags.size).toBe(16);
  });

  test("that somebody changes while it is written is left as that person has it", async () => {
    const made = await place("flags.json", '{"flags": {}}');
    const byHand = '{"flags": {}, "metadata": {"by": "hand"}}';
    let edits = 0;
    const source = made.open();
    const failed = source.update(note, (now) => {
      edits += 1;
      // Between reading and writing; the writing comes after the edit.
      void writeFile(made.file ?? "", byHand);
      return withFlag(now, "colour", colour);
    });
    await expect(failed).rejects.toMatchObject({ code: "E_FLAG_CHANGED" });
    expect(edits).toBe(1);
    expect(await at(made)).toBe(byHand);
    expect(await source.changes({ limit: 10 })).toEqual([]);
  });

  test.each([
    ["flags.json", '{"flags": {"a": {"state": "ENABLED"', /flags\.json:1:\d+: /],
    ["flags.json", "{flags: {}}", /flags\.json:1:2: this is no JSON/],
    ["flags.json", '{"flags": {"a": {}, "a": {}}}', /flags\.json:1:\d+: /],
    ["flags.json", '{\n"flags": {"a": {"state": "ON", "variants": {}}}}', /flags\.json:2:\d+: /],
    ["flags.yaml", "flags:\n  - key: a\n", /flags\.yaml:2:3: flags are a list/],
    ["flags.yaml", "flags:\n  a:\n    state: ENABLED\n    variant: {}\n", /flags\.yaml:3:5: /],
  ] as const)("%s with %j is refused at its place", async (name, text, message) => {
    const made = await place(name, text);
    const error = await made
      .open()
      .read()
      .catch((each: Error) => each);
    expect(error).toMatchObject({
      code: "E_FLAG_FILE",
      exitCode: 2,
      message: expect.stringMatching(message),
    });
    expect(await at(made)).toBe(text);
  });
});
