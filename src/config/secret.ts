import { readFile } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { inspect } from "node:util";
import { UsageError } from "../core/errors.ts";
import { mask, redactUrlPasswords, rememberSecret } from "../core/redaction.ts";

/**
 * A value that must never be seen: it prints as `***` everywhere and is fetched only when `reveal` is called.
 * Written in the configuration as a reference (`env:NAME`, `file:/path`, `cmd:op read …`) or, where the target
 * allows it, as plain text.
 */
export class Secret {
  /** How it is written, safe to show: the reference, or the text with its password masked. */
  readonly shown: string;
  private readonly source: string;
  private readonly directory: string;
  private value: Promise<string> | undefined;

  /** @param directory what a relative `file:` path is relative to */
  constructor(source: string, directory: string) {
    this.source = source;
    this.directory = directory;
    this.shown = isReference(source) ? source : redactUrlPasswords(source);
    for (const password of passwordsIn(source)) rememberUrlPassword(password);
  }

  /** Fetches the value once. Throws `E_SECRET` naming the reference, never the value. */
  reveal(): Promise<string> {
    this.value ??= this.fetch().then((value) => {
      if (value === "") throw this.unusable("it is empty");
      if (isReference(this.source)) remember(value);
      return value;
    });
    return this.value;
  }

  toString(): string {
    return mask;
  }

  toJSON(): string {
    return mask;
  }

  [inspect.custom](): string {
    return mask;
  }

  private async fetch(): Promise<string> {
    const [, scheme, rest = ""] = referencePattern.exec(this.source) ?? [];
    switch (scheme) {
      case "env": {
        const value = process.env[rest];
        if (value === undefined) throw this.unusable(`the environment variable ${rest} is not set`);
        return value;
      }
      case "file":
        try {
          const path = isAbsolute(rest) ? rest : resolve(this.directory, rest);
          return (await readFile(path, "utf8")).trimEnd();
        } catch (error) {
          throw this.unusable("the file cannot be read", error);
        }
      case "cmd":
        try {
          const { execa } = await import("execa");
          const { stdout } = await execa("/bin/sh", ["-c", rest], {
            stdin: "ignore",
            stderr: "pipe",
            timeout: 30_000,
          });
          return stdout.trimEnd();
        } catch (error) {
          const exit =
            error instanceof Error && "exitCode" in error ? ` (exit code ${String(error.exitCode)})` : "";
          throw this.unusable(`the command failed${exit}`);
        }
      default:
        return this.source;
    }
  }

  private unusable(why: string, cause?: unknown): UsageError {
    const [, scheme, rest = ""] = referencePattern.exec(this.source) ?? [];
    const hints: Readonly<Record<string, string>> = {
      env: `set it: export ${rest}=…`,
      file: "make the file, or mend the path in the configuration (relative paths begin at its folder)",
      cmd: `see what it says: /bin/sh -c ${JSON.stringify(rest)}`,
    };
    return new UsageError("E_SECRET", `The secret ${this.shown} cannot be used: ${why}`, {
      cause,
      hint: hints[scheme ?? ""] ?? "give it a value in the configuration",
    });
  }
}

const referencePattern = /^(env|file|cmd):(?!\/\/)(.+)$/s;

export function isReference(text: string): boolean {
  return referencePattern.test(text);
}

function remember(value: string): void {
  // Of a URL only the password is secret: host and database make errors readable.
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value))
    for (const password of passwordsIn(value)) rememberUrlPassword(password);
  else rememberSecret(value);
}

/** The passwords of a connection URL: before the last `@`, and in its query. */
function passwordsIn(url: string): string[] {
  const inUser = /^[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:(\S+)@/i.exec(url)?.[1];
  const inQuery = [...url.matchAll(/[?&\s](?:password|sslpassword)=('[^']*'|[^\s&]+)/gi)].map(
    (each) => each[1] ?? "",
  );
  return [...(inUser === undefined ? [] : [inUser]), ...inQuery];
}

function rememberUrlPassword(encoded: string): void {
  rememberSecret(encoded);
  try {
    rememberSecret(decodeURIComponent(encoded));
  } catch {
    // Not percent-encoded; the text itself is remembered above.
  }
}
