import type { LogMetrics } from "../config/metrics-target.ts";
import { systemClock } from "../core/clock.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { haproxyLines } from "../log-tail/haproxy-line.ts";
import type { Attempt, LineFormat, LoggedRequest } from "../log-tail/logged-request.ts";
import { combinedLines, jsonLines } from "../log-tail/nginx-line.ts";
import { LogTail } from "../log-tail/tail.ts";
import { noCounts } from "./counters.ts";
import { missing } from "./missing.ts";
import type { AnsweredRequest, Counters, RequestSource } from "./request-source.ts";

/** Milliseconds between two looks at the file for request times. */
const timesEvery = 100;
/** Lines of another form than the one declared, without one that has it, from which on the form is taken to be wrong. */
const wrongForm = 5;

/** The lines that are written to an access log from the first look on: every request with its time. */
export function logSource(metrics: LogMetrics): RequestSource {
  const format = lineFormat(metrics.format);
  const versionOf = new Map(
    metrics.versions.flatMap(({ version, name }) => [
      [version, version],
      [name, version],
    ]),
  );
  const counted = new Map(metrics.versions.map(({ version }) => [version, { ...noCounts }]));
  const tail = new LogTail(metrics.file, systemClock);
  const followers = new Set<AnsweredRequest[]>();
  const seen = { of: 0, unknown: 0, example: "" };
  let begun = false;
  let turn: Promise<void> = Promise.resolve();

  function count(request: LoggedRequest): void {
    for (const attempt of request.attempts) {
      const version = versionOf.get(attempt.place);
      const counters = version === undefined ? undefined : counted.get(version);
      if (counters !== undefined) addAttempt(counters, attempt);
    }
    const version = versionOf.get(request.attempts.at(-1)?.place ?? "");
    if (version === undefined) return;
    // Where it failed before is not told: of two versions it was the other one, of more it may have been any.
    for (const [other, counters] of request.movedHere ? counted : []) {
      if (other !== version)
        addAttempt(counters, { place: other, status: undefined, broken: "by-server", retries: 0 });
    }
    const { time } = request;
    if (time === undefined) return;
    for (const each of followers) each.push({ version, time });
  }

  async function advance(): Promise<void> {
    if (!begun) await tail.begin();
    begun = true;
    for (const line of await tail.take()) {
      const parsed = format(line);
      if (parsed === "unknown") {
        seen.unknown += 1;
        seen.example = line;
      } else {
        seen.of += 1;
        if (parsed !== "other") count(parsed);
      }
    }
  }

  /** One at a time: the looks and the followers of request times share the file. */
  function advanceInTurn(): Promise<void> {
    const mine = turn.then(advance);
    turn = mine.catch(() => undefined);
    return mine;
  }

  async function* times(signal: AbortSignal): AsyncGenerator<AnsweredRequest, void, undefined> {
    const queue: AnsweredRequest[] = [];
    followers.add(queue);
    try {
      while (!signal.aborted) {
        // The looks say what is wrong with the file.
        await advanceInTurn().catch((error: unknown) => {
          if (!(error instanceof OpsError)) throw error;
        });
        yield* queue.splice(0);
        await systemClock.sleep(timesEvery, signal).catch(() => undefined);
      }
    } finally {
      followers.delete(queue);
    }
  }

  const { format: form } = metrics;
  const hasTimes = form.kind !== "json" || form.time !== undefined;
  return {
    apart: { maxAge: metrics.maxAge },
    begins: "at-first-look",
    async read() {
      await advanceInTurn();
      refuseAbsent(metrics, tail);
      if (seen.of === 0 && seen.unknown >= wrongForm) {
        throw missing(
          "E_METRICS_FORMAT",
          metrics.counted,
          `none of ${seen.unknown} lines of ${metrics.file} has the form "${form.kind}"`,
          {
            cause: redact(seen.example.slice(0, 200)),
            hint: "compare them with docs/metrics.md",
          },
        );
      }
      return metrics.versions.map(({ version }) => ({
        version,
        process: "log",
        counters: { ...(counted.get(version) ?? noCounts) },
      }));
    },
    async requireTimes() {
      if (hasTimes) return;
      throw new UsageError(
        "E_REQUEST_TIMES",
        `The log of ${metrics.counted} tells no times to take a p95 from`,
        {
          hint: "name the key of the time: fields: { …, time: request_time }, or set no p95 limit",
        },
      );
    },
    times: hasTimes ? times : undefined,
    close: () => turn.then(() => tail.close()),
  };
}

function lineFormat(format: LogMetrics["format"]): LineFormat {
  switch (format.kind) {
    case "haproxy":
      return haproxyLines(format.backend);
    case "combined":
      return combinedLines(format.unit);
    case "json":
      return jsonLines(format, format.unit);
  }
}

function refuseAbsent({ counted, file }: LogMetrics, tail: LogTail): void {
  if (tail.state === "reading") return;
  const [what, hint] =
    tail.state === "waiting"
      ? [`the log ${file} is not there`, 'correct "file:", or start what writes it']
      : [`the log ${file} is gone`, "see what moved it away, and that its writer has opened a new one"];
  throw missing("E_METRICS_LOG", counted, what, { hint });
}

/** A request that the client gave up counts as sent, and as neither good nor bad. */
function addAttempt(counters: Counters, { status, broken, retries }: Attempt): void {
  counters.requests += 1;
  counters.retries += retries;
  if (status !== undefined && status >= 500) {
    counters.answered += 1;
    counters.serverErrors += 1;
  } else if (broken === "by-server") counters.responseErrors += 1;
  else if (broken === undefined || status !== undefined) counters.answered += 1;
}
