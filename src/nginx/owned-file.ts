import { readFile } from "node:fs/promises";
import { causeText, OpsError } from "../core/errors.ts";
import { replaceFile } from "../process/replace-file.ts";
import type { RouteFile } from "./route-file.ts";

/** A route's file and where it is. */
export interface OwnedFile extends Pick<RouteFile, "versions"> {
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
}

/** Throws `E_NGINX_FILE` where it is not there, or may not be read. */
export async function readOwnedFile(route: OwnedFile): Promise<string> {
  try {
    return await readFile(route.file, "utf8");
  } catch (error) {
    if (isAbsent(error)) {
      const version = Object.keys(route.versions)[0];
      throw new OpsError(
        "E_NGINX_FILE",
        `The file ${route.file} of the route ${route.name} is not there yet`,
        {
          hint: `make it, with all traffic for one version: ops traffic init ${version} --route ${route.name}`,
          retryable: false,
        },
      );
    }
    throw new OpsError("E_NGINX_FILE", `The file ${route.file} of the route ${route.name} cannot be read`, {
      cause: causeText(error),
      hint: "let this user read and replace it",
      retryable: false,
    });
  }
}

export async function hasOwnedFile({ file }: OwnedFile): Promise<boolean> {
  try {
    await readFile(file);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

/** Throws `E_NGINX_FILE` where it may not be written. */
export async function writeOwnedFile(route: OwnedFile, text: string): Promise<void> {
  try {
    await replaceFile(route.file, text);
  } catch (error) {
    throw new OpsError(
      "E_NGINX_FILE",
      `The file ${route.file} of the route ${route.name} cannot be written`,
      {
        cause: causeText(error),
        hint: "let this user write it, and make files in its folder",
        retryable: false,
      },
    );
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
