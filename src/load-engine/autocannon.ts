import { connect as connectPlain } from "node:net";
import tls from "node:tls";
import autocannon from "autocannon";
import { type AutocannonClient, makeUser } from "./autocannon-user.ts";
import { Figures } from "./figures.ts";
import {
  isExpected,
  LoadFailure,
  type LoadFigures,
  type LoadInterval,
  type LoadPlan,
  rampSteps,
} from "./plan.ts";

/**
 * Makes the load with autocannon until its time is over or `stop` aborts. Changes `tls.connect` of this whole process,
 * which is why it has a process of its own. Throws `LoadFailure`.
 *
 * Its own histogram and its correction of coordinated omission are not used: docs/decisions/0085.
 */
export async function runAutocannon(
  plan: LoadPlan,
  stop: AbortSignal,
  tell: (interval: LoadInterval) => void,
): Promise<LoadFigures> {
  insistOnCertificates();
  await reach(plan);
  const figures = new Figures(plan);
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  let failure: LoadFailure | undefined;
  const instances: autocannon.Instance[] = [];
  const over = new AbortController();
  const ending = AbortSignal.any([stop, over.signal]);

  const requests = plan.steps.map(({ method, path, headers, body }) => ({
    method: method as autocannon.Request["method"],
    path,
    headers,
    ...(body === undefined ? {} : { body }),
  }));
  const setupClient = (client: autocannon.Client) =>
    makeUser(client as unknown as AutocannonClient, {
      answered: (step, answer) => {
        const kind = isExpected(answer.status, plan.steps[step] ?? {}) ? "good" : "status";
        figures.record(elapsed(), step, { kind, ...answer });
      },
      timedOut: (step) => figures.record(elapsed(), step, { kind: "timeout" }),
      lost: (step, error) => {
        figures.record(elapsed(), step, { kind: "connection" });
        if (!isCertificate(error)) return;
        const why = `the certificate of ${plan.origin} is not valid: ${error?.message}`;
        failure ??= new LoadFailure("E_LOAD_TARGET", why);
        over.abort();
      },
      think: (step) => plan.steps[step]?.thinkMs ?? 0,
    });
  const start = (users: number, forMs: number) => {
    const instance = autocannon(
      {
        url: plan.origin,
        connections: users,
        // Ended from here; the time of each instance is only its last resort.
        duration: forMs / 1000 + 60,
        timeout: plan.timeoutMs / 1000,
        sampleInt: 100,
        requests,
        setupClient,
      },
      (error) => {
        if (!error) return;
        failure ??= new LoadFailure("E_LOAD_GENERATOR", String(error));
        over.abort();
      },
    );
    instances.push(instance);
  };

  let users = 0;
  const ticker = setInterval(() => {
    for (const interval of figures.closeUntil(elapsed())) tell(interval);
  }, Math.min(plan.intervalMs, 1000) / 4);
  try {
    for (const step of [...rampSteps(plan), { at: plan.durationMs, users: 0 }]) {
      await sleepUntil(started + step.at, ending);
      if (ending.aborted || step.users <= users) break;
      start(step.users - users, plan.durationMs - step.at);
      users = step.users;
    }
  } finally {
    clearInterval(ticker);
  }
  // A timer may be a little early or late; the load has lasted as long as it was to, unless it was ended.
  const took = ending.aborted ? Math.min(elapsed(), plan.durationMs) : plan.durationMs;
  // What is under way now is cut off, and counts neither way.
  for (const instance of instances) instance.stop?.();
  if (failure !== undefined) throw failure;
  const result = figures.finish(took);
  for (const interval of result.intervals.slice(-1)) tell(interval);
  return result;
}

/** Autocannon never looks at certificates; a load with somebody's token must not go to just anybody. */
function insistOnCertificates(): void {
  const original = tls.connect as (port: number, host: string, options: object) => tls.TLSSocket;
  tls.connect = ((port: number, host: string, options: object) =>
    original(port, host, { ...options, rejectUnauthorized: true })) as typeof tls.connect;
}

/** One connection without a request: what nobody answers gets no load. */
function reach({ origin, timeoutMs }: LoadPlan): Promise<void> {
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  const secure = protocol === "https:";
  const number = Number(port || (secure ? 443 : 80));
  return new Promise((resolve, reject) => {
    const connected = () => {
      socket.destroy();
      resolve();
    };
    const options = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
    const socket = secure
      ? tls.connect(number, host, options, connected)
      : connectPlain(number, host, connected);
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no answer")));
    socket.once("error", (error) => {
      const what = error instanceof AggregateError ? error.errors.map(String).join("; ") : error.message;
      reject(new LoadFailure("E_LOAD_TARGET", `nothing can be reached at ${origin}: ${what}`));
    });
  });
}

function isCertificate(error: NodeJS.ErrnoException | undefined): boolean {
  return error !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(error.code ?? "");
}

function sleepUntil(moment: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.max(0, moment - performance.now()));
    signal.addEventListener("abort", done);
  });
}
