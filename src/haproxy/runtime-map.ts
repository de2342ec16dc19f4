import { isAbsolute } from "node:path";
import { OpsError, UsageError } from "../core/errors.ts";
import { type MapEntries, MapFile } from "./map-file.ts";
import { runtimeCommand } from "./runtime-socket.ts";

/** Characters of one command: HAProxy's buffer (tune.bufsize) is 16 KiB unless it is set, and its answers need room. */
const chunk = 6000;

/** What HAProxy says where a map that was prepared later is in force already; and how often it is tried again then. */
const [overtaken, attempts] = ["Version number out of range.", 10];

/**
 * One map of a running HAProxy, and the file it is loaded from. Every change is made in both: first at run time, where
 * it takes effect, then in the file, so that a reload keeps it. A crash in between is repaired by the next change.
 */
export class RuntimeMap {
  private readonly socket: string;
  private readonly path: string;
  /** Undefined where HAProxy is on another machine: its file is not ours to write. */
  private readonly file: MapFile | undefined;

  /** @param path as haproxy.cfg names it */
  constructor(socket: string, path: string) {
    this.socket = socket;
    this.path = path;
    this.file = isAbsolute(socket) ? new MapFile(path) : undefined;
  }

  /** Throws `E_HAPROXY_MAP` (usage) where HAProxy has no such map. */
  async read(signal?: AbortSignal): Promise<Map<string, string>> {
    const answer = await this.ask(`show map ${this.path}`, signal);
    const lines = answer.split("\n").filter((line) => line !== "");
    // `0x55d0c0ffee00 key value`
    return new Map(
      lines.map((line) => {
        const [, key = "", value = ""] = /^0x[0-9a-f]+ (\S+) (.*)$/.exec(line) ?? [];
        return [key, value];
      }),
    );
  }

  /** Throws `E_HAPROXY_MAP` or `E_MAP_FILE` (usage) where a change could not be made, or would be lost in a reload. */
  async requireKept(signal?: AbortSignal): Promise<void> {
    await this.read(signal);
    await this.file?.requireWritable();
  }

  /** All entries at once: no request sees a part of them. */
  async replace(entries: MapEntries, signal?: AbortSignal): Promise<void> {
    for (let attempt = 1; !sameEntries(await this.read(signal), entries); attempt += 1) {
      const answer = await this.commit(entries, signal);
      if (answer === "") break;
      if (answer !== overtaken || attempt === attempts) throw this.refused(answer);
    }
    await this.keep(signal);
  }

  /** What HAProxy has to say about it; empty: it is done. */
  private async commit(entries: MapEntries, signal: AbortSignal | undefined): Promise<string> {
    const answer = await this.ask(`prepare map ${this.path}`, signal);
    const version = /^New version created: (\d+)$/.exec(answer)?.[1];
    if (version === undefined) throw this.refused(answer);
    for (const lines of chunksOf(entries)) {
      const added = await this.ask(`add map @${version} ${this.path} <<\n${lines}\n`, signal);
      if (added !== "") return added;
    }
    return this.ask(`commit map @${version} ${this.path}`, signal);
  }

  async put(key: string, value: string, signal?: AbortSignal): Promise<void> {
    const verb = (await this.read(signal)).has(key) ? "set" : "add";
    await this.set(`${verb} map ${this.path} ${key} ${value}`, signal);
    await this.keep(signal);
  }

  /** Nothing happens to keys that are not there. */
  async remove(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const present = await this.read(signal);
    for (const key of keys.filter((each) => present.has(each))) {
      const answer = await this.ask(`del map ${this.path} ${key}`, signal);
      if (answer !== "" && answer !== "Key not found.") throw this.refused(answer);
    }
    await this.keep(signal);
  }

  /** Others may change the map at the same time: the file has what the map has after it was written. */
  private async keep(signal: AbortSignal | undefined): Promise<void> {
    if (this.file === undefined) return;
    for (;;) {
      const entries = await this.read(signal);
      await this.file.save(entries);
      if (sameEntries(await this.read(signal), entries)) return;
    }
  }

  private async set(command: string, signal: AbortSignal | undefined): Promise<void> {
    const answer = await this.ask(command, signal);
    if (answer !== "") throw this.refused(answer);
  }

  private async ask(command: string, signal: AbortSignal | undefined): Promise<string> {
    const answer = await runtimeCommand(this.socket, command, { signal });
    if (!answer.startsWith("Unknown map identifier")) return answer;
    throw new UsageError("E_HAPROXY_MAP", `HAProxy at ${this.socket} uses no map ${this.path}`, {
      hint: "write its path in .opsrc as haproxy.cfg has it, and use the map there (docs/canary.md)",
    });
  }

  private refused(answer: string): OpsError {
    return new OpsError("E_HAPROXY_REFUSED", `HAProxy refused to change the map ${this.path}: ${answer}`, {
      hint: "maps are changed in one piece since HAProxy 2.4: haproxy -v",
      retryable: false,
    });
  }
}

function chunksOf(entries: MapEntries): string[] {
  const chunks: string[] = [];
  let lines: string[] = [];
  let length = 0;
  for (const [key, value] of entries) {
    const line = `${key} ${value}`;
    if (length + line.length > chunk) {
      chunks.push(lines.join("\n"));
      [lines, length] = [[], 0];
    }
    lines.push(line);
    length += line.length + 1;
  }
  return lines.length === 0 ? chunks : [...chunks, lines.join("\n")];
}

function sameEntries(a: MapEntries, b: MapEntries): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
