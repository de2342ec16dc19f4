import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import type { FormatName } from "./formats/format.ts";
import { findFormat } from "./formats/formats.ts";
import { database } from "./input.ts";
import { type MigrationFolder, readFolderOf } from "./migration-file.ts";
import { canonicalVersion } from "./version.ts";

type PlannedFile = {
  readonly path: string;
  readonly content: string;
  /** What the file held before; null where it is new. */
  readonly previous: string | null;
};

type NewBefore = { readonly directory: string; readonly version: string; readonly files: PlannedFile[] };

export const newMigration = defineOperation({
  name: "migrate.new",
  summary: "Make the files of a new migration, in the style of the folder",
  example: "migrate new add_order_status",
  effect: "change",
  input: z.strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, "must hold only letters, digits, '_' and '-'")
      .describe("What the migration does: add_order_status"),
    database,
    version: z
      .union([z.string().regex(/^\d+(\.\d+)*$/, "must be digits"), z.number().int().nonnegative()])
      .transform(String)
      .optional()
      .describe("Its version; default: the next number, or the time where the folder's versions are times"),
    verify: z.boolean().default(false).describe("Make a verify file, too"),
  }),
  positional: ["name"],
  output: z.object({
    version: z.string().describe("Version of the new migration"),
    files: z.array(z.string()).describe("Paths of its files"),
  }),
  observe: async (context, input): Promise<NewBefore> => {
    const target = context.environment.database(input.database);
    const folder = await readFolderOf(target);
    const version = input.version ?? nextVersion(folder, context.clock.now());
    const taken = folder.migrations.find(
      (each) => canonicalVersion(each.version) === canonicalVersion(version),
    );
    if (taken !== undefined) {
      throw new UsageError("E_MIGRATION_EXISTS", `${taken.up.name} already has version ${version}`, {
        hint: "leave --version out, or choose a newer one",
      });
    }
    const format = findFormat(folder.listing, folder.format);
    if (input.verify && !verifying.includes(format.name)) {
      throw new UsageError("E_INPUT", `Migrations in the form of ${format.name} have no verify file`, {
        hint: "leave --verify out",
      });
    }
    const files = format.create(folder.listing, version, input.name);
    const verify = { path: `${version}_${input.name}.verify.sql`, content: "" };
    return {
      directory: folder.directory,
      version,
      files: [...files, ...(input.verify && format.name === "ops" ? [verify] : [])].map((file) => ({
        ...file,
        previous: folder.listing.files.includes(file.path) ? (folder.listing.text(file.path) ?? null) : null,
      })),
    };
  },
  plan: ({ directory, files }) =>
    files.map((each) => ({
      target: `file:${join(directory, each.path)}`,
      action: each.previous === null ? "create" : "update",
      summary: `${each.previous === null ? "make" : "add to"} ${each.path}`,
    })),
  apply: async (_context, _input, { directory, version, files }) => {
    for (const { path, content, previous } of files) {
      const file = join(directory, path);
      const there = await readOrNull(file);
      if (there === content) continue;
      if (there !== previous) {
        throw new UsageError("E_MIGRATION_EXISTS", `${path} is there already`, {
          hint: "choose another name",
        });
      }
      await writeWhole(file, content);
    }
    return { version, files: files.map((each) => join(directory, each.path)) };
  },
  undo: async (_context, _input, { directory, files }) => {
    const changed: string[] = [];
    for (const { path, content, previous } of files) {
      const file = join(directory, path);
      const there = await readOrNull(file);
      if (there === null || there === previous) continue;
      if (there !== content) changed.push(path);
      else if (previous === null) await rm(file);
      else await writeWhole(file, previous);
    }
    if (changed.length === 0) return { undone: true };
    return { undone: "kept", note: `${changed.join(", ")} was written to since and stays` };
  },
  render: ({ files }) => files.join("\n"),
});

/** The forms that know verify files; sqitch's come with every change. */
const verifying: readonly FormatName[] = ["ops", "sqitch"];

/** What the folder's newest version suggests: its number plus one, as wide as it is, or the time in its form. */
function nextVersion(folder: MigrationFolder, now: Date): string {
  const newest = folder.migrations.filter((each) => each.repeatable !== true).at(-1)?.version;
  if (folder.format === "node-pg-migrate" && newest?.length !== 17) return String(now.getTime());
  const first = newest?.split(".")[0];
  // Ten digits and more are a time: 2024010100, 20240101120000.
  if (first !== undefined && /^\d{1,9}$/.test(first)) {
    return String(Number(first) + 1).padStart(first.length, "0");
  }
  if (first === undefined && counted.includes(folder.format)) return "1";
  return now
    .toISOString()
    .replaceAll(/\D/g, "")
    .slice(0, folder.format === "node-pg-migrate" ? 17 : 14);
}

/** Tools whose own first version is a number, not a time. */
const counted: readonly FormatName[] = ["flyway"];

async function readOrNull(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Either the old content is there or the new one, never a part. */
async function writeWhole(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${randomBytes(4).toString("hex")}.tmp`;
  await writeFile(draft, content);
  await rename(draft, file);
}
