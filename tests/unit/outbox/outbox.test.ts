import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import type { Json } from "../../../src/core/errors.ts";
import type { Sent } from "../../../src/notifier/sent.ts";
import { collect } from "../../../src/outbox/collect.ts";
import { deliver } from "../../../src/outbox/delivery.ts";
import { type NewNotice, Outbox } from "../../../src/outbox/outbox.ts";
import type { RunEvent } from "../../../src/run/events.ts";
import { SqliteJournal } from "../../../src/run/sqlite-journal.ts";
import { HeldClock, runRequest } from "../../support/journal-contract.ts";

const minute = 60_000;
const hour = 60 * minute;

let folder: string;
let clock: HeldClock;
let outbox: Outbox;
let answers: Sent[];
let sent: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ops-outbox-"));
  clock = new HeldClock();
  outbox = Outbox.open(folder, "test");
  [answers, sent] = [[], []];
});
afterEach(() => {
  outbox.close();
  rmSync(folder, { recursive: true, force: true });
});

const now = () => clock.now().getTime();
const notice = (key: string, more: Partial<NewNotice> = {}): NewNotice => ({
  channel: "notification",
  target: "team",
  source: "r1",
  subject: null,
  body: { title: key },
  key,
  ...more,
});
const failed = (more: object = {}): Sent => ({ sent: false, problem: "it is down", ...more });
const flush = () =>
  deliver(outbox, {
    clock,
    channels: ["notification"],
    send: async ({ key }) => {
      sent.push(key);
      return answers.shift() ?? { sent: true, answer: "200" };
    },
  });

describe("the outbox", () => {
  it("takes the same notice once, also after it was delivered", async () => {
    expect(outbox.add([notice("a"), notice("b")], now())).toBe(2);
    await flush();
    expect(outbox.add([notice("a"), notice("c")], now())).toBe(1);
    await flush();

    expect(sent).toEqual(["a", "b", "c"]);
  });

  it("tries again after a pause that doubles up to half an hour, and gives up after a day, with a record", async () => {
    outbox.add([notice("a")], now());
    const pauses: number[] = [];
    const end = now() + 26 * hour;
    for (let last = now(); outbox.notices("waiting").length > 0 && now() < end; clock.move(minute / 4)) {
      answers = [failed()];
      if ((await flush()).length > 0) {
        pauses.push(now() - last);
        last = now();
      }
    }

    expect(pauses[1]).toBeLessThanOrEqual(minute);
    expect(pauses[3]).toBeGreaterThan(2.5 * minute);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30 * minute);
    expect(outbox.notices()).toMatchObject([
      { state: "given-up", problem: "it is down", attempts: pauses.length },
    ]);
    expect(pauses.length).toBeLessThan(90);
  });

  it("comes again when the receiver said so, and never with what the receiver calls wrong", async () => {
    outbox.add([notice("later"), notice("never")], now());
    answers = [failed({ retryAfter: 10 * minute }), failed({ final: true })];
    await flush();
    clock.move(9 * minute);
    await flush();
    expect(sent).toEqual(["later", "never"]);
    clock.move(minute);
    await flush();

    expect(sent).toEqual(["later", "never", "later"]);
    expect(outbox.notices("given-up")).toMatchObject([{ key: "never" }]);
  });

  it("keeps the order of a subject, and of nothing else", async () => {
    const pager = (key: string, subject: string) => notice(key, { target: "pager", subject });
    outbox.add(
      [pager("deploy failed", "deploy"), pager("deploy done", "deploy"), pager("other", "x")],
      now(),
    );
    answers = [failed()];
    await flush();
    expect(sent.sort()).toEqual(["deploy failed", "other"]);
    clock.move(2 * minute);
    await flush();

    expect(sent.slice(2)).toEqual(["deploy failed", "deploy done"]);
  });

  it("tells one receiver although many notices wait for another that hangs", async () => {
    const stop = new AbortController();
    const many = Array.from({ length: 20 }, (_, index) => notice(`mute ${index}`, { target: "mute" }));
    outbox.add([...many, notice("urgent", { target: "pager" })], now());
    const send = ({ target, key }: { target: string; key: string }, signal: AbortSignal) => {
      if (target === "mute")
        return new Promise<Sent>((end) => signal.addEventListener("abort", () => end(failed())));
      sent.push(key);
      stop.abort();
      return Promise.resolve<Sent>({ sent: true, answer: "200" });
    };
    await deliver(outbox, { clock, channels: ["notification"], send, signal: stop.signal });

    expect(sent).toEqual(["urgent"]);
  });

  it("tries again in time what was postponed while the clock was a year ahead", async () => {
    outbox.add([notice("a")], now());
    answers = [failed()];
    const year = 365 * 24 * hour;
    const [waiting] = outbox.notices();
    outbox.postpone(waiting?.id ?? 0, now() + year, "it is down");
    await flush();
    clock.move(hour);
    await flush();

    expect(sent).toEqual(["a", "a"]);
  });

  it("has what an earlier version had not sent yet", () => {
    outbox.close();
    rmSync(Outbox.file(folder));
    const before = new DatabaseSync(Outbox.file(folder));
    before.exec(`CREATE TABLE notice (
      id INTEGER PRIMARY KEY, environment TEXT NOT NULL, schedule TEXT NOT NULL, channel TEXT NOT NULL, target TEXT NOT NULL,
      body TEXT NOT NULL, created_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL,
      problem TEXT) STRICT;
      INSERT INTO notice VALUES (7, 'test', 'nightly', 'notification', 'team',
        '{"text":"schedule nightly failed","event":"failed","host":"db1","at":"2026-01-01T00:00:00.000Z"}', 5, 2, 6, 'down');
      PRAGMA user_version = 1;`);
    before.close();

    outbox = Outbox.open(folder, "test");

    expect(outbox.notices()).toMatchObject([
      {
        source: "nightly",
        attempts: 2,
        createdAt: 5,
        state: "waiting",
        body: {
          event: "schedule.failed",
          title: "schedule nightly failed",
          data: { event: "failed" },
          facts: [],
        },
      },
    ]);
  });
});

it("says that it cannot be used where its file is damaged, so that a run goes on without it", async () => {
  const journal = SqliteJournal.open(folder, clock);
  outbox.database.exec("DROP TABLE journal_cursor");
  const environment = new Environment(
    "test",
    folder,
    environmentSchema.parse({
      notifications: { team: { kind: "file", file: "told" } },
      notify: { all: { events: ["*"], to: ["team"] } },
    }),
  );

  await expect(collect({ environment, clock }, outbox, journal)).rejects.toMatchObject({ code: "E_OUTBOX" });
  await journal.close();
});

describe("what is taken out of the journal", () => {
  let journal: SqliteJournal;
  beforeEach(() => {
    journal = SqliteJournal.open(folder, clock);
  });
  afterEach(() => journal.close());

  const environment = (notify: object = { all: { events: ["*"], to: ["team"] } }) =>
    new Environment(
      "test",
      folder,
      environmentSchema.parse({ notifications: { team: { kind: "file", file: "told" } }, notify }),
    );
  const take = (rules = environment()) => collect({ environment: rules, clock }, outbox, journal);
  const told = () => outbox.notices().map(({ body }) => (body as { event: string }).event);
  async function run(id: string, ...events: RunEvent[]): Promise<void> {
    const text = JSON.stringify({ name: "deploy", steps: [{ id: "go", uses: "gate.check", with: {} }] });
    const lease = await journal.create(id, runRequest({ text }));
    for (const each of events) await journal.append(lease, each);
    await journal.release(lease);
  }
  const done: RunEvent = { type: "run.done" };

  it("is what has happened since the last look, each once, and nothing of before the first rule", async () => {
    await run("r1", done);
    await take();
    await run("r2", { type: "step.done", step: "go", data: { output: { gate: "pre", checks: [{}] } } }, done);
    await take();
    await take();

    expect(told()).toEqual(["run.started", "gate.go", "run.done"]);
  });

  it("does not heap up: what was delivered over a month ago is forgotten when more happens", async () => {
    await take();
    await run("r1", done);
    await take();
    await flush();
    clock.move(31 * 24 * hour);
    await run("r2", done);
    await take();

    expect(outbox.notices().map(({ source }) => source)).toEqual(["r2", "r2"]);
  });

  it("is nothing of the time in which no rule asked for anything", async () => {
    await take();
    await take(environment({}));
    await run("r1", done);
    await take();
    await run("r2", done);
    await take();

    expect(outbox.notices().map(({ source }) => source)).toEqual(["r2", "r2"]);
  });

  it("is a run that was cut off, once; not one that somebody holds", async () => {
    await take();
    await run("r1");
    const held = await journal.create("r2", runRequest());
    await take();
    await take();

    expect(outbox.notices().map(({ source, body }) => [source, (body as { event: string }).event])).toEqual([
      ["r1", "run.started"],
      ["r2", "run.started"],
      ["r1", "run.interrupted"],
    ]);
    await journal.release(held);
  });

  it("goes on where a journal was put away and begins anew", async () => {
    await run("r1", done);
    await take();
    await journal.close();
    rmSync(SqliteJournal.file(folder));
    journal = SqliteJournal.open(folder, clock);
    await run("r2");
    await take();

    expect(outbox.notices().map(({ source }) => source)).toEqual(["r2", "r2"]);
  });

  it.each([
    ["by itself", "step a failed", "error", "trigger"],
    ["by a person", "asked for by ada", "info", "resolve"],
  ])("a run taken back %s", async (_how, reason, severity, incident) => {
    const error = { code: "E_X", message: "it broke", exitCode: 1 as const };
    await take();
    await run("r1", { type: "run.rollback-started", data: { reason, error } }, { type: "run.rolled-back" });
    await take();

    expect(outbox.notices().at(-1)?.body).toMatchObject({ event: "run.rolled-back", severity, incident });
  });

  it("is a watch that triggers, once, when it does, and not again when its step ends", async () => {
    await take();
    const watch = { kind: "watch", gate: "post", trigger: null, action: null };
    const trigger = { triggers: ["errors"], reasons: ["errors: 7% > 5%"] };
    const error = {
      code: "E_WATCH_TRIGGERED",
      message: "The watch of gate post triggered",
      exitCode: 3 as const,
    };
    await run(
      "r1",
      { type: "step.checkpoint", step: "go", data: watch },
      { type: "step.checkpoint", step: "go", data: { ...watch, trigger, phase: "acting" } },
      { type: "step.checkpoint", step: "go", data: { ...watch, trigger, phase: "over" } },
      { type: "step.failed", step: "go", data: { error } },
      { type: "run.failed", data: { error } },
    );
    await take();

    expect(told()).toEqual(["run.started", "watch.triggered", "run.failed"]);
    expect(outbox.notices()[1]?.body).toMatchObject({
      title: "deploy on test: the watch of gate post triggered: errors",
      text: "errors: 7% > 5%",
      command: "ops watch report r1",
    });
  });

  it("is about the gate that a single operation measures: a go of another one ends no trouble", async () => {
    await take();
    for (const gate of ["pre", "post"]) {
      const text = JSON.stringify({
        steps: [{ id: "check", uses: "gate.check", with: { gate, timeout: "5s" } }],
      });
      const lease = await journal.create(gate, runRequest({ kind: "operation", name: "gate.check", text }));
      await journal.append(lease, done);
      await journal.release(lease);
    }
    await run("r1", done);
    await take();

    const subjects = outbox.notices().map(({ body }) => (body as { subject: string }).subject);
    expect([...new Set(subjects)]).toEqual([
      "run/test/gate.check/pre",
      "run/test/gate.check/post",
      "run/test/deploy",
    ]);
  });

  it("is one short line and a text that fits, whatever a program said", async () => {
    await take();
    await run("r1", {
      type: "run.failed",
      data: { error: { code: "E_X", message: `\u001b${"a\r\nb".repeat(9000)}`, exitCode: 1 } },
    });
    await take();

    const bodies = outbox.notices().map(({ body }) => body as { title: string; text: string });
    const { title = "", text = "" } = bodies[1] ?? {};
    expect(title).toMatch(/^deploy on test failed: \\u\{1b\}a ba b/);
    expect([title.length, text.length]).toEqual([300, 4000]);
  });

  it("names what a paused canary waits for, and the gate of a no-go", async () => {
    await take();
    const change = { target: "route:web", action: "update", summary: "canary" } as const;
    const no = {
      code: "E_NO_GO",
      message: "Gate pre says no-go: lag",
      exitCode: 3 as const,
      hint: "then run: ops gate check pre",
    };
    await run(
      "r1",
      { type: "step.observed", step: "canary", data: { before: null, changes: [change] } },
      { type: "step.checkpoint", step: "canary", data: { phase: "baking" } },
      { type: "step.checkpoint", step: "canary", data: { phase: "paused" } },
      { type: "step.failed", step: "go", data: { error: no } },
    );
    await take();

    const [, waits, gate] = outbox.notices().map(({ body }) => body);
    expect(waits).toMatchObject({
      event: "run.waiting",
      severity: "warning",
      command: "ops traffic promote web",
    });
    expect(gate).toMatchObject({ event: "gate.no-go", incident: "trigger", command: "ops gate check pre" });
  });

  const check = (id: string, status: string, counts: string, more: object = {}) => ({
    ...{ id, kind: "sql", status, counts, required: true, reason: `${id} is ${status}` },
    ...more,
  });
  const gateOutput = (verdict: string, ...checks: object[]) =>
    ({ gate: "pre", verdict, configuration: "c", checks }) as unknown as Json;
  const bodies = () =>
    outbox
      .notices()
      .map(({ body }) => body as { event: string; title: string; text: string; incident: string | null });

  it("of a go says what it rests on: overrides, unknowns, warnings", async () => {
    await take();
    const override = {
      by: "Ann Lee",
      reason: "announced, ticket 812",
      until: "2026-11-22T14:00:00.000Z",
    };
    const output = gateOutput(
      "go",
      check("health", "pass", "pass"),
      check("vendor", "fail", "warn", { override }),
      check("lag", "unknown", "warn"),
      check("disk", "warn", "warn"),
      check("hint", "fail", "warn", { required: false }),
    );
    await run("r1", { type: "step.done", step: "go", data: { output } });
    await take();

    const [, go] = bodies();
    expect(go?.title).toBe(
      "gate pre says go for deploy on test (1 overridden, 1 failed and not required, 1 unknown, 1 with a warning)",
    );
    expect(go?.text.split("\n")).toEqual([
      "5 checks were measured:",
      "- vendor: vendor is fail; overridden by Ann Lee until 2026-11-22 14:00 UTC: announced, ticket 812",
      "- lag: lag is unknown (unknown, counts as warn)",
      "- disk: disk is warn",
      "- hint: hint is fail (not required, counts as warn)",
    ]);
  });

  it("of a gate that only people hold up says who must answer what, and pages nobody; a real no-go does", async () => {
    await take();
    const reason =
      'release manager must answer "announced?": ops gate answer pre announced yes --by NAME --note TEXT';
    const question = check("announced", "unknown", "fail", { kind: "manual", reason });
    const stopped = (id: string, ...checks: object[]) => {
      const details = gateOutput("no-go", ...checks);
      const error = { code: "E_NO_GO", message: "Gate pre says no-go", exitCode: 3 as const, details };
      return run(
        id,
        { type: "step.failed", step: "go", data: { error } },
        { type: "run.failed", data: { error } },
      );
    };
    await stopped("r1", check("health", "pass", "pass"), question);
    await stopped("r2", check("health", "fail", "fail"), question);
    await take();

    const [, waits, ended, , no, failed] = bodies();
    expect(waits).toMatchObject({
      event: "run.waiting",
      incident: null,
      title: "deploy on test waits for a person: gate pre has a question without an answer",
      text: expect.stringContaining(reason),
      command: "ops gate answer pre announced yes --by NAME --note TEXT",
    });
    expect(ended).toMatchObject({ event: "run.failed", severity: "warning", incident: null });
    expect(no).toMatchObject({ event: "gate.no-go", incident: "trigger" });
    expect(failed).toMatchObject({ event: "run.failed", severity: "error", incident: "trigger" });
  });
});
