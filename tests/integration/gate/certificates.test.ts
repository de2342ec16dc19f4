import { execFile } from "node:child_process";
import { chown, copyFile, readFile, stat } from "node:fs/promises";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { promisify } from "node:util";
import pg from "pg";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { checks } from "../../../src/gate/checks.ts";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { type Issued, TestAuthority } from "../../support/certificates.ts";
import { testContext } from "../../support/context.ts";
import { measuredCheck } from "../../support/measured-check.ts";
import { startTestCluster } from "../../support/postgres.ts";

const name = "app.example.com";
const day = 86_400_000;

let authority: TestAuthority;
let good: Issued;
let cluster: Cluster;
const servers: Server[] = [];

beforeAll(async () => {
  [authority, cluster] = await Promise.all([TestAuthority.make(), startTestCluster()]);
  good = await authority.issue(name);
});
afterAll(async () => {
  for (const each of servers) each.close();
  await cluster?.stop();
  await authority?.[Symbol.asyncDispose]();
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that shows these certificates; `host:port`. */
async function shows(issued: Issued, file: keyof Issued = "chain"): Promise<string> {
  const [cert, key] = await Promise.all([readFile(issued[file]), readFile(issued.key)]);
  return listening(createTlsServer({ cert, key, ciphers: "DEFAULT@SECLEVEL=0" }, (socket) => socket.end()));
}

/** @param ahead milliseconds that the clock of ops is ahead */
function certificate(
  settings: object,
  { ahead = 0, ...limits }: { ahead?: number; fail?: string; warn?: string } = {},
): Promise<CheckResult> {
  const context = {
    ...testContext({}, { directory: authority.directory }),
    clock: { ...systemClock, now: () => new Date(Date.now() + ahead) },
  };
  return measuredCheck(context, checks, {
    kind: "certificate",
    with: { ca: "root.pem", ...settings },
    ...limits,
  });
}

describe("the certificate of a server", () => {
  test("passes with the facts of the whole chain, and its time left is held against limits", async () => {
    const host = await shows(good);

    const result = await certificate({ host, name });

    expect(result).toMatchObject({
      status: "pass",
      reason: expect.stringMatching(
        /^app\.example\.com expires in (90d 0h|89d 23h) \(\d{4}-\d\d-\d\d\), limit < 14d$/,
      ),
      evidence: {
        place: host,
        trusted: true,
        problems: [],
        connection: { address: "127.0.0.1", protocol: "TLSv1.3" },
        certificates: [
          {
            subject: "O=Test, CN=app.example.com",
            issuer: "CN=Test authority",
            names: [name, `www.${name}`],
            key: "EC prime256v1",
            sha256: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
          },
          { subject: "CN=Test authority", issuer: "CN=Test root" },
          { subject: "CN=Test root" },
        ],
      },
    });
    expect(await certificate({ host, name }, { fail: "< 30d", warn: "< 100d" })).toMatchObject({
      status: "warn",
      reason: expect.stringMatching(/^1 of 3 certificates, app\.example\.com expires in .*, limit < 100d$/),
    });
    expect(await certificate({ host, name }, { ahead: 80 * day })).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(/^1 of 3 certificates, app\.example\.com expires in (10d 0h|9d 23h)/),
    });
  });

  test("fails where it is expired, not valid yet, for another name, or of an unknown authority, and says all of it", async () => {
    const host = await shows(good);

    expect((await certificate({ host, name }, { ahead: 95 * day })).reason).toMatch(
      /: app\.example\.com expired 5d 0h ago \(/,
    );
    expect((await certificate({ host, name }, { ahead: -2 * day })).reason).toMatch(
      /: app\.example\.com is not valid before .*; Test authority is not valid before/,
    );
    expect(await certificate({ host, name: "shop.example.com", ca: good.certificate })).toMatchObject({
      status: "fail",
      reason: `${host}: it is for app.example.com, www.app.example.com, not for shop.example.com; it does not lead to an authority that is trusted: an issuer is missing from the chain, or unknown`,
      evidence: { trusted: false },
    });
    // Nobody knows the authority by default, and the address is not what the certificate is for.
    expect((await certificate({ host, ca: undefined })).reason).toMatch(
      /not for 127\.0\.0\.1; it does not lead/,
    );
    expect(await certificate({ host, name, ca: undefined, trusted: false })).toMatchObject({
      status: "pass",
      evidence: { trusted: null },
    });
  });

  test("fails where it has really expired, where the chain is not sent, and where it is weak", async () => {
    const [expired, weak] = await Promise.all([
      authority.issue(name, { days: -1 }),
      authority.issue(name, { newKey: ["-newkey", "rsa:1024"], digest: "sha1" }),
    ]);

    expect((await certificate({ host: await shows(expired), name })).reason).toMatch(
      /: app\.example\.com expired 1d 0h ago/,
    );
    expect((await certificate({ host: await shows(good, "certificate"), name })).reason).toMatch(
      /does not lead to an authority that is trusted: (an|its) issuer is missing from the chain, or unknown$/,
    );
    expect((await certificate({ host: await shows(weak), name })).reason).toMatch(
      /: app\.example\.com has the weak key RSA 1024; app\.example\.com has the weak signature ecdsa-with-SHA1$/,
    );
  });

  test("is unknown where nothing answers, and where what answers speaks no TLS", async () => {
    const silent = await listening(createTcpServer(() => undefined));
    const plain = await listening(createTcpServer((socket) => socket.end("hello\r\n")));

    expect(await certificate({ host: silent, timeout: "200ms" })).toMatchObject({
      status: "unknown",
      reason: `${silent} did not show a certificate within 200ms`,
    });
    expect(await certificate({ host: plain })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining(`${plain} does not complete a TLS handshake: `),
    });
    expect(await certificate({ host: "127.0.0.1:1" })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("127.0.0.1:1 cannot be reached: "),
    });
    expect((await certificate({ host: plain, starttls: "postgres" })).reason).toBe(
      `${plain} does not answer as PostgreSQL does`,
    );
  });
});

describe("a protocol that goes on in TLS", () => {
  test("PostgreSQL without TLS fails, and with it shows its certificate", async () => {
    const host = `127.0.0.1:${cluster.port}`;
    const asked = { host, starttls: "postgres", name };
    expect(await certificate(asked)).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("PostgreSQL answers that it has no TLS"),
    });

    const { uid, gid } = await stat(cluster.directory);
    for (const [from, to] of [
      [good.chain, "server.crt"],
      [good.key, "server.key"],
    ] as const) {
      await copyFile(from, join(cluster.directory, to));
      await chown(join(cluster.directory, to), uid, gid);
    }
    const client = new pg.Client(cluster.url());
    await client.connect();
    await client.query("ALTER SYSTEM SET ssl = on");
    await client.query("SELECT pg_reload_conf()");
    await client.end();

    await expect.poll(async () => (await certificate(asked)).status, { timeout: 10_000 }).toBe("pass");
    expect(await certificate(asked)).toMatchObject({
      evidence: { certificates: [{ subject: "O=Test, CN=app.example.com" }, {}, {}] },
    });
  });

  test("SMTP shows its certificate after STARTTLS, and fails where it offers none", async () => {
    const [cert, key] = await Promise.all([readFile(good.chain), readFile(good.key)]);
    const mail = new SMTPServer({ cert, key, logger: false });
    const bare = new SMTPServer({ hideSTARTTLS: true, logger: false });

    expect(await certificate({ host: await listening(mail.server), starttls: "smtp", name })).toMatchObject({
      status: "pass",
      evidence: { trusted: true },
    });
    expect(await certificate({ host: await listening(bare.server), starttls: "smtp", name })).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("the SMTP server offers no STARTTLS"),
    });
  });
});

describe("the certificates in a file", () => {
  test("are read from PEM, DER and PKCS#12, and followed to an authority", async () => {
    const der = good.certificate.replace(/pem$/, "der");
    await promisify(execFile)("openssl", ["x509", "-in", good.certificate, "-outform", "DER", "-out", der]);
    process.env.OPS_TEST_P12 = "correct horse";
    const file = await authority.pkcs12(good, "correct horse");

    expect(await certificate({ file: good.chain, name })).toMatchObject({
      status: "pass",
      evidence: { place: good.chain, trusted: true, certificates: [{}, {}], connection: null },
    });
    expect(await certificate({ file: der, name: "other.example.com" })).toMatchObject({
      status: "fail",
      reason: `${der}: it is for app.example.com, www.app.example.com, not for other.example.com; it does not lead to an authority that is trusted: unable to get local issuer certificate`,
    });
    expect(await certificate({ file, passphrase: "env:OPS_TEST_P12" })).toMatchObject({
      status: "pass",
      evidence: {
        certificates: [{ subject: "O=Test, CN=app.example.com" }, { subject: "CN=Test authority" }],
      },
    });
  });

  test("are unknown where they cannot be read", async () => {
    process.env.OPS_TEST_P12 = "wrong horse";
    const file = await authority.pkcs12(good, "correct horse");

    expect((await certificate({ file, passphrase: "env:OPS_TEST_P12" })).reason).toMatch(
      /does not open with this passphrase: Mac verify error/,
    );
    expect((await certificate({ file: good.key })).reason).toBe(
      `The certificate file ${good.key} has no certificate`,
    );
    expect(await certificate({ file: "nowhere.pem" })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining("nowhere.pem cannot be read"),
    });
  });

  test("a check that is written wrongly is refused before anything is asked", async () => {
    await expect(certificate({ host: "https://x", file: "x.pem" })).rejects.toThrow(
      /with\.host: "https:\/\/x" is not a host and a port[\s\S]*needs either "host:" or "file:"/,
    );
    await expect(certificate({ file: "x.p12", passphrase: "hunter2" })).rejects.toThrow(
      /passphrase: must be a reference/,
    );
  });
});

describe("an endpoint of https", () => {
  test("tells how long its certificates hold, once they are trusted", async () => {
    const issued = await authority.issue("127.0.0.1", { days: 10 });
    const [cert, key] = await Promise.all([readFile(issued.chain), readFile(issued.key)]);
    const server = createHttpsServer({ cert, key }, (_request, response) => response.end("ok"));
    const url = `https://${await listening(server)}/`;
    const asked = (needed: string) =>
      measuredCheck(testContext({}), checks, { kind: "http", with: { url, "tls-expires-in": needed } });

    // The request itself fails, as those of users would.
    expect((await asked("1d")).reason).toContain("no secure connection");

    const usual = getCACertificates("default");
    setDefaultCACertificates([...usual, await readFile(authority.root, "utf8")]);
    try {
      expect(await asked("9d")).toMatchObject({
        status: "pass",
        evidence: { certificate: { subject: "127.0.0.1", issuer: "CN=Test authority" } },
      });
      expect(await asked("14d")).toMatchObject({
        status: "fail",
        reason: expect.stringMatching(/^127\.0\.0\.1 expires in (10d 0h|9d 23h), needed 14d 0h$/),
      });
    } finally {
      setDefaultCACertificates(usual);
    }
  });
});
