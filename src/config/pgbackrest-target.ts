import { resolve } from "node:path";
import { z } from "zod";

/** Of `databases.NAME.pitr` with `engine: pgbackrest`: which stanza of which installation. */
export const pgBackRestFields = {
  stanza: z
    .string()
    .regex(/^[\w-]+$/, "must be letters, digits, _ and -")
    .optional()
    .describe("pgBackRest's name for the cluster; default: the database's name here"),
  config: z.string().min(1).optional().describe("Path of pgbackrest.conf; default: pgBackRest's own"),
  command: z.string().min(1).optional().describe("The program pgbackrest, where it is not on PATH"),
  repository: z
    .int("must be a whole number")
    .min(1, "must be 1 or more")
    .max(256, "must be at most 256")
    .optional()
    .describe("pgBackRest's repository for base backups and restores; default: 1"),
};

export const pgBackRestKeys = ["stanza", "config", "command", "repository"] as const;

export interface PgBackRestTarget {
  readonly engine: "pgbackrest";
  /** The program: a name on PATH, or an absolute path. */
  readonly command: string;
  /** Absolute path; undefined: where pgBackRest itself looks. */
  readonly config: string | undefined;
  readonly stanza: string;
  /** The number of the repository that base backups go to and restores come from, from 1 on. */
  readonly repository: number;
  /** Whether nothing dangerous is done without a restore point. */
  readonly restorePoints: "require" | "never";
}

interface Settings {
  readonly stanza?: string | undefined;
  readonly config?: string | undefined;
  readonly command?: string | undefined;
  readonly repository?: number | undefined;
  readonly "restore-points": "require" | "never";
}

/** @param directory of the configuration file: relative paths start there */
export function pgBackRestTarget(database: string, settings: Settings, directory: string): PgBackRestTarget {
  const { command = "pgbackrest", config, stanza = database, repository = 1 } = settings;
  return {
    engine: "pgbackrest",
    command: command.includes("/") ? resolve(directory, command) : command,
    config: config === undefined ? undefined : resolve(directory, config),
    stanza,
    repository,
    restorePoints: settings["restore-points"],
  };
}
