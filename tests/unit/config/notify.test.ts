import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { DiagnosticsError } from "../../../src/core/diagnostic.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-notify-config-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function load(text: string) {
  await writeFile(join(folder, ".opsrc"), text);
  return loadConfig({ cwd: folder, variables: {} });
}

async function mistakes(text: string): Promise<string> {
  const error: unknown = await load(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof DiagnosticsError)) throw error ?? new Error("there is no mistake in it");
  return error.diagnostics
    .map(({ position, message, hint }) => `${position.line}: ${message}; ${hint ?? ""}`)
    .join("\n");
}

describe("a notification", () => {
  it.each([
    ["{ kind: slack }", /1: .*of kind slack needs "url"/],
    ["{ kind: slack, url: env:X, secret: env:Y }", /1: is for webhook, not for slack; write kind: webhook/],
    ["{ kind: webhook, url: https://x, secret: in-the-clear }", /must be a reference/],
    ["{ kind: email, server: smtp, from: me, to: [a@b] }", /must be an address/],
    ["{ kind: email, server: smtp, from: a@b, to: [a@b], password: env:X }", /needs "user"/],
    [
      "{ kind: email, server: smtp, from: a@b, to: [a@b], user: u, password: env:X, tls: none }",
      /in the clear/,
    ],
    ["{ kind: pagerduty, routing-key: 0123456789 }", /must be a reference/],
    ["{ kind: pigeon, url: https://x }", /slack/],
    ["{ url: https://x, command: [mail] }", /has both "command" and "url"/],
    ["{ headers: { a: b } }", /needs a "kind"/],
    ["{ kind: slack, url: ftp://x }", /http/],
  ])("%s is refused where it stands", async (settings, message) => {
    expect(await mistakes(`notifications: { team: ${settings} }\n`)).toMatch(message);
  });

  it("has the usual ports of mail, and keeps the forms of before", async () => {
    const mail = (more: string) => `{ kind: email, from: a@b, to: [c@d], ${more} }`;
    const environment = (
      await load(`
notifications:
  a: ${mail("server: smtp.example.com")}
  b: ${mail("server: smtp.example.com:465")}
  c: ${mail('server: "[::1]:2525", tls: none')}
  d: { url: https://example.com/x }
  e: { command: [mail, ada] }
`)
    ).environment();

    expect(environment.notification("a")).toMatchObject({
      host: "smtp.example.com",
      port: 587,
      tls: "starttls",
    });
    expect(environment.notification("b")).toMatchObject({ port: 465, tls: "tls" });
    expect(environment.notification("c")).toMatchObject({ host: "::1", port: 2525, tls: "none" });
    expect(environment.notification("d")).toMatchObject({ kind: "url", headers: {} });
    expect(environment.notification("e")).toMatchObject({ kind: "command", variables: [] });
  });
});

describe("a rule", () => {
  const rules = (rule: string) =>
    `notifications: { team: { kind: slack, url: env:X } }\nnotify: { all: ${rule} }\n`;

  it.each([
    ["{ events: [run.fail], to: [team] }", /2: there is no event "run.fail"; did you mean "run.failed"\?/],
    ["{ events: [jobs.*], to: [team] }", /there is no event "jobs.\*"/],
    ["{ events: [run.done], to: [tem] }", /2: there is no notification "tem"; did you mean "team"\?/],
    ["{ events: [run.done], to: [team], required: true }", /of which this rule does not tell/],
    ['{ events: ["*"], to: [team], required: true, severity: error }', /of which this rule does not tell/],
    [
      '{ events: ["*"], to: [team], title: "${{ titel }}" }',
      /2: there is no variable "titel"; did you mean "title"\?/,
    ],
    ['{ events: ["*"], to: [team], text: "${{ title" }', /2: the expression is never closed/],
    ["{ events: [], to: [team] }", /needs at least one event/],
  ])("%s is refused where it stands", async (rule, message) => {
    expect(await mistakes(rules(rule))).toMatch(message);
  });

  it("can be overridden in an environment, key by key", async () => {
    const config = await load(
      `${rules('{ events: ["run.*"], to: [team], severity: error }')}environments:\n  dev: {}\n  production: { notify: { all: { severity: info } } }\n`,
    );

    const [rule] = config.environment("production").notifyRules();
    expect(rule).toMatchObject({ name: "all", rule: { severity: "info", events: ["run.*"], to: ["team"] } });
    expect(config.environment("dev").notifyRules()[0]?.rule.severity).toBe("error");
  });
});
