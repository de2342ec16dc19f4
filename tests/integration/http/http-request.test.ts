import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { operations } from "../../../src/http-request/operations.ts";
import type { Operation } from "../../../src/run/operation.ts";
import { perform, testContext } from "../../support/context.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";

let server: TestHttpServer;

beforeAll(async () => {
  server = await startHttpServer((request, response, body) => {
    const path = new URL(request.url ?? "", "http://x").pathname;
    if (path === "/echo") {
      const { authorization = "" } = request.headers;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ body, authorization }));
    } else if (path === "/long") response.end("x".repeat(200_000));
    else if (path === "/moved") response.writeHead(302, { location: "/echo" }).end();
    else if (path === "/silent") request.socket.unref();
    else response.writeHead(Number(path.slice(1)), { "content-type": "text/plain" }).end("so it is");
  });
});

afterAll(async () => {
  await server?.stop();
});

function httpRequest(): Operation {
  const [operation] = operations;
  if (operation === undefined) throw new Error("there is no http.request");
  return operation;
}

const send = (path: string, input: object = {}) =>
  perform(httpRequest(), testContext({}), { url: `${server.url}${path}`, ...input });
const lastRequest = () => server.requests.at(-1);

describe("a request", () => {
  test("gives the status and the body as text", async () => {
    const { output } = await send("/200");

    expect(output).toMatchObject({ status: 200, body: "so it is" });
  });

  test("shows in the plan without its query", async () => {
    const { changes } = await send("/200?token=hunter22", { method: "POST" });

    expect(changes).toEqual([
      {
        target: `http:${new URL(server.url).host}`,
        action: "run",
        summary: `send POST ${server.url}/200?…`,
      },
    ]);
  });

  test.each([
    ["a mapping", { version: 2 }, '{"version":2}', "application/json"],
    ["a list", [1, 2], "[1,2]", "application/json"],
    ["JSON as text", '{"version":2}', '{"version":2}', "application/json"],
    ["text", "version 2", "version 2", "text/plain;charset=UTF-8"],
  ])("sends %s", async (_what, body, text, type) => {
    const { output } = await send("/echo", { method: "POST", body });

    expect(output).toMatchObject({ body: { body: text } });
    expect(lastRequest()?.headers["content-type"]).toBe(type);
  });

  test("fetches the secrets in its headers late and masks them in the answer", async () => {
    process.env.HTTP_TEST_TOKEN = "t0ken-of-test";

    const { output, before, changes } = await send("/echo", {
      headers: { authorization: "Bearer env:HTTP_TEST_TOKEN" },
    });

    expect(lastRequest()?.headers.authorization).toBe("Bearer t0ken-of-test");
    expect(output).toMatchObject({ body: { authorization: "Bearer ***" } });
    expect(JSON.stringify([before, changes])).not.toContain("t0ken");
  });

  test("turns a password in the URL into basic authentication", async () => {
    const url = server.url.replace("//", "//ops:hunter22@");

    const { changes } = await perform(httpRequest(), testContext({}), { url: `${url}/200` });

    expect(lastRequest()?.headers.authorization).toBe(`Basic ${btoa("ops:hunter22")}`);
    expect(JSON.stringify(changes)).not.toContain("hunter22");
  });

  test("keeps 64 KiB of a long answer", async () => {
    const { output } = await send("/long");

    expect((output as { body: string }).body).toHaveLength(65_536);
  });

  test("may expect another status", async () => {
    const { output } = await send("/404", { "expect-status": [404, 410] });

    expect(output).toMatchObject({ status: 404 });
  });
});

describe("a request that goes wrong", () => {
  test.each([
    ["/500", true],
    ["/429", true],
    ["/404", false],
  ])("with %s names the status; worth a retry: %s", async (path, retryable) => {
    await expect(send(path)).rejects.toMatchObject({
      code: "E_HTTP_STATUS",
      message: `GET ${server.url}${path} answered ${path.slice(1)}, expected 200-299`,
      cause: "so it is",
      retryable,
    });
  });

  test("with a redirect says where it leads", async () => {
    await expect(send("/moved")).rejects.toMatchObject({
      code: "E_HTTP_STATUS",
      hint: "redirects are not followed: write the URL it points to (/echo)",
    });
  });

  test("without an answer in time is a timeout", async () => {
    await expect(send("/silent", { timeout: "100ms" })).rejects.toMatchObject({
      code: "E_HTTP_TIMEOUT",
      message: `GET ${server.url}/silent was not answered within 100ms`,
    });
  });

  test.each([
    [{ url: "ftp://x/" }, "E_HTTP_URL", '"ftp://x/" is not the URL of an HTTP server'],
    [{ url: "http://x/", body: "b" }, "E_HTTP_REQUEST", "A GET request has no body"],
    [
      { url: "http://x/", headers: { a: "env:NOT_SET_ANYWHERE" } },
      "E_SECRET",
      "The secret env:NOT_SET_ANYWHERE cannot be used: the environment variable NOT_SET_ANYWHERE is not set",
    ],
  ])("because of %o fails while planning", async (input, code, message) => {
    const parsed = httpRequest().input.parse(input);

    await expect(httpRequest().observe(testContext({}), parsed)).rejects.toMatchObject({
      code,
      message,
      exitCode: 2,
    });
  });

  test("because of a header that cannot be sent does not show the header", async () => {
    process.env.HTTP_TEST_BROKEN = "first-line\nsecond-line-secret";

    const sending = send("/200", { headers: { "x-token": "env:HTTP_TEST_BROKEN" } });

    await expect(sending).rejects.toMatchObject({ code: "E_HTTP_REQUEST" });
    await expect(sending).rejects.not.toMatchObject({ cause: expect.stringContaining("second-line") });
  });
});

describe("the way back", () => {
  test("of a GET is not needed", async () => {
    const { undo } = await send("/200");

    expect(await undo()).toEqual({ undone: "kept", note: `GET ${server.url}/200 changes nothing` });
  });

  test("of a POST without an undo is a person's", async () => {
    const { undo } = await send("/200", { method: "POST" });

    expect(await undo()).toEqual({
      undone: false,
      note: `POST ${server.url}/200 has no "undo": see what it did`,
    });
  });

  test("is the request named for it", async () => {
    const { undo } = await send("/200", {
      method: "POST",
      undo: { url: `${server.url}/204`, method: "PUT", body: { state: "old" } },
    });

    expect(await undo()).toEqual({ undone: true, note: `sent PUT ${server.url}/204: 204` });
    expect(lastRequest()).toMatchObject({ method: "PUT", body: '{"state":"old"}' });
  });

  test("by a DELETE is reached where nothing is left to delete", async () => {
    const { undo } = await send("/200", {
      method: "POST",
      undo: { url: `${server.url}/404`, method: "DELETE" },
    });

    expect(await undo()).toMatchObject({ undone: true });
  });
});
