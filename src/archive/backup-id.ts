import { randomInt } from "node:crypto";

/** `20261121T094512Z-main-x7k2`: when it began (UTC), of which database target, four random characters. */
export function newBackupId(now: Date, database: string): string {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  const suffix = Array.from({ length: 4 }, () => alphabet[randomInt(alphabet.length)]).join("");
  return `${time}-${database}-${suffix}`;
}

const pattern = /^\d{8}T\d{6}Z-(.+)-[a-z0-9]{4}$/;

export function isBackupId(text: string): boolean {
  return pattern.test(text);
}

/** The database target that the id names. */
export function databaseOfId(id: string): string | undefined {
  return pattern.exec(id)?.[1];
}

/** When the backup of this id began; undefined for what is no id. */
export function timeOfId(id: string): Date | undefined {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-/.exec(id) ?? [];
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return isBackupId(id) && !Number.isNaN(time.getTime()) ? time : undefined;
}

export const manifestObject = (id: string) => `${id}/manifest.json`;

/** The names of a backup's objects. `suffix` tells the encryption: `.age`, `.aes`. */
export const objectNames = (id: string, suffix: string) => ({
  main: `${id}/dump.zst${suffix}`,
  contents: `${id}/contents.json.zst${suffix}`,
  globals: `${id}/globals.sql.zst${suffix}`,
  /** @param number from 1 on, the largest table first */
  table: (number: number) => `${id}/table-${String(number).padStart(4, "0")}.dump.zst${suffix}`,
});
