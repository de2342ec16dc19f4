import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../src/", import.meta.url));

/** Floors from the ground up; a file may import its own folder and the floors below (docs: how ops is built). */
const floors: readonly (readonly string[])[] = [
  ["core"],
  [
    "config",
    "postgres",
    "postgres-schema",
    "postgres-health",
    "storage",
    "crypto",
    "archive",
    "wal-archive",
    "wal-server",
    "pgbackrest",
    "process",
    "http",
    "haproxy",
    "alb",
    "kubernetes",
    "gateway-api",
    "nginx",
    "traffic-script",
    "flag-source",
    "judge",
    "request-source",
    "metrics",
    "prometheus",
    "json-http",
    "tls",
    "dns",
    "log-tail",
    "expression",
    "notifier",
    "measured-series",
    "load-engine",
  ],
  ["run"],
  ["outbox"],
  ["rollout"],
  [
    "migrate",
    "backup",
    "wal",
    "pitr",
    "schedule",
    "traffic",
    "pool",
    "flag",
    "gate",
    "watch",
    "load",
    "baseline",
    "shell",
    "http-request",
    "notify",
    "sandbox",
    "doctor",
  ],
  ["capabilities.ts"],
  ["runbook"],
  ["cli"],
];
/** The drivers of the outside world may use each other; capabilities may not. */
const shared = 1;
/** The list of capabilities stands on top of them. */
const drivers = floors[shared] ?? [];

/** Every static, dynamic and type import of another file of the project, as written. */
function importsOf(text: string): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)["'](\.[^"']+)["']/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? "");
}

function violation(file: string, imported: string): string | undefined {
  const target = normalize(join(dirname(file), imported));
  const [from = "", to = ""] = [file, target].map((path) => path.split("/")[0]);
  if (from === to) return undefined;
  const [above, below] = [floorOf(from), floorOf(to)];
  if (above === undefined || below === undefined)
    return `${file}: ${above === undefined ? from : to} is on no floor`;
  if (below < above || (below === above && drivers.includes(from))) return undefined;
  return `${file} imports ${target}, which is ${below > above ? "a floor above" : "a sibling"}`;
}

function floorOf(folder: string): number | undefined {
  const floor = floors.findIndex((names) => names.includes(folder));
  return floor === -1 ? undefined : floor;
}

describe("the floors of the house", () => {
  it("imports go down, never up and never to a sibling capability", async () => {
    const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith(".ts"));
    const violations: string[] = [];
    for (const file of files) {
      const text = await readFile(join(root, file), "utf8");
      violations.push(...importsOf(text).flatMap((each) => violation(file, each) ?? []));
    }

    expect(files.length).toBeGreaterThan(100);
    expect(violations).toEqual([]);
  });

  it("core does no input or output", async () => {
    const files = (await readdir(join(root, "core"))).map((file) => join(root, "core", file));
    const reaching = [];
    for (const file of files) {
      if (/from "node:(fs|net|http|https|child_process|dgram|tls|sqlite)/.test(await readFile(file, "utf8")))
        reaching.push(file);
    }

    expect(reaching).toEqual([]);
  });
});

describe("the check itself", () => {
  it.each([
    ['import { a } from "../cli/x.ts";', "run/x.ts", "a floor above"],
    ['import type { A } from "../run/x.ts";', "postgres/x.ts", "a floor above"],
    ['export { a } from "../../run/x.ts";', "core/deep/x.ts", "a floor above"],
    ['const { a } = await import("../flag/x.ts");', "gate/x.ts", "a sibling"],
    ['import "../runbook/x.ts";', "backup/x.ts", "a floor above"],
    ['import {\n  a,\n  b,\n} from "../capabilities.ts";', "gate/x.ts", "a floor above"],
    ['import { a } from "../unheard-of/x.ts";', "gate/x.ts", "no floor"],
  ])("finds %j in %s", (text, file, what) => {
    const found = importsOf(text).flatMap((each) => violation(file, each) ?? []);

    expect(found).toEqual([expect.stringContaining(what)]);
  });

  it.each([
    ['import { a } from "../postgres/x.ts";', "storage/x.ts"],
    ['import { a } from "./y.ts";', "gate/x.ts"],
    ['import { a } from "../core/x.ts";', "cli/x.ts"],
    ['import("./gate/operations.ts")', "capabilities.ts"],
    ['import { a } from "node:fs";', "core/x.ts"],
  ])("allows %j in %s", (text, file) => {
    expect(importsOf(text).flatMap((each) => violation(file, each) ?? [])).toEqual([]);
  });
});
