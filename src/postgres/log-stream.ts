import { Readable } from "node:stream";
import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { connect, databaseError } from "./connection.ts";

/** What the server sends of its log; positions in bytes from the log's beginning. */
export type LogMessage =
  | { readonly kind: "log"; readonly at: bigint; readonly bytes: Buffer }
  /** It is idle, or wants to hear how far we are: when it shuts down, it waits for the answer. */
  | { readonly kind: "alive"; readonly asks: boolean };

export interface LogStreamStart {
  readonly slot: string;
  readonly timeline: number;
  /** The first byte to send. */
  readonly at: bigint;
}

/** A timeline that the server's own one came from ends; this one goes on from there. */
export interface NextTimeline {
  readonly timeline: number;
  readonly lsn: string;
}

/** Milliseconds without a sign of life after which the connection counts as broken. */
const silence = 30_000;
/** Milliseconds between two reports to the server, which answers each. */
const heartbeat = 5_000;

/**
 * The log of a server as it is written, over the streaming replication protocol: what pg_receivewal speaks (the manual:
 * Streaming Replication Protocol, START_REPLICATION). Memory is constant: the server waits for who reads. The server
 * keeps what is not confirmed as durable. Throws `E_DATABASE_UNREACHABLE`, `E_CONNECTION_LOST`, `E_SQL`.
 */
export class LogStream {
  private readonly target: DatabaseTarget;
  private readonly client: pg.Client;
  private readonly signal: AbortSignal;
  private command: ReplicationCommand | undefined;
  private received = 0n;
  private durable = 0n;
  private beat: NodeJS.Timeout | undefined;

  private constructor(target: DatabaseTarget, client: pg.Client, signal: AbortSignal) {
    this.target = target;
    this.client = client;
    this.signal = signal;
  }

  static async open(target: DatabaseTarget, signal: AbortSignal): Promise<LogStream> {
    const client = await connect(target, { signal, replication: true, applicationName: "ops wal receive" });
    return new LogStream(target, client, signal);
  }

  /** The newest timeline that the server is on. */
  async timeline(): Promise<number> {
    const [row] = await this.ask("IDENTIFY_SYSTEM");
    return Number(row?.timeline);
  }

  /** The `.history` file of a timeline, as the server has it. */
  async history(timeline: number): Promise<Buffer> {
    const [row] = await this.ask(`TIMELINE_HISTORY ${timeline}`);
    return Buffer.from(row?.content ?? "");
  }

  /** Resolves once the server begins to send. */
  async start({ slot, timeline, at }: LogStreamStart): Promise<void> {
    const position = `${(at >> 32n).toString(16)}/${(at & 0xffff_ffffn).toString(16)}`;
    const command = new ReplicationCommand(
      `START_REPLICATION SLOT "${slot}" PHYSICAL ${position} TIMELINE ${timeline}`,
    );
    this.command = command;
    this.received = at;
    try {
      this.client.query(command);
      await command.begun;
    } catch (error) {
      throw this.named(error);
    }
    this.beat = setInterval(() => {
      if (performance.now() - command.heardAt > silence) command.fail(new Error("Connection terminated"));
      else command.report(this.received, this.durable, "asks");
    }, heartbeat);
  }

  /** Until the server ends the timeline. What had come before the connection broke is given before that is thrown. */
  async *messages(): AsyncGenerator<LogMessage> {
    const { command } = this;
    if (command === undefined) throw new Error("the stream was not started");
    try {
      for await (const message of command.messages as AsyncIterable<LogMessage>) {
        if (message.kind === "log") this.received = message.at + BigInt(message.bytes.length);
        yield message;
      }
    } catch (error) {
      throw this.named(error);
    }
    if (command.failure !== undefined) throw this.named(command.failure);
  }

  /** What the server said at the end of the timeline. */
  get next(): NextTimeline | undefined {
    return this.command?.next;
  }

  /** Everything before `durable` is the server's to remove. */
  confirm(durable: bigint): void {
    this.durable = durable;
    this.command?.report(this.received, durable, "tells");
  }

  /** Ends `messages` behind what has come; `confirm` still reaches the server. */
  finish(): void {
    this.command?.finish();
  }

  /** Never throws. */
  async close(): Promise<void> {
    clearInterval(this.beat);
    this.command?.leave();
    await this.client.end().catch(() => undefined);
  }

  private async ask(text: string): Promise<Record<string, string | null>[]> {
    try {
      // The driver would take a history, which is a bytea without its form, for one with it.
      const types = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
      const { rows } = await this.client.query<Record<string, string | null>>({ text, types });
      return rows;
    } catch (error) {
      throw this.named(error);
    }
  }

  private named(error: unknown): unknown {
    this.signal.throwIfAborted();
    return databaseError(this.target, error);
  }
}

interface ProtocolConnection {
  readonly stream: { pause(): void; resume(): void; readonly writable: boolean };
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  once(event: "replicationStart" | "copyDone", listener: () => void): void;
}

/** Messages that wait for their reader, of 128 KiB at most. */
const depth = 32;
/** Microseconds from 1970 to 2000, where PostgreSQL's clock begins. */
const epoch = 946_684_800_000_000n;

/** START_REPLICATION as the driver's queue takes it: data comes and reports go over the same connection. */
class ReplicationCommand implements pg.Submittable {
  readonly messages: Readable;
  readonly begun: Promise<void>;
  /** By the clock that only rises, in milliseconds. Now, while we do not listen. */
  get heardAt(): number {
    return this.paused ? performance.now() : this.lastHeard;
  }
  next: NextTimeline | undefined;
  failure: Error | undefined;
  private ended = false;
  private lastHeard = performance.now();
  private paused = false;
  private copying = false;
  private readonly text: string;
  private connection: ProtocolConnection | undefined;
  private readonly settle: { begin: () => void; fail: (error: Error) => void };

  constructor(text: string) {
    this.text = text;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.begun = promise;
    this.begun.catch(() => undefined);
    this.settle = { begin: resolve, fail: reject };
    this.messages = new Readable({
      objectMode: true,
      highWaterMark: depth,
      read: () => {
        if (this.paused) this.lastHeard = performance.now();
        this.paused = false;
        this.connection?.stream.resume();
      },
    });
  }

  submit(connection: unknown): void {
    // The driver types none of what a query sees of its connection.
    this.connection = connection as ProtocolConnection;
    this.connection.once("replicationStart", () => {
      this.copying = true;
      this.lastHeard = performance.now();
      this.settle.begin();
    });
    this.connection.once("copyDone", () => {
      if (this.copying) this.connection?.endCopyFrom();
      this.copying = false;
    });
    this.connection.query(this.text);
  }

  /** @param wish `asks`: the server answers at once */
  report(received: bigint, durable: bigint, wish: "asks" | "tells"): void {
    if (!this.copying || this.connection?.stream.writable !== true) return;
    const message = Buffer.alloc(34);
    message.write("r");
    message.writeBigInt64BE(received, 1);
    message.writeBigInt64BE(durable, 9);
    // Bytes 17 to 24 are what was applied: nothing ever is.
    message.writeBigInt64BE(BigInt(Date.now()) * 1000n - epoch, 25);
    message.writeUInt8(wish === "asks" ? 1 : 0, 33);
    this.connection.sendCopyFromChunk(message);
  }

  finish(): void {
    if (this.ended) return;
    this.ended = true;
    this.messages.push(null);
  }

  leave(): void {
    this.finish();
    if (this.copying && this.connection?.stream.writable === true) this.connection.endCopyFrom();
    this.copying = false;
    this.connection?.stream.resume();
  }

  fail(error: Error): void {
    if (this.ended) return;
    this.failure = error;
    this.settle.fail(error);
    this.finish();
  }

  handleRowDescription(): void {
    // Of the one row at the end of a timeline, whose form is known.
  }

  handleDataRow({ fields: [timeline, lsn] }: { readonly fields: readonly (string | null)[] }): void {
    if (timeline != null && lsn != null) this.next = { timeline: Number(timeline), lsn };
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    this.lastHeard = performance.now();
    const type = String.fromCharCode(chunk[0] ?? 0);
    if (type === "w") {
      // The driver uses its buffer again for what comes next.
      this.push({ kind: "log", at: chunk.readBigInt64BE(1), bytes: Buffer.from(chunk.subarray(25)) });
    } else if (type === "k") {
      this.push({ kind: "alive", asks: chunk[17] === 1 });
    } else {
      const cause = new Error(`a message of an unknown type ${JSON.stringify(type)}`);
      this.fail(new OpsError("E_CONNECTION_LOST", "The server's log is not what was expected", { cause }));
    }
  }

  handleCommandComplete(): void {
    // One for the copy, one for the row behind it.
  }

  handleReadyForQuery(): void {
    this.settle.begin();
    this.finish();
  }

  handleError(error: Error): void {
    this.fail(error);
  }

  private push(message: LogMessage): void {
    if (this.ended || this.messages.push(message)) return;
    this.paused = true;
    this.connection?.stream.pause();
  }
}
