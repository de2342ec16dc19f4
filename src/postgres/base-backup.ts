import { Readable } from "node:stream";
import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { BufferCollection } from "../storage/buffer-collection.ts";
import { release } from "../storage/released.ts";
import { connect, databaseError } from "./connection.ts";
import { uploadManifest } from "./manifest-upload.ts";

/** Where a base backup begins or ends: a position of the log, as `0/2000028`, and the timeline. */
export interface LogPosition {
  readonly lsn: string;
  readonly timeline: number;
}

export interface Tablespace {
  readonly oid: number;
  /** Where it is on the server. */
  readonly path: string;
}

/** One part of a base backup, in the order in which the server sends them. Read each to its end before the next. */
export interface BaseBackupPart {
  /** The data folder, a tablespace (both as a tar), or the manifest of all files. */
  readonly content: "base" | "tablespace" | "manifest";
  readonly tablespace: Tablespace | undefined;
  /** Each piece is released when the next one is asked for. */
  readonly bytes: AsyncGenerator<Buffer>;
}

export interface BaseBackupOptions {
  /** Shown in backup_label. */
  readonly label: string;
  /** `fast`: at once, at the price of more writing; `spread`: as the server's settings say. */
  readonly checkpoint: "fast" | "spread";
  /** The manifest of the base backup that this one is incremental to; undefined: a full one. */
  readonly parent?: AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
}

/** Of PostgreSQL 15 on, one stream carries all parts (the manual: Streaming Replication Protocol, BASE_BACKUP). */
export const oldestServer = 15;
/** The first major version that makes incremental base backups. */
export const oldestIncremental = 17;

/**
 * A base backup as the server streams it over the replication protocol: what pg_basebackup itself speaks, but with
 * each tablespace as a stream of its own and nothing on a disk of ours. Memory is constant: the server waits for who
 * reads. Throws `E_DATABASE_UNREACHABLE`, `E_SQL` and the like.
 */
export class BaseBackup {
  readonly start: LogPosition;
  readonly tablespaces: readonly Tablespace[];
  /** What the server expects to send, before compression. */
  readonly expectedBytes: number;
  private readonly target: DatabaseTarget;
  private readonly client: pg.Client;
  private readonly messages: AsyncIterator<Message>;
  private readonly signal: AbortSignal;
  private stopped: LogPosition | undefined;

  private constructor(
    target: DatabaseTarget,
    client: pg.Client,
    messages: AsyncIterator<Message>,
    signal: AbortSignal,
    head: { start: LogPosition; tablespaces: readonly Tablespace[]; expectedBytes: number },
  ) {
    this.target = target;
    this.client = client;
    this.messages = messages;
    this.signal = signal;
    this.start = head.start;
    this.tablespaces = head.tablespaces;
    this.expectedBytes = head.expectedBytes;
  }

  /** Resolves once the server has made its checkpoint and begins to send. */
  static async begin(target: DatabaseTarget, options: BaseBackupOptions): Promise<BaseBackup> {
    const { signal, label, checkpoint, parent } = options;
    const client = await connect(target, { signal, replication: true });
    try {
      if (parent !== undefined) await uploadManifest(client, parent);
      const command =
        `BASE_BACKUP (LABEL '${label.replaceAll("'", "''")}', CHECKPOINT '${checkpoint}', PROGRESS true, ` +
        `WAL false, WAIT false, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256'${parent ? ", INCREMENTAL" : ""})`;
      const messages = client.query(new BackupCommand(command)).messages[Symbol.asyncIterator]();
      const rows: Row[] = [];
      for (;;) {
        const { value } = await messages.next();
        if (value === undefined || value.kind === "data") throw protocolError("ended before it began");
        if (value.kind === "copy") break;
        rows.push(value);
      }
      const start = positionOf(rows.filter((each) => each.set === 1));
      const places = rows.filter((each) => each.set === 2);
      return new BaseBackup(target, client, messages, signal, {
        start,
        tablespaces: places.flatMap(({ fields: [oid, path] }) =>
          oid == null || path == null ? [] : [{ oid: Number(oid), path }],
        ),
        // In kilobytes.
        expectedBytes: places.reduce((sum, { fields }) => sum + Number(fields[2] ?? 0) * 1024, 0),
      });
    } catch (error) {
      await client.end().catch(() => undefined);
      signal.throwIfAborted();
      throw databaseError(target, error);
    }
  }

  async *parts(): AsyncGenerator<BaseBackupPart> {
    let next: Next = { kind: "nothing" };
    const body = async function* (this: BaseBackup): AsyncGenerator<Buffer> {
      for (;;) {
        next = await this.next();
        if (next.kind !== "bytes") return;
        const { message } = next;
        yield message.subarray(1);
        release(message);
      }
    };
    next = await this.next();
    while (next.kind !== "end") {
      if (next.kind !== "part") throw protocolError("sent data that belongs to nothing");
      const { content, tablespace } = next;
      next = { kind: "nothing" };
      yield { content, tablespace, bytes: body.call(this) };
      if ((next as Next).kind === "nothing")
        throw new Error("a part of a base backup was not read to its end");
    }
  }

  /** Where the log must be replayed to. Known after the last part. */
  get stop(): LogPosition {
    if (this.stopped === undefined) throw new Error("the base backup has not ended");
    return this.stopped;
  }

  /** Also where it has not ended: the server then gives it up. Never throws. */
  async close(): Promise<void> {
    await this.client.end().catch(() => undefined);
  }

  private async next(): Promise<Next> {
    for (;;) {
      let message: Message | undefined;
      try {
        message = (await this.messages.next()).value;
      } catch (error) {
        this.signal.throwIfAborted();
        throw databaseError(this.target, error);
      }
      if (message === undefined) {
        if (this.stopped === undefined) throw protocolError("ended without its last position");
        return { kind: "end" };
      }
      if (message.kind === "row") {
        if (message.set === 3) this.stopped = positionOf([message]);
      } else if (message.kind === "data") {
        const found = this.read(message.bytes);
        if (found !== undefined) return found;
      }
    }
  }

  /** One message of the copy; undefined for progress, which is counted elsewhere. */
  private read(bytes: Buffer): Next | undefined {
    const type = String.fromCharCode(bytes[0] ?? 0);
    switch (type) {
      case "d":
        return { kind: "bytes", message: bytes };
      case "m":
        return { kind: "part", content: "manifest", tablespace: undefined };
      case "n": {
        const name = bytes.subarray(1, bytes.indexOf(0, 1)).toString();
        const oid = /^(\d+)\.tar$/.exec(name)?.[1];
        if (oid === undefined) return { kind: "part", content: "base", tablespace: undefined };
        const tablespace = this.tablespaces.find((each) => each.oid === Number(oid));
        if (tablespace === undefined)
          throw protocolError(`sent ${name}, a tablespace that it had not announced`);
        return { kind: "part", content: "tablespace", tablespace };
      }
      case "p":
        return undefined;
      default:
        throw protocolError(`sent a message of an unknown type ${JSON.stringify(type)}`);
    }
  }
}

type Next =
  | { readonly kind: "nothing" }
  | { readonly kind: "end" }
  /** Behind the first byte. */
  | { readonly kind: "bytes"; readonly message: Buffer }
  | {
      readonly kind: "part";
      readonly content: BaseBackupPart["content"];
      readonly tablespace: Tablespace | undefined;
    };

interface Row {
  readonly kind: "row";
  /** Which result set, counted from 1: the start, the tablespaces, the end. */
  readonly set: number;
  readonly fields: readonly (string | null)[];
}

type Message = Row | { readonly kind: "copy" } | { readonly kind: "data"; readonly bytes: Buffer };

/** Messages that wait for their reader, of 32 KiB at most. */
const depth = 64;

interface ProtocolConnection {
  readonly stream: { pause(): void; resume(): void };
  query(text: string): void;
  once(event: "copyOutResponse", listener: () => void): void;
}

/** A command of the replication protocol as the driver's queue takes it; what comes back can be read at leisure. */
class BackupCommand implements pg.Submittable {
  readonly messages: AsyncIterable<Message> & Readable;
  private readonly text: string;
  /** The driver's own buffers cannot be released: nobody knows when it is done with them, but it soon is. */
  private readonly memory = new BufferCollection(120);
  private connection: ProtocolConnection | undefined;
  private set = 0;

  constructor(text: string) {
    this.text = text;
    this.messages = new Readable({
      objectMode: true,
      highWaterMark: depth,
      read: () => this.connection?.stream.resume(),
    });
    // Whoever reads gets it; nobody may be reading yet.
    this.messages.on("error", () => undefined);
  }

  submit(connection: unknown): void {
    // The driver types none of what a query sees of its connection.
    this.connection = connection as ProtocolConnection;
    this.connection.once("copyOutResponse", () => this.push({ kind: "copy" }));
    this.connection.query(this.text);
  }

  handleRowDescription(): void {
    this.set += 1;
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    this.push({ kind: "row", set: this.set, fields });
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    // The driver uses its buffer again for what comes next. One of its own can be released.
    const bytes = Buffer.allocUnsafeSlow(chunk.length);
    chunk.copy(bytes);
    this.push({ kind: "data", bytes });
    this.memory.passed(chunk.length);
  }

  handleCommandComplete(): void {
    // One for each result set; what matters are the rows.
  }

  handleReadyForQuery(): void {
    this.messages.push(null);
  }

  handleError(error: Error): void {
    this.messages.destroy(error);
  }

  private push(message: Message): void {
    if (!this.messages.push(message)) this.connection?.stream.pause();
  }
}

function positionOf(rows: readonly Row[]): LogPosition {
  const [lsn, timeline] = rows[0]?.fields ?? [];
  if (lsn == null || timeline == null) throw protocolError("did not tell its position");
  return { lsn, timeline: Number(timeline) };
}

function protocolError(what: string): OpsError {
  return new OpsError("E_BASE_BACKUP", `The server's base backup ${what}`, {
    hint: "see the server's log; try again with: ops pitr base create",
  });
}
