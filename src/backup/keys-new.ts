import { randomBytes } from "node:crypto";
import { link, open, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { type KeyType, keyTypes, newKey } from "../crypto/new-key.ts";
import { defineOperation } from "../run/operation.ts";

/**
 * Guarantee: a file that is there is never touched, and the new one is there whole or not at all, readable by its owner
 * only. Not journaled: a private key belongs in no journal, and there is nothing to lock.
 */
export const newKeys = defineOperation({
  name: "backup.keys.new",
  summary: "Make a key in a file of its own, and print its public half",
  example: "backup keys new --to identity.txt",
  effect: "change",
  journaled: false,
  input: z.strictObject({
    to: z.string().min(1).describe("The file to make; it must not be there"),
    type: z
      .enum(keyTypes)
      .default("age")
      .describe(
        "age: a key pair that opens backups; hybrid: one that withstands quantum computers; aes: for aes-256-gcm; " +
          "signing: a key pair that signs manifests",
      ),
  }),
  output: z.object({
    type: z.enum(keyTypes),
    file: z.string().describe("Absolute path"),
    public: z.string().describe("The public key; the id of a key for aes-256-gcm"),
    use: z.string().describe("Where it belongs in .opsrc"),
  }),

  async observe(_context, input) {
    const file = resolve(input.to);
    await refuseExisting(file);
    return { file };
  },

  plan: ({ file }, { type }) => [
    { target: `file:${file}`, action: "create", summary: `make a key (${type}) in ${file}` },
  ],

  async apply(context, { type }, { file }) {
    const key = await newKey(type, context.clock.now());
    await writeNew(file, key.secret);
    return { type, file, public: key.shown, use: use(type, file, key.shown) };
  },

  render: ({ type, file, public: shown, use: where }) =>
    `${type === "aes" ? "Key" : "Private key"} in ${file}; keep a copy of it in a safe place\n` +
    `${type === "aes" ? "Key id" : "Public key"}: ${shown}\n${where}`,
});

function use(type: KeyType, file: string, shown: string): string {
  switch (type) {
    case "age":
    case "hybrid":
      return `In .opsrc, at the store: add the public key under "recipients:"; "identity: file:${file}" only where backups are verified and restored`;
    case "aes":
      return `In .opsrc, at the store: "encryption: aes-256-gcm" and "encryption-key: file:${file}"`;
    case "signing":
      return `In .opsrc, at the store: "signing-key: file:${file}" where backups are made; "trusted-signers: [${shown}]" where they are restored`;
  }
}

/** `link` refuses a name that is taken; a crash leaves at most a hidden file of a key that nobody knows. */
async function writeNew(path: string, content: string): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.partial`);
  try {
    const file = await open(partial, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(partial, path);
    await rm(partial);
    const folder = await open(dirname(path), "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rm(partial, { force: true });
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw exists(path);
    throw new OpsError("E_KEY_FILE", `The key file ${path} cannot be made`, {
      cause: error,
      hint: "see that the folder is there and that this user may write to it",
    });
  }
}

async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (["ENOENT", "ENOTDIR"].includes(error.code ?? "")) return undefined;
    throw new OpsError("E_KEY_FILE", `The key file ${path} cannot be made`, { cause: error });
  });
  if (found !== undefined) throw exists(path);
}

function exists(path: string): UsageError {
  return new UsageError("E_KEY_FILE", `${path} is there already`, {
    hint: "choose another name: a key is never overwritten",
  });
}
