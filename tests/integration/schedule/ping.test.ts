import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { Site, shell } from "./site.ts";

let site: Site;
let server: TestHttpServer;
let status: number;
beforeEach(async () => {
  site = new Site();
  status = 200;
  server = await startHttpServer((_request, response) => {
    response.writeHead(status).end();
  });
});
afterEach(async () => {
  await server.stop();
  site.remove();
});

const asked = () => server.requests.map(({ url }) => url);
const secret = "b7f3c0de-1111-2222-3333-444455556666";

/** What is waiting may be sent now. */
function impatient(): void {
  site.ledger((database) => database.exec("UPDATE notice SET not_before = 0"));
}

describe("a dead man's switch", () => {
  it("hears of the start and of the success, by one URL", async () => {
    site.configure({ schedules: { job: shell("true", { ping: `${server.url}/${secret}?rid=1` }) } });

    expect(await site.runDue()).toMatchObject({ exitCode: 0 });
    expect(asked()).toEqual([`/${secret}/start?rid=1`, `/${secret}?rid=1`]);
  });

  it("hears of a failure", async () => {
    site.configure({ schedules: { job: shell("exit 1", { ping: "env:PING" }) } });

    const { exitCode } = await site.ops(["schedule", "run-due"], { PING: `${server.url}/${secret}` });

    expect(exitCode).toBe(1);
    expect(asked()).toEqual([`/${secret}/start`, `/${secret}/fail`]);
  });

  it("hears only of what it has a URL for", async () => {
    site.configure({
      schedules: { job: shell("true", { ping: { failure: `${server.url}/f`, success: `${server.url}/s` } }) },
    });

    await site.runDue();
    expect(asked()).toEqual(["/s"]);
  });

  it("that fails does not fail the run; it is reported without its path, and asked again later", async () => {
    site.configure({ schedules: { job: shell("echo ran >> out", { ping: `${server.url}/${secret}` }) } });
    status = 500;

    const first = await site.runDue();

    expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("✔ job done") });
    expect(first.stdout).toContain(`! ping start of job: ${server.url} answered 500`);
    expect(first.stdout).toMatch(/! ping success of job: .* will be tried again/);
    expect((await site.list()).undelivered).toMatchObject([{ to: "ping success" }]);
    const seen = first.stdout + first.stderr + (await site.ops(["schedule", "list"])).stdout;
    expect(seen + (await site.ops(["config", "show"])).stdout).not.toContain(secret);

    status = 200;
    impatient();
    site.configure({
      schedules: { job: shell("true", { cron: "@yearly", ping: `${server.url}/${secret}` }) },
    });
    expect(await site.runDue("--quiet")).toMatchObject({ exitCode: 0, stdout: "" });
    expect(asked().at(-1)).toBe(`/${secret}`);
    expect((await site.list()).undelivered).toEqual([]);
  });

  it("that is not there does not fail the run", async () => {
    const { url } = server;
    await server.stop();
    site.configure({ schedules: { job: shell("true", { ping: `${url}/${secret}` }) } });

    const { exitCode, stdout } = await site.runDue();

    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/! ping success of job: GET http:\/\/127.0.0.1:\d+: the connection was refused/);
    expect(stdout).not.toContain(secret);
  });

  it("is given up after an hour: a success of then is no sign of life", async () => {
    status = 500;
    site.configure({ schedules: { job: shell("true", { ping: `${server.url}/${secret}` }) } });
    await site.runDue();
    site.timePasses(2 * 3_600_000);
    site.configure({
      schedules: { job: shell("true", { cron: "@yearly", ping: `${server.url}/${secret}` }) },
    });

    expect((await site.runDue()).stdout).toContain("given up after 2 attempts");
    expect((await site.list()).undelivered).toEqual([]);
  });
});

describe("a webhook", () => {
  it("gets the notice as JSON, with its headers", async () => {
    site.configure({
      schedules: { job: shell("exit 1", { notify: ["web"] }) },
      notifications: {
        web: { url: `${server.url}/hook/${secret}`, headers: { authorization: "Bearer env:TOKEN" } },
      },
    });

    await site.ops(["schedule", "run-due"], { TOKEN: "t0k3n-of-the-hook" });

    expect(server.requests).toMatchObject([
      { method: "POST", url: `/hook/${secret}`, headers: { authorization: "Bearer t0k3n-of-the-hook" } },
    ]);
    expect(JSON.parse(server.requests[0]?.body ?? "")).toMatchObject({
      event: "failed",
      schedule: "job",
      text: expect.stringContaining("failed"),
    });
  });

  it("whose secret is missing is reported and waits; so does a program that fails", async () => {
    site.configure({
      schedules: { job: shell("exit 1", { notify: ["web", "mail"] }) },
      notifications: {
        web: { url: "env:NOWHERE" },
        mail: { command: ["sh", "-c", "echo no mail today >&2; exit 9"] },
      },
    });

    const { stdout } = await site.runDue();

    expect(stdout).toContain("environment variable NOWHERE is not set");
    expect(stdout).toContain("notification mail: sh ended with exit code 9: no mail today");
    expect((await site.list()).undelivered).toHaveLength(2);
  });
});
