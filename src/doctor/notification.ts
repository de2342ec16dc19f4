import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import type { Environment, NotificationTarget } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { parseHttpUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";
import { signedHeaders } from "../notifier/webhook.ts";
import { Outbox } from "../outbox/outbox.ts";
import { requireProgram } from "../process/find-program.ts";
import { type Finding, missing, missingBecause, ok, warn } from "./finding.ts";

const week = 7 * 86_400_000;
const late = 3_600_000;

/** Whether somebody can be told, as far as that can be seen without telling anything. */
export async function notificationFindings(
  environment: Environment,
  name: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const subject = `notification ${name}`;
  const target = environment.notification(name);
  const named =
    environment.notifyRules().some(({ rule }) => rule.to.includes(name)) ||
    environment.names("schedules").some((each) => environment.schedule(each).notify.includes(name));
  const unnamed = warn(
    subject,
    "no rule and no schedule names it",
    'name it under "notify:" in .opsrc, or remove it',
  );
  try {
    return [await look(subject, target, signal), ...(named ? [] : [unnamed])];
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return [missingBecause(subject, error, `correct "notifications: ${name}:" in .opsrc`)];
  }
}

async function look(subject: string, target: NotificationTarget, signal: AbortSignal): Promise<Finding> {
  switch (target.kind) {
    case "email": {
      const { greetMailServer } = await import("../notifier/email.ts");
      const sent = await greetMailServer(subject, target, signal);
      if (!sent.sent) {
        const why = sent.problem.replace(`${subject}: `, "");
        return missing(subject, why, `correct "notifications: ${target.name}:" in .opsrc`);
      }
      if (target.tls === "none" && !/^(localhost|127\.|::1$)/.test(target.host))
        return warn(subject, `${sent.answer}, in the clear`, "write tls: starttls");
      return ok(subject, sent.answer);
    }
    case "file":
      return writable(subject, target.file);
    case "command": {
      const program = await requireProgram(target.command[0] ?? "", target.directory);
      return ok(subject, `runs ${program}`);
    }
    default: {
      const url = parseHttpUrl(await target.url.reveal());
      if (target.kind === "webhook") signedHeaders(await target.secret.reveal(), "", 0, "");
      if (target.kind === "pagerduty") await target.routingKey.reveal();
      if (target.kind === "webhook" || target.kind === "url")
        await revealHeaders(target.headers, target.directory);
      const there = /^(localhost|127\..*|\[::1\])$/.test(url.hostname);
      if (url.protocol === "http:" && !there)
        return warn(subject, `${url.origin} is reached in the clear`, "write https: instead of http:");
      return ok(subject, `${target.kind} at ${url.origin}; try it: ops notify test ${target.name}`);
    }
  }
}

async function writable(subject: string, file: string): Promise<Finding> {
  try {
    await access(file, constants.W_OK).catch(async (error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      await access(dirname(file), constants.W_OK);
    });
    return ok(subject, `${file} can be written`);
  } catch (error) {
    return missing(
      subject,
      `${file} cannot be written: ${causeText(error)}`,
      "make its folder, or correct the path",
    );
  }
}

/** What waits for long, and what was given up: a receiver that is down tells nobody of it. */
export function outboxFindings(environment: Environment, stateDirectory: string, now: Date): Finding[] {
  if (environment.names("notifications").length === 0) return [];
  const subject = "outbox";
  const outbox = Outbox.openToRead(stateDirectory, environment.name);
  if (outbox === undefined) return [];
  try {
    const notices = outbox.notices().filter(({ channel }) => channel === "notification");
    const waiting = notices.filter(
      ({ state, createdAt }) => state === "waiting" && now.getTime() - createdAt > late,
    );
    const lost = notices.filter(
      ({ state, endedAt }) => state === "given-up" && now.getTime() - (endedAt ?? 0) < week,
    );
    if (lost.length > 0)
      return [
        warn(
          subject,
          `${counted(lost.length, "notice")} given up in the last week`,
          "see why: ops notify outbox",
        ),
      ];
    if (waiting.length > 0)
      return [
        warn(
          subject,
          `${counted(waiting.length, "notice")} waiting for over an hour`,
          "see why: ops notify outbox",
        ),
      ];
    const left = notices.filter(({ state }) => state === "waiting").length;
    return [
      ok(subject, left === 0 ? "no notice waits" : `${counted(left, "notice")} waiting for the next attempt`),
    ];
  } finally {
    outbox.close();
  }
}
