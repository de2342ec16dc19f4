import { once } from "node:events";
import { readFile, rename, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { contextOf, flag } from "../../support/flag-operations.ts";
import { databasePlace, type FlagPlace, filePlace } from "../../support/flag-sources.ts";
import { ops, startOps } from "../../support/ops.ts";
import { startTestCluster } from "../../support/postgres.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster.stop());
afterEach(() => OpenFeature.clearProviders());

const token = "open-sesame-open-sesame";

interface Serving {
  readonly url: string;
  readonly notes: () => string;
  stop(signal?: NodeJS.Signals): Promise<{ exitCode: number | null; stdout: string }>;
}

/** The built command on a place's flags, on any free port. */
async function serve(place: FlagPlace, more: object = {}): Promise<Serving> {
  const config = join(place.directory, ".opsrc");
  const databases = place.url === undefined ? {} : { databases: { main: { url: place.url } } };
  await writeFile(
    config,
    stringify({ ...databases, "flag-sources": { main: { ...place.settings, ...more } } }),
  );
  const { child, result } = startOps(["flag", "serve", "--listen", "127.0.0.1:0"], {
    config,
    env: { OPS_FLAG_TOKEN: token },
  });
  let notes = "";
  child.stderr?.on("data", (text: string) => {
    notes += text;
  });
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    child.kill(signal);
    return result;
  };
  onTestFinished(async () => {
    await stop("SIGKILL");
  });
  const url = await until(() => /on (http:\S+)/.exec(notes)?.[1], "the server to listen");
  return { url, notes: () => notes, stop };
}

async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function clientOf({ url }: Serving, headers: [string, string][] = []) {
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: url, headers }));
  return OpenFeature.getClient();
}

const ask = (
  serving: Serving,
  path: string,
  body: string | undefined,
  headers: Record<string, string> = {},
) => fetch(`${serving.url}${path}`, { method: "POST", headers, ...(body !== undefined && { body }) });
const all = "/ofrep/v1/evaluate/flags";

describe.each(["postgres", "flags.yaml"] as const)("flags in %s", (kind) => {
  test("are served to the OpenFeature SDK, and a kill reaches it", async () => {
    const place = kind === "postgres" ? await databasePlace(cluster) : await filePlace(kind);
    onTestFinished(() => place.remove());
    const context = contextOf(place);
    await flag(context, "new", { flag: "checkout" });
    await flag(context, "set", { flag: "checkout", rollout: "100%" });
    await flag(context, "new", { flag: "rest" });
    await flag(context, "disable", { flag: "rest" });
    const serving = await serve(place);
    const client = await clientOf(serving);
    const user = { targetingKey: "ann" };

    expect(await client.getBooleanDetails("checkout", false, user)).toMatchObject({
      value: true,
      variant: "on",
    });
    // The default in the client's code counts for a disabled flag, whatever it is.
    expect(await client.getBooleanValue("rest", true, user)).toBe(true);
    expect(await client.getBooleanDetails("nothing", true, user)).toMatchObject({
      value: true,
      errorCode: "FLAG_NOT_FOUND",
    });

    const stream = await fetch(`${serving.url}/ofrep/v1/sse`);
    const told = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
    const first = await ask(serving, all, JSON.stringify({ context: user }));
    // Longer than the 60 seconds of a load balancer of AWS.
    expect(first.headers.get("keep-alive")).toBe("timeout=75");
    const etag = first.headers.get("etag") ?? "";
    expect(await first.json()).toMatchObject({ eventStreams: [{ type: "sse" }] });
    expect(
      (await ask(serving, all, JSON.stringify({ context: user }), { "if-none-match": etag })).status,
    ).toBe(304);

    await flag(context, "kill", { flag: "checkout", reason: "payments fail" });
    await until(
      async () => ((await client.getBooleanValue("checkout", true, user)) ? undefined : true),
      "the kill",
    );
    let heard = "";
    while (!heard.includes("refetchEvaluation")) heard += (await told?.read())?.value ?? "";
    expect(
      (await ask(serving, all, JSON.stringify({ context: user }), { "if-none-match": etag })).status,
    ).toBe(200);

    const { exitCode, stdout } = await serving.stop();
    expect(exitCode).toBe(0);
    expect(stdout).toContain("Stopped;");
  });
});

describe("a server of flags in a file", () => {
  async function fileServing(more: object = {}) {
    const place = await filePlace("flags.json");
    onTestFinished(() => place.remove());
    const context = contextOf(place);
    await flag(context, "new", { flag: "checkout" });
    return { place, context, serving: await serve(place, more) };
  }

  test("serves the last good flags while the file is broken or away, says so, and recovers", async () => {
    const { place, context, serving } = await fileServing();
    const file = place.file ?? "";
    const health = async () => (await (await fetch(`${serving.url}/healthz`)).json()) as { status: string };
    expect(await health()).toMatchObject({ status: "ok", flags: 1 });

    await rename(file, `${file}.good`);
    await writeFile(file, '{ "flags": { "checkout": ');
    await until(
      async () => ((await health()).status === "stale" ? true : undefined),
      "the mistake to be seen",
    );
    expect((await ask(serving, `${all}/checkout`, '{"context":{}}')).status).toBe(200);
    await until(() => (serving.notes().includes("are served on") ? true : undefined), "the note");

    await rename(`${file}.good`, file);
    await flag(context, "set", { flag: "checkout", rollout: "100%" });
    const value = async () => {
      const answer = await ask(serving, `${all}/checkout`, '{"context":{}}');
      return ((await answer.json()) as { value: boolean }).value || undefined;
    };
    expect(await until(value, "the change behind the mistake")).toBe(true);
    expect(await health()).toMatchObject({ status: "ok" });

    // A mistake in one flag, or two, is theirs alone: the kill of another one arrives.
    const document = JSON.parse(await readFile(file, "utf8")) as { flags: Record<string, object> };
    const broken = { ...document.flags.checkout, defaultVariant: "none" };
    await writeFile(file, JSON.stringify({ flags: { ...document.flags, broken } }));
    await until(
      async () => ((await health()).status === "mistakes" ? true : undefined),
      "the mistake in one flag",
    );
    expect(await health()).toMatchObject({
      mistakes: [expect.stringMatching(/^flag broken has the default variant "none", .*with an error$/)],
    });
    const answer = await ask(serving, `${all}/broken`, '{"context":{}}');
    expect([answer.status, await answer.json()]).toMatchObject([400, { errorCode: "PARSE_ERROR" }]);
    await flag(context, "kill", { flag: "checkout" });
    await until(async () => ((await value()) === undefined ? true : undefined), "the kill");
    await until(() => (serving.notes().includes("flag broken has") ? true : undefined), "the note");
    await flag(context, "restore", { flag: "checkout" });
    expect(await until(value, "the restore")).toBe(true);

    // A file that is gone is no wish for no flags.
    await rename(file, `${file}.good`);
    await until(
      async () => ((await health()).status === "stale" ? true : undefined),
      "the file to be missed",
    );
    expect(await value()).toBe(true);
  });

  test("asks for its token, which is never shown", async () => {
    const { serving } = await fileServing({ token: "env:OPS_FLAG_TOKEN" });

    expect((await ask(serving, all, "{}")).status).toBe(401);
    expect((await ask(serving, all, "{}", { authorization: "Bearer wrong" })).status).toBe(401);
    expect((await fetch(`${serving.url}/ofrep/v1/sse`)).status).toBe(401);
    expect((await ask(serving, all, '{"context":{}}', { "x-api-key": token })).status).toBe(200);
    const client = await clientOf(serving, [["authorization", `Bearer ${token}`]]);
    expect(await client.getBooleanDetails("checkout", true, { targetingKey: "ann" })).toMatchObject({
      value: false,
    });
    expect(serving.notes()).not.toContain(token);
  });

  test("survives whatever it is sent", async () => {
    const { serving } = await fileServing();
    const bodies = [
      "",
      "not json",
      "[]",
      '{"context":"x"}',
      '{"context":{"__proto__":{"targetingKey":"x"},"constructor":1,"targetingKey":{"a":[1]}}}',
      `{"context":{"a":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`,
      `{"context":{"targetingKey":"\\u0000\\ud800"}}`,
    ];
    for (const body of bodies) {
      for (const path of [all, `${all}/checkout`, `${all}/%E0%A4%A`, `${all}/__proto__`]) {
        expect((await ask(serving, path, body)).status).toBeLessThan(500);
      }
    }
    const large = await ask(serving, all, "x".repeat(10_000_000)).catch(() => undefined);
    expect(large?.status ?? 413).toBe(413);
    expect((await fetch(`${serving.url}${all}`)).status).toBe(405);
    expect((await fetch(`${serving.url}/etc/passwd`)).status).toBe(404);
    for (const path of ["//", "//[", "/%00", "/\\..\\"]) {
      const [odd] = await once(request(serving.url, { path }).end(), "response");
      expect(odd.resume().statusCode, path).toBeOneOf([400, 404]);
    }
    // Under another name than this machine's own: a page of somebody else, in a browser here.
    const asked = request(`${serving.url}${all}`, { method: "POST", headers: { host: "evil.example" } });
    asked.end('{"context":{}}');
    const [answer] = await once(asked, "response");
    expect(answer.statusCode).toBe(403);
    answer.resume();
    expect((await ask(serving, `${all}/checkout`, '{"context":{}}')).status).toBe(200);
  });

  test("is not begun with a file that cannot be read, on a taken port, or without a token for everybody", async () => {
    const { place, serving } = await fileServing();
    const config = join(place.directory, ".opsrc");
    const begun = (listen: string) => ops(["flag", "serve", "--listen", listen], { config });

    const everybody = await begun("0.0.0.0:0");
    expect(everybody.exitCode).toBe(2);
    expect(everybody.stderr).toContain("token: env:OPS_FLAG_TOKEN");
    const taken = await begun(new URL(serving.url).host);
    expect(taken.exitCode).toBe(1);
    expect(taken.stderr).toContain("E_LISTEN");
    await writeFile(
      place.file ?? "",
      '{"flags":{"f":{"state":"ON","variants":{"on":true},"defaultVariant":"on"}}}',
    );
    const mistaken = await begun("127.0.0.1:0");
    expect(mistaken.exitCode).toBe(2);
    expect(mistaken.stderr).toContain("E_FLAG_FILE");
  });
});
