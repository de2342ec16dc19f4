import type { Agent, RequestOptions } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { type Credentials, credentialsOf, readPem } from "./credentials.ts";
import { type ApiRequest, type Refusal, refused, unreachable } from "./failure.ts";
import { type ClusterAccess, type ClusterChoice, clusterAccess } from "./kubeconfig.ts";

/** Milliseconds for one request, and tries of it; the pause before the second one is doubled before each further one. */
const [patience, attempts, firstPause, longestPause] = [5_000, 4, 200, 3_000] as const;
/** Bytes of an answer; a list of routes is far below. */
const answerLimit = 16 * 2 ** 20;

interface Answer {
  readonly status: number;
  readonly retryAfter: number | undefined;
  readonly body: unknown;
}

/**
 * Requests to the API server of one cluster, with the kubeconfig's TLS and credentials. Broken connections, 429 and 5xx
 * are tried again; after a 401 the credentials are read anew once. What is sent must therefore be safe to send twice.
 */
export class KubernetesApi {
  private readonly choice: ClusterChoice;
  private found: Promise<ClusterAccess> | undefined;
  private connected: Promise<{ readonly credentials: Credentials; readonly agent: Agent }> | undefined;

  constructor(choice: ClusterChoice) {
    this.choice = choice;
  }

  access(): Promise<ClusterAccess> {
    this.found ??= clusterAccess(this.choice);
    return this.found;
  }

  /**
   * The JSON of a good answer, or the server's refusal where its status is one of `expected`. Throws an OpsError with a
   * code `E_KUBERNETES…`, or the signal's reason.
   */
  async request(
    request: ApiRequest,
    options: { readonly expected?: readonly number[]; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<
    { readonly ok: true; readonly body: unknown } | { readonly ok: false; readonly refusal: Refusal }
  > {
    const { signal, expected = [] } = options;
    let renewed = false;
    for (let attempt = 1; ; attempt += 1) {
      signal?.throwIfAborted();
      const answer = await this.exchange(request, signal).catch(async (error: unknown) => {
        signal?.throwIfAborted();
        if (error instanceof OpsError) throw error;
        const failure = unreachable(await this.access(), request, error);
        if (!failure.retryable || attempt >= attempts) throw failure;
        return undefined;
      });
      if (answer !== undefined) {
        if (answer.status < 300) return { ok: true, body: answer.body };
        const refusal = refusalOf(answer);
        if (expected.includes(answer.status)) return { ok: false, refusal };
        const again = answer.status === 401 && !renewed;
        const busy = (answer.status === 429 || answer.status >= 500) && attempt < attempts;
        if (!again && !busy) throw refused(await this.access(), request, refusal);
        if (again) {
          renewed = true;
          await this.close();
          continue;
        }
      }
      const pause = Math.min(longestPause, answer?.retryAfter ?? firstPause * 2 ** (attempt - 1));
      await delay(pause, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw error;
      });
    }
  }

  private async close(): Promise<void> {
    const connected = await this.connected;
    this.connected = undefined;
    connected?.agent.destroy();
  }

  private async exchange(request: ApiRequest, signal: AbortSignal | undefined): Promise<Answer> {
    const access = await this.access();
    this.connected ??= this.connect(access, signal);
    const { credentials, agent } = await this.connected.catch((error: unknown) => {
      this.connected = undefined;
      throw error;
    });
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const { request: send } = access.server.startsWith("https:")
      ? await import("node:https")
      : await import("node:http");
    const limit = AbortSignal.timeout(patience);
    const options: RequestOptions = {
      method: request.method,
      agent,
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      headers: {
        accept: "application/json",
        "user-agent": "ops",
        ...(credentials.token === undefined ? {} : { authorization: `Bearer ${credentials.token}` }),
        ...(body === undefined
          ? {}
          : {
              "content-type": request.contentType ?? "application/json",
              "content-length": Buffer.byteLength(body),
            }),
      },
    };
    return new Promise<Answer>((resolve, reject) => {
      const outgoing = send(`${access.server}${request.path}`, options, (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > answerLimit)
            response.destroy(new Error(`the answer is longer than ${answerLimit} bytes`));
        });
        response.on("end", () => {
          const seconds = Number(response.headers["retry-after"]);
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: Number.isFinite(seconds) ? seconds * 1000 : undefined,
            body: parsed(Buffer.concat(chunks).toString("utf8")),
          });
        });
        response.on("error", reject);
      });
      outgoing.on("error", (error) =>
        reject(limit.aborted ? new Error(`no answer in ${patience} ms`) : error),
      );
      outgoing.end(body);
    });
  }

  private async connect(access: ClusterAccess, signal: AbortSignal | undefined) {
    const [credentials, authority] = await Promise.all([
      credentialsOf(access, signal),
      readPem(access, access.authority),
    ]);
    const { certificate, key } = credentials;
    const { Agent: Plain } = await import("node:http");
    const { Agent: Secure } = await import("node:https");
    const agent = access.server.startsWith("https:")
      ? new Secure({
          keepAlive: true,
          rejectUnauthorized: !access.insecure,
          ...(authority === undefined ? {} : { ca: authority }),
          ...(access.serverName === undefined ? {} : { servername: access.serverName }),
          ...(certificate === undefined ? {} : { cert: certificate }),
          ...(key === undefined ? {} : { key }),
        })
      : new Plain({ keepAlive: true });
    return { credentials, agent };
  }
}

const statusSchema = z.object({
  message: z.string().default(""),
  reason: z.string().default(""),
  details: z.object({ kind: z.string().optional(), name: z.string().optional() }).optional(),
});

/** The API server says what is wrong in an object of the kind `Status`; a proxy in front of it does not. */
function refusalOf({ status, body }: Answer): Refusal {
  const read = statusSchema.safeParse(body);
  if (!read.success) return { status, reason: "", message: "", kind: undefined };
  return { status, reason: read.data.reason, message: read.data.message, kind: read.data.details?.kind };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No API server answers so; the status and the check of the form say it.
    return undefined;
  }
}
