import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { causeText, OpsError, UsageError } from "../core/errors.ts";

/** Key → value, in the order of the map. */
export type MapEntries = ReadonlyMap<string, string>;

/**
 * The file that HAProxy loads a map from when it starts or reloads: what is set at run time is lost then unless it is
 * written here too.
 */
export class MapFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Throws `E_MAP_FILE` (usage) where it could not be replaced. */
  async requireWritable(): Promise<void> {
    try {
      await access(this.path, constants.R_OK);
      await access(dirname(this.path), constants.W_OK);
    } catch (cause) {
      throw new UsageError(
        "E_MAP_FILE",
        `ops cannot keep the map file ${this.path}: ${causeText(cause) ?? "it is not there"}`,
        {
          cause,
          hint: "make the file that haproxy.cfg names, in a folder that this user may write to (docs/canary.md)",
        },
      );
    }
  }

  /** Durable when the promise resolves: the whole new content, or the old one. Nothing is written where it is the same. */
  async save(entries: MapEntries): Promise<void> {
    const text = `# Kept by ops; changes by hand are lost.\n${[...entries].map(([key, value]) => `${key} ${value}\n`).join("")}`;
    const temporary = `${this.path}.${randomBytes(6).toString("hex")}`;
    try {
      if ((await readFile(this.path, "utf8")) === text) return;
      const file = await open(temporary, "w", 0o644);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw new OpsError(
        "E_MAP_FILE",
        `HAProxy has the new map, but its file could not be written: ${causeText(cause) ?? this.path}`,
        {
          cause,
          hint: `a reload of HAProxy brings the old map back; make room, or give this user the folder of ${this.path}`,
          retryable: false,
        },
      );
    }
  }
}
