import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { S3, S3ClientConfig } from "@aws-sdk/client-s3";
import type { S3StoreTarget } from "../../config/environment.ts";
import { causeText, OpsError } from "../../core/errors.ts";
import { codeOf, isTransient, storeError } from "./failure.ts";

/** How long a request is held on to. Milliseconds. */
export interface Patience {
  /** Until there is a connection. */
  readonly connect: number;
  /** Without a byte in either direction. */
  readonly idle: number;
  /** The same for what the server does on its own: putting an upload together, copying. */
  readonly slowIdle: number;
  /** Tries of one request to a server that has answered before. */
  readonly attempts: number;
  /** The same where it never has: it is more likely named wrongly than restarted. */
  readonly firstAttempts: number;
  /** Before the second try; doubled before each further one, up to `longestPause`, with up to half of it left to chance. */
  readonly pause: number;
  readonly longestPause: number;
}

export const usualPatience: Patience = {
  connect: 10_000,
  idle: 60_000,
  slowIdle: 600_000,
  attempts: 10,
  firstAttempts: 4,
  pause: 250,
  longestPause: 15_000,
};

export interface RequestOptions<T> {
  readonly signal?: AbortSignal | undefined;
  /** `slow`: for what may take the server minutes. */
  readonly speed?: "usual" | "slow";
  /** What an error of the server means here, by its code; `attempt` counts from 1. */
  readonly answers?: Readonly<Record<string, (attempt: number) => T | Promise<T>>>;
}

/** Requests to one server, with keys, time limits and retries. The SDK is loaded at the first one. */
export class Connection {
  readonly target: S3StoreTarget;
  readonly location: string;
  readonly patience: Patience;
  private usual: Promise<S3> | undefined;
  private slow: Promise<S3> | undefined;
  private answered = false;

  constructor(target: S3StoreTarget, location: string, patience: Patience) {
    this.target = target;
    this.location = location;
    this.patience = patience;
  }

  /**
   * Does the work, again after each transient failure. Throws the signal's reason, or an OpsError that names the store.
   *
   * @param name the object that is meant; empty where there is none
   */
  async request<T>(
    name: string,
    work: (s3: S3, options: { readonly abortSignal?: AbortSignal }, attempt: number) => Promise<T>,
    options: RequestOptions<T> = {},
  ): Promise<T> {
    const { signal } = options;
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      try {
        const s3 = await this.client(options.speed ?? "usual");
        const result = await work(s3, signal === undefined ? {} : { abortSignal: signal }, attempt);
        this.answered = true;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        const answer = options.answers?.[codeOf(error)];
        if (answer !== undefined) return answer(attempt);
        if (!this.mayRetry(error, attempt)) throw storeError(error, this.target, this.location, name);
      }
      await this.pause(attempt, signal);
    }
  }

  mayRetry(error: unknown, attempt: number): boolean {
    if (error instanceof OpsError || !isTransient(error)) return false;
    return attempt < (this.answered ? this.patience.attempts : this.patience.firstAttempts);
  }

  /** After the so many-th failure in a row. */
  async pause(failures: number, signal: AbortSignal | undefined): Promise<void> {
    const full = Math.min(this.patience.longestPause, this.patience.pause * 2 ** (failures - 1));
    try {
      await delay(full * (0.5 + Math.random() / 2), undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  private client(speed: "usual" | "slow"): Promise<S3> {
    if (speed === "usual") {
      this.usual ??= this.makeClient(this.patience.idle);
      return this.usual;
    }
    this.slow ??= this.makeClient(this.patience.slowIdle);
    return this.slow;
  }

  private async makeClient(idle: number): Promise<S3> {
    const { S3, SlicingHandler } = await import("./sdk.ts");
    const { Agent: HttpAgent } = await import("node:http");
    const { Agent: HttpsAgent } = await import("node:https");
    const { endpoint, region, pathStyle } = this.target;
    const authorities = await this.authorities();
    const config: S3ClientConfig = {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? (endpoint === undefined ? {} : { region: "us-east-1" }) : { region }),
      forcePathStyle: pathStyle,
      // Tries are counted in one place: `request`.
      maxAttempts: 1,
      // What is read is checked against the manifest and by the decryption.
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: new SlicingHandler({
        connectionTimeout: this.patience.connect,
        socketTimeout: idle,
        httpAgent: new HttpAgent({ keepAlive: true, maxSockets: 16 }),
        httpsAgent: new HttpsAgent({
          keepAlive: true,
          maxSockets: 16,
          ...(authorities === undefined ? {} : { ca: authorities }),
        }),
      }),
      ...(await this.credentials()),
    };
    return new S3(config);
  }

  private async credentials(): Promise<Pick<S3ClientConfig, "credentials" | "profile">> {
    const { credentials } = this.target;
    if (credentials.kind === "default") return {};
    if (credentials.kind === "profile") return { profile: credentials.profile };
    const { accessKey, secretKey, sessionToken } = credentials;
    return {
      credentials: {
        accessKeyId: await accessKey.reveal(),
        secretAccessKey: await secretKey.reveal(),
        ...(sessionToken === undefined ? {} : { sessionToken: await sessionToken.reveal() }),
      },
    };
  }

  private async authorities(): Promise<string[] | undefined> {
    const { caFile, name } = this.target;
    if (caFile === undefined) return undefined;
    const { getCACertificates } = await import("node:tls");
    try {
      return [...getCACertificates("default"), await readFile(caFile, "utf8")];
    } catch (error) {
      throw new OpsError("E_STORE_TLS", `${this.location}: the file of its authority cannot be read`, {
        cause: causeText(error),
        hint: `correct "ca-file:" of "stores: ${name}: s3:" in .opsrc`,
        retryable: false,
      });
    }
  }
}
