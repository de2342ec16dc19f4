import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diagnose, type Finding, needsMending } from "../../../src/doctor/diagnose.ts";
import { checks } from "../../../src/gate/checks.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import { testContext } from "../../support/context.ts";
import { type Balancer, startBalancer } from "../../support/haproxy.ts";
import { startTestCluster } from "../../support/postgres.ts";

let cluster: Cluster;
let balancer: Balancer;
let folder: string;

beforeAll(async () => {
  [cluster, balancer] = await Promise.all([startTestCluster(), startBalancer()]);
});

afterAll(async () => {
  await Promise.all([cluster?.stop(), balancer?.[Symbol.asyncDispose]()]);
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-doc-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const kinds = new Map(checks.map((each) => [each.kind, each]));

async function findingsOf(settings: object, options: { timeout?: number } = {}): Promise<Finding[]> {
  const { environment } = testContext(settings, { directory: folder });
  return diagnose({ environment, stateDirectory: join(folder, ".ops"), checks: kinds, ...options });
}

async function about(
  subject: string,
  settings: object,
  options: { timeout?: number } = {},
): Promise<Finding> {
  const findings = await findingsOf(settings, options);
  const found = findings.find((each) => each.subject === subject);
  if (found === undefined) throw new Error(`nothing about ${subject}: ${JSON.stringify(findings)}`);
  return found;
}

const database = (url: string) => ({ databases: { main: { url } } });
const store = (settings: object) => ({ stores: { local: { url: "file:backups", ...settings } } });
const route = (settings: object) => ({
  routes: {
    web: { socket: balancer.socket, backend: "web", versions: { v1: "blue", v2: "green" }, ...settings },
  },
});

test("where everything is there, nothing needs mending and nothing is left behind", async () => {
  const identity = await generateIdentity();
  await writeFile(join(folder, "identity.txt"), `# made for a test\n${identity}\n`);
  await mkdir(join(folder, "backups"));

  const findings = await findingsOf({
    ...database(cluster.url()),
    ...store({ recipients: [await identityToRecipient(identity)], identity: "file:identity.txt" }),
    ...route({}),
    gates: { g: { checks: [{ id: "a", kind: "sql", with: { query: "SELECT true" } }] } },
  });

  expect(findings.filter((each) => each.status === "missing")).toEqual([]);
  expect(needsMending(findings)).toBe(false);
  expect(findings.map((each) => each.subject)).toEqual([
    "node",
    "pg_dump",
    "pg_restore",
    "psql",
    "configuration",
    "state folder",
    "disk of state",
    "database main",
    "clock of main",
    "store local",
    "disk of local",
    "keys of local",
    "route web",
    "gate g",
  ]);
  expect((await readdir(folder)).sort()).toEqual(["backups", "identity.txt"]);
  expect(await readdir(join(folder, "backups"))).toEqual([]);
  expect(JSON.stringify(findings)).not.toContain(identity);
});

describe("the configuration", () => {
  test("that cannot be read is a finding, and the rest is still looked at", async () => {
    const findings = await diagnose({ configError: new Error("unknown key") });

    expect(findings).toContainEqual({
      subject: "configuration",
      status: "missing",
      message: "unknown key",
      mend: "correct .opsrc; .opsrc.example has every key",
    });
    expect(findings.map((each) => each.subject)).toContain("pg_dump");
  });

  test("that is not there is a finding", async () => {
    expect(await diagnose()).toContainEqual({
      subject: "configuration",
      status: "missing",
      message: "there is no .opsrc",
      mend: "cp .opsrc.example .opsrc",
    });
  });
});

describe("a database", () => {
  test("that does not exist", async () => {
    const finding = await about("database main", database(cluster.url("nowhere")));

    expect(finding.status).toBe("missing");
    expect(finding.message).toContain('database "nowhere" does not exist');
    expect(finding.mend).toBe(
      'make the database with createdb, or correct the "url" of "databases: main:" in .opsrc',
    );
  });

  test("whose server does not answer", async () => {
    const finding = await about("database main", database("postgresql://app:hunter22@127.0.0.1:1/x"));

    expect(finding).toMatchObject({
      status: "missing",
      mend: 'start the server, or correct the "url" of "databases: main:" in .opsrc',
    });
    expect(finding.message).toContain("ECONNREFUSED");
    expect(finding.message).not.toContain("hunter22");
  });

  test("whose server accepts and says nothing is given up after the time for a probe", async () => {
    const silent = await silentServer();
    try {
      const url = `postgresql://app@127.0.0.1:${silent.port}/x`;

      const finding = await about("database main", database(url), { timeout: 300 });

      expect(finding).toMatchObject({ status: "missing", message: "no answer within 300ms" });
    } finally {
      silent.stop();
    }
  });
});

describe("a store", () => {
  test("whose folder is not there yet can be made, and is not", async () => {
    const finding = await about("store local", store({}));

    expect(finding).toMatchObject({ status: "ok", message: `${join(folder, "backups")} can be made` });
    expect(await readdir(folder)).toEqual([]);
  });

  test("whose folder is a file", async () => {
    await writeFile(join(folder, "backups"), "");

    const finding = await about("store local", store({}));

    expect(finding).toMatchObject({
      status: "missing",
      message: `${join(folder, "backups")} is a file, not a folder`,
    });
  });

  test("without recipients", async () => {
    expect(await about("keys of local", store({}))).toMatchObject({
      status: "missing",
      message: "no recipient to encrypt backups to",
    });
  });

  test("without an identity can be written to, not read", async () => {
    const recipients = [await identityToRecipient(await generateIdentity())];

    expect(await about("keys of local", store({ recipients }))).toMatchObject({ status: "warn" });
  });

  test("with the identity of somebody else", async () => {
    const recipients = [await identityToRecipient(await generateIdentity())];
    await writeFile(join(folder, "other.txt"), await generateIdentity());

    const finding = await about("keys of local", store({ recipients, identity: "file:other.txt" }));

    expect(finding).toMatchObject({
      status: "missing",
      message: "the identity (file:other.txt) belongs to none of the recipients: it opens no new backup",
    });
  });

  test.each([
    ["file:gone.txt", "The secret file:gone.txt cannot be used: the file cannot be read"],
    ["file:noise.txt", "The identity is not an age private key"],
  ])("with the identity %s", async (identity, message) => {
    const recipients = [await identityToRecipient(await generateIdentity())];
    await writeFile(join(folder, "noise.txt"), "no key\n");

    const finding = await about("keys of local", store({ recipients, identity }));

    expect(finding.status).toBe("missing");
    expect(finding.message).toContain(message);
  });
});

describe("a route", () => {
  test("with a socket that may only look", async () => {
    const finding = await about("route web", route({ socket: `${balancer.socket}-user` }));

    expect(finding).toMatchObject({ status: "missing" });
    expect(finding.message).toBe("the socket has the level user: it may not change weights");
  });

  test("with a backend that is not there", async () => {
    const finding = await about("route web", route({ backend: "api" }));

    expect(finding.status).toBe("missing");
    expect(finding.message).toContain('has no backend "api"');
  });

  test("with a server that is not there", async () => {
    const finding = await about("route web", route({ versions: { v1: "blue", v2: "gren" } }));

    expect(finding).toMatchObject({
      status: "missing",
      message: 'the backend web has no server "gren" (version v2)',
      mend: 'correct "versions:" of "routes: web:" in .opsrc: did you mean "green"?',
    });
  });

  test("without a socket", async () => {
    const finding = await about("route web", route({ socket: "nothing.sock" }));

    expect(finding.status).toBe("missing");
    expect(finding.message).toContain("there is no such socket");
  });
});

test("what counts a route's requests is asked, and told where it does not answer", async () => {
  const requests = "up";
  const sources = [
    { source: "prometheus", url: "http://127.0.0.1:4", requests, "status-label": "code" },
    { source: "json", url: "http://127.0.0.1:4/{{version}}", requests: "$.a", bad: "$.b" },
    { source: "sql", query: "SELECT 'v1' AS version, 1 AS requests, 0 AS bad" },
    { source: "sql", query: "SELECT no" },
    { source: "log", file: join(folder, "no.log"), format: "haproxy" },
    { source: "log", file: join(folder, "access.log"), format: "haproxy" },
  ];
  await writeFile(join(folder, "access.log"), "");

  const findings = await Promise.all(
    sources.map((metrics) =>
      about("metrics of route web", { ...database(cluster.url()), ...route({ metrics }) }),
    ),
  );

  expect(findings.map(({ status }) => status)).toEqual(["missing", "missing", "ok", "missing", "warn", "ok"]);
  expect(findings[0]?.mend).toBe('correct "metrics:" of "routes: web:" in .opsrc');
  expect(findings[2]?.message).toBe("the query over database main answers with 1 row");
});

test("a gate with a mistake is told with the mistake", async () => {
  const gates = { g: { checks: [{ id: "a", kind: "sql", with: { qery: "SELECT 1", query: "SELECT 1" } }] } };

  expect(await about("gate g", { gates })).toEqual({
    subject: "gate g",
    status: "missing",
    message: 'Gate g, check a, with.qery: unknown key "qery"',
    mend: 'did you mean "query"?',
  });
});

/** Takes connections and never answers. */
async function silentServer(): Promise<{ port: number; stop(): void }> {
  const sockets = new Set<{ destroy(): void }>();
  const server: Server = createServer((socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
