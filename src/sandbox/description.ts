import { mkdir, readdir, readFile } from "node:fs/promises";
import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { freePort } from "../process/free-port.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import type { SandboxLayout } from "./layout.ts";

const portSchema = z.number().int().min(1).max(65_535);

export const portsSchema = z.strictObject({
  database: portSchema,
  web: portSchema,
  statistics: portSchema,
  blue: portSchema,
  green: portSchema,
});
export type SandboxPorts = z.output<typeof portsSchema>;

const descriptionSchema = z.strictObject({ sandbox: z.literal(1), ports: portsSchema });

/** Five different ports. */
export async function choosePorts(): Promise<SandboxPorts> {
  const ports = new Set<number>();
  while (ports.size < 5) ports.add(await freePort());
  const [database = 0, web = 0, statistics = 0, blue = 0, green = 0] = ports;
  return { database, web, statistics, blue, green };
}

/** The ports of the sandbox in this folder, or undefined where there is none. */
export async function readPorts(layout: SandboxLayout): Promise<SandboxPorts | undefined> {
  const text = await readFile(layout.description, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const description = descriptionSchema.safeParse(JSON.parse(text));
  if (!description.success) {
    throw new OpsError("E_SANDBOX", `${layout.description} was written by another version of ops`, {
      hint: `remove it: ops sandbox down --dir ${layout.directory}`,
    });
  }
  return description.data.ports;
}

/** Makes the folder a sandbox, before anything else is put into it: `down` removes nothing that is not one. */
export async function writeDescription(layout: SandboxLayout, ports: SandboxPorts): Promise<void> {
  await mkdir(layout.directory, { recursive: true });
  await writeAtomically(layout.description, `${JSON.stringify({ sandbox: 1, ports }, null, 2)}\n`);
}

/**
 * `empty`: also what a crash of `up` before its first file leaves. Throws `E_SANDBOX_DIRECTORY` where the folder
 * holds something else: it is not ours to fill or to remove.
 */
export async function folderState(layout: SandboxLayout): Promise<"absent" | "empty" | "sandbox"> {
  const names = await readdir(layout.directory).catch((error: NodeJS.ErrnoException) => error.code ?? "");
  if (names === "ENOENT") return "absent";
  if (typeof names !== "string") {
    if (names.includes("sandbox.json")) return "sandbox";
    if (names.every((each) => each.startsWith("sandbox.json."))) return "empty";
  }
  throw new UsageError(
    "E_SANDBOX_DIRECTORY",
    typeof names === "string"
      ? `${layout.directory} is not a folder that can be read (${names})`
      : `${layout.directory} exists and is not a sandbox`,
    { hint: "name a folder of its own with --dir" },
  );
}
