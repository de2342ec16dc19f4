import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SMTPServer } from "smtp-server";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { notificationSchema } from "../../../src/config/notification-schema.ts";
import { notificationTarget } from "../../../src/config/notification-target.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { Json } from "../../../src/core/errors.ts";
import { rememberSecret } from "../../../src/core/redaction.ts";
import { notificationFindings } from "../../../src/doctor/notification.ts";
import { greetMailServer } from "../../../src/notifier/email.ts";
import type { Message } from "../../../src/notifier/message.ts";
import { sendMessage } from "../../../src/notifier/send.ts";
import { deliver } from "../../../src/outbox/delivery.ts";
import { Outbox } from "../../../src/outbox/outbox.ts";
import { sendNotice } from "../../../src/outbox/send.ts";
import { TestAuthority } from "../../support/certificates.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";

const password = "correct-h0rse-battery";
const key = `whsec_${Buffer.from("thirty-two-bytes-of-a-secret-key").toString("base64")}`;
const id = "msg_0123456789abcdef";

let folder: string;
let server: TestHttpServer;
let status: number;
let headers: Record<string, string>;
let said: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "ops-notify-"));
  writeFileSync(join(folder, "key"), `${key}\n`);
  writeFileSync(join(folder, "routing"), "0123456789abcdef0123456789abcdef\n");
  writeFileSync(join(folder, "password"), `${password}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  [status, headers, said] = [200, {}, ""];
  server = await startHttpServer((_request, response) => {
    if (status > 0) response.writeHead(status, headers).end(said);
  });
});
afterEach(() => server.stop());

function message(change: Partial<Message> = {}): Message {
  return {
    event: "run.failed",
    severity: "error",
    title: "deploy on production failed: <lock> timed out",
    text: "It stays as it is.",
    environment: "production",
    host: "db1",
    at: "2026-11-21T03:04:05.678Z",
    subject: "run/production/deploy",
    incident: "trigger",
    command: "ops runs show 20261121-030405-abcd",
    facts: [{ name: "by", value: "ada@laptop" }],
    data: { run: "20261121-030405-abcd", actor: "ada@laptop" },
    ...change,
  };
}

const send = (settings: object, change: Partial<Message> = {}, signal?: AbortSignal) =>
  sendMessage(
    notificationTarget("team", notificationSchema.parse(settings), folder),
    message(change),
    id,
    Date.now(),
    signal,
  );
const body = (index = 0) => JSON.parse(server.requests[index]?.body ?? "null");

describe("a Slack-compatible webhook", () => {
  it("gets a text and blocks within Slack's limits, with nothing in it that Slack would take for markup", async () => {
    const facts = Array.from({ length: 30 }, (_, index) => ({
      name: `fact ${index}`,
      value: "<!channel> & more",
    }));

    const sent = await send(
      { kind: "slack", url: `${server.url}/services/T/B/x` },
      { facts, text: "x".repeat(9000), title: `<@U1> ${"y".repeat(400)}` },
    );

    expect(sent).toMatchObject({ sent: true });
    const { text, blocks } = body();
    expect(text).toContain("&lt;@U1&gt;");
    expect(blocks.map(({ type }: { type: string }) => type)).toEqual([
      "header",
      "section",
      "section",
      "section",
      "context",
    ]);
    expect(blocks[0].text).toMatchObject({ type: "plain_text" });
    expect(blocks[0].text.text.length).toBeLessThanOrEqual(150);
    expect(blocks[1].text.type).toBe("mrkdwn");
    expect(blocks[1].text.text.length).toBeLessThanOrEqual(3000);
    expect(blocks[2].fields).toHaveLength(10);
    expect(blocks[2].fields[0]).toEqual({ type: "mrkdwn", text: "*fact 0*\n&lt;!channel&gt; &amp; more" });
    expect(blocks[3].text.text).toBe("```ops runs show 20261121-030405-abcd```");
    expect(JSON.stringify(blocks[4])).toContain("run.failed · production · db1");
  });
});

describe("a signed webhook", () => {
  const settings = () => ({
    kind: "webhook",
    url: `${server.url}/in`,
    secret: "file:key",
    headers: { "x-team": "shop" },
  });

  it("is verified by the library of Standard Webhooks, with the same id at every attempt", async () => {
    await send(settings());
    await send(settings());

    for (const request of server.requests) {
      const verified = new Webhook(key).verify(request.body, request.headers as Record<string, string>);
      expect(verified).toMatchObject({
        type: "run.failed",
        timestamp: "2026-11-21T03:04:05.678Z",
        data: { run: "20261121-030405-abcd", title: expect.stringContaining("deploy on production failed") },
      });
      expect(request.headers).toMatchObject({ "webhook-id": id, "x-team": "shop" });
    }
    const [first] = server.requests;
    const changed = (first?.body ?? "").replace("ada", "eve");
    expect(() => new Webhook(key).verify(changed, first?.headers as Record<string, string>)).toThrow();
  });

  it("takes any text for a key as well", async () => {
    writeFileSync(join(folder, "plain"), "any text that is long enough");
    await send({ ...settings(), secret: "file:plain" });

    const raw = new Webhook("any text that is long enough", { format: "raw" });
    const [request] = server.requests;
    expect(raw.verify(request?.body ?? "", request?.headers as Record<string, string>)).toBeDefined();
  });
});

it("a webhook is not signed with what is no key: an empty one is known to everybody", async () => {
  const settings = { kind: "webhook", url: `${server.url}/hook`, secret: "file:empty" };
  for (const secret of ["whsec_", "whsec_no base64!"]) {
    writeFileSync(join(folder, "empty"), secret);
    expect(await send(settings)).toMatchObject({
      sent: false,
      problem: expect.stringContaining("is no key"),
    });
  }
  expect(server.requests).toEqual([]);
});

describe("PagerDuty", () => {
  const settings = () => ({
    kind: "pagerduty",
    "routing-key": "file:routing",
    url: `${server.url}/v2/enqueue`,
  });

  it("gets an event that opens an incident, and one that closes the same", async () => {
    status = 202;
    await send(settings());
    await send(settings(), { incident: "resolve", severity: "info", event: "run.done" });

    expect(body(0)).toEqual({
      routing_key: "0123456789abcdef0123456789abcdef",
      event_action: "trigger",
      dedup_key: "ops/run/production/deploy",
      client: "ops",
      payload: {
        summary: "deploy on production failed: <lock> timed out",
        source: "db1",
        severity: "error",
        timestamp: "2026-11-21T03:04:05.678Z",
        component: "deploy",
        group: "production",
        class: "run.failed",
        custom_details: {
          text: "It stays as it is.",
          command: "ops runs show 20261121-030405-abcd",
          by: "ada@laptop",
        },
      },
    });
    expect(body(1)).toEqual({
      routing_key: "0123456789abcdef0123456789abcdef",
      event_action: "resolve",
      dedup_key: "ops/run/production/deploy",
    });
  });

  it("is not asked for what is neither a trouble nor its end", async () => {
    expect(await send(settings(), { incident: null })).toMatchObject({ sent: true });
    expect(server.requests).toEqual([]);
  });
});

describe("a receiver that does not take it", () => {
  const settings = () => ({ kind: "slack", url: `${server.url}/services/T0/B0/path-that-lets-one-in` });

  it("says when to come again, and its words are kept short, without the path that lets one in", async () => {
    [status, headers] = [429, { "retry-after": "120" }];
    said = `<html><b>slow down</b> /services/T0/B0/path-that-lets-one-in: path-that-lets-one-in ${"z".repeat(5000)}`;

    const sent = await send(settings());

    expect(sent).toMatchObject({ sent: false, retryAfter: 120_000, problem: expect.stringContaining("429") });
    const problem = sent.sent ? "" : sent.problem;
    expect(problem).toContain("slow down");
    expect(problem).not.toContain("path-that-lets-one-in");
    expect(problem.length).toBeLessThan(350);
  });

  it.each([
    [500, undefined],
    [404, undefined],
    [400, true],
    [302, undefined],
  ])("answers %i; whether that is final: %s", async (code, final) => {
    status = code;
    const sent = await send(settings());

    expect(sent).toMatchObject({ sent: false });
    expect("final" in sent ? sent.final : undefined).toBe(final);
  });

  it("is a program that says what a terminal would obey", async () => {
    const command = ["sh", "-c", "printf '\\033[31mred\\007 words\\n' >&2; exit 3"];
    const sent = await send({ command });

    expect(sent).toMatchObject({ problem: expect.stringContaining("\\u{1b}[31mred\\u{7} words") });
  });

  it("never answers: the attempt ends with its signal", async () => {
    status = 0;
    const sent = await send(settings(), {}, AbortSignal.timeout(100));

    expect(sent).toEqual({ sent: false, problem: "notification team: no answer in time" });
  });
});

describe("what is told", () => {
  it("holds no secret that this process has seen, in no form", async () => {
    rememberSecret("hunter2-of-the-database");
    const settings = { kind: "file", file: "secrets.jsonl" };
    const leak = "could not log in as hunter2-of-the-database";

    await send(settings, {
      title: leak,
      text: leak,
      facts: [{ name: "x", value: leak }],
      data: { a: { b: leak } },
    });
    await send({ url: `${server.url}/x` }, { text: leak });

    expect(readFileSync(join(folder, "secrets.jsonl"), "utf8")).toContain("***");
    expect(readFileSync(join(folder, "secrets.jsonl"), "utf8")).not.toContain("hunter2");
    expect(server.requests[0]?.body).not.toContain("hunter2");
  });

  it("stays a line of its own after one that was cut off in a file", async () => {
    writeFileSync(join(folder, "notices.jsonl"), '{"text":"half a li');

    await send({ kind: "file", file: "notices.jsonl" });
    await send({ kind: "file", file: "notices.jsonl" });

    const lines = readFileSync(join(folder, "notices.jsonl"), "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines.slice(1).map((line) => JSON.parse(line).id)).toEqual([id, id]);
    expect(await send({ kind: "file", file: "nowhere/notices.jsonl" })).toMatchObject({ sent: false });
  });
});

describe("a mail server with STARTTLS and passwords", () => {
  let authority: TestAuthority;
  let smtp: SMTPServer;
  let port: number;
  let isBusy = true;
  const mails: { to: string[]; text: string; secure: boolean; user: string | undefined }[] = [];

  beforeAll(async () => {
    authority = await TestAuthority.make();
    const issued = await authority.issue("localhost");
    smtp = new SMTPServer({
      key: readFileSync(issued.key),
      cert: readFileSync(issued.chain),
      authMethods: ["PLAIN", "LOGIN"],
      onAuth: ({ username, password: given }, _session, done) =>
        username === "ops" && given === password
          ? done(null, { user: username })
          : done(new Error("wrong password")),
      onRcptTo: ({ address }, _session, done) =>
        address.startsWith("gone")
          ? done(Object.assign(new Error("no such user"), { responseCode: 550 }))
          : address.startsWith("busy") && isBusy
            ? done(Object.assign(new Error("greylisted"), { responseCode: 450 }))
            : done(),
      onData: (stream, session, done) => {
        let text = "";
        stream.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        stream.on("end", () => {
          const to = session.envelope.rcptTo.map(({ address }) => address);
          mails.push({ to, text, secure: session.secure, user: session.user as string | undefined });
          done();
        });
      },
    });
    smtp.on("error", () => undefined);
    await new Promise<void>((resolve) => smtp.listen(0, "127.0.0.1", resolve));
    port = ((smtp.server as Server).address() as { port: number }).port;
  });
  afterAll(async () => {
    await new Promise<void>((resolve) => smtp.close(() => resolve()));
    await authority[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    mails.length = 0;
  });

  const settings = (change: object = {}) => ({
    kind: "email",
    server: `localhost:${port}`,
    user: "ops",
    password: "file:password",
    from: "ops <ops@example.com>",
    to: ["ada@example.com", "Grace <grace@example.com>"],
    ca: authority.root,
    ...change,
  });

  it("gets one mail for all recipients, as text and as HTML, over TLS, known by its id", async () => {
    const sent = await send(settings());

    expect(sent).toMatchObject({ sent: true });
    expect(mails).toMatchObject([
      { to: ["ada@example.com", "grace@example.com"], secure: true, user: "ops" },
    ]);
    const text = (mails[0]?.text ?? "").replaceAll("=\r\n", "").replaceAll("=3D", "=");
    expect(text).toContain(`Message-ID: <${id}@example.com>`);
    expect(text).toContain("Subject: [production] deploy on production failed: <lock> timed out");
    expect(text).toContain("Auto-Submitted: auto-generated");
    expect(text).toContain("Content-Type: text/plain");
    expect(text).toContain("  $ ops runs show 20261121-030405-abcd");
    expect(text).toContain("Content-Type: text/html");
    expect(text).toContain("&lt;lock&gt; timed out</h2>");
    expect(text).not.toContain(password);
  });

  it("that refuses a recipient has told the others; that refuses all is not asked again", async () => {
    const some = await send(settings({ to: ["ada@example.com", "gone@example.com"] }));
    const none = await send(settings({ to: ["gone@example.com"] }));

    expect(some).toMatchObject({ sent: true, remark: expect.stringContaining("refused gone@example.com") });
    expect(none).toMatchObject({
      sent: false,
      final: true,
      problem: expect.stringContaining("no such user"),
    });
  });

  it("that refuses some for now is asked again for them alone, also by another process", async () => {
    const to = ["ada@example.com", "Bo <busy@example.com>", "gone@example.com"];
    const environment = new Environment(
      "test",
      folder,
      environmentSchema.parse({ notifications: { mail: settings({ to }) } }),
    );
    const outbox = Outbox.open(join(folder, "busy"), "test");
    const flush = () =>
      deliver(outbox, {
        clock: systemClock,
        channels: ["notification"],
        when: "at-once",
        send: (notice, ended) => sendNotice(environment, systemClock, notice, ended),
      });
    const told = { ...message() } as unknown as Json;
    outbox.add(
      [{ channel: "notification", target: "mail", source: "r1", key: "k", subject: null, body: told }],
      Date.now(),
    );

    isBusy = true;
    const [first] = await flush();
    const [second] = await flush();
    isBusy = false;
    const [third] = await flush();
    const kept = outbox.notices();
    outbox.close();

    const postponed = (problem: RegExp) => ({
      outcome: "postponed",
      problem: expect.stringMatching(problem),
    });
    expect([first, second]).toMatchObject([
      postponed(/refused gone@example.com, and for now busy@example.com \(450 greylisted\)/),
      postponed(/450 greylisted \(all have it but busy@example.com and gone@example.com, refused for good\)/),
    ]);
    expect(third).toMatchObject({ outcome: "delivered" });
    expect(mails.map((each) => each.to)).toEqual([["ada@example.com"], ["busy@example.com"]]);
    expect(kept).toMatchObject([
      { state: "delivered", problem: expect.stringContaining("refused gone@example.com") },
    ]);
  });

  it("is not trusted without its authority, nor spoken to in the clear; a wrong password is not told", async () => {
    const { ca: _, ...untrusting } = settings();
    writeFileSync(join(folder, "wrong"), "another-passw0rd-of-mine");

    const results = [
      await send(untrusting),
      await send(settings({ tls: "tls" })),
      await send(settings({ password: "file:wrong" })),
    ];

    for (const each of results) expect(each).toMatchObject({ sent: false });
    expect(JSON.stringify(results)).not.toContain("another-passw0rd");
    expect(JSON.stringify(results)).not.toContain(Buffer.from("another-passw0rd-of-mine").toString("base64"));
    expect(mails).toEqual([]);
  });

  it("is greeted by the doctor, who finds what is not configured well, and tells nobody", async () => {
    process.env.OPS_TEST_HOOK = `${server.url}/hook`;
    const notifications = {
      mail: settings(),
      locked: settings({ password: "file:nowhere" }),
      hook: { kind: "slack", url: "env:OPS_TEST_HOOK" },
      lost: { kind: "slack", url: "env:OPS_TEST_NOT_SET" },
      open: { url: "http://chat.example.com/x" },
      program: { command: ["no-such-program-anywhere"] },
      record: { kind: "file", file: "nowhere/x.jsonl" },
    };
    const notify = { all: { events: ["*"], to: ["mail"] } };
    const environment = new Environment("test", folder, environmentSchema.parse({ notifications, notify }));
    const never = new AbortController().signal;

    const found = await Promise.all(
      Object.keys(notifications).map(async (name) =>
        (await notificationFindings(environment, name, never)).map(({ status }) => status).join(" "),
      ),
    );

    expect(found).toEqual([
      "ok",
      "missing warn",
      "ok warn",
      "missing",
      "warn warn",
      "missing",
      "missing warn",
    ]);
    expect(mails).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  it("is greeted without a mail", async () => {
    const target = notificationTarget("mail", notificationSchema.parse(settings()), folder);
    if (target.kind !== "email") throw new Error("not an e-mail");

    expect(await greetMailServer("mail", target)).toMatchObject({ sent: true });
    expect(mails).toEqual([]);
  });

  it("whose password cannot be had leaves nothing behind that would end the process later", async () => {
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on("unhandledRejection", hear);
    const stop = new AbortController();

    const sent = await send(settings({ password: "file:nowhere" }), {}, stop.signal);
    stop.abort();
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("unhandledRejection", hear);

    expect(sent).toMatchObject({ sent: false, problem: expect.stringContaining("file:nowhere") });
    expect(unheard).toEqual([]);
  });

  it("that says nothing is left after a while", async () => {
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port: deaf } = mute.address() as { port: number };

    const sent = await send(settings({ server: `localhost:${deaf}` }), {}, AbortSignal.timeout(150));
    mute.close();

    expect(sent).toMatchObject({ sent: false, problem: expect.stringContaining("no answer in time") });
  });
});
