import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { OpsError } from "../core/errors.ts";

/** Who runs PostgreSQL's server programs, which refuse to run as root. */
export interface ServerUser {
  /** What the files of the cluster must belong to. Undefined: the user we are. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** Put before the program and its arguments. */
  readonly prefix: readonly string[];
}

const preferred = ["postgres", "nobody"];

/**
 * As root: `postgres` (or `nobody`), through setpriv. Where that user cannot pass through a folder above
 * `directory` (a checkout below /root), it is given the one capability to do so. As anybody else: the user we are.
 */
export async function serverUser(directory: string): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return { owner: undefined, prefix: [] };
  const owner = await firstUser();
  return {
    owner,
    prefix: [
      "setpriv",
      `--reuid=${owner.uid}`,
      `--regid=${owner.gid}`,
      "--init-groups",
      ...(await traversalCapability(directory, owner)),
      "--",
    ],
  };
}

async function firstUser(): Promise<{ uid: number; gid: number }> {
  const accounts = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of preferred) {
    const account = accounts.find((each) => each[0] === name);
    if (account !== undefined) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new OpsError(
    "E_NO_SERVER_USER",
    "PostgreSQL does not run as root, and there is no other user for it",
    {
      hint: "add one: useradd --system postgres",
      retryable: false,
    },
  );
}

async function traversalCapability(
  directory: string,
  user: { uid: number; gid: number },
): Promise<readonly string[]> {
  for (let folder = dirname(directory); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      return ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"];
    }
    if (folder === dirname(folder)) return [];
  }
}
