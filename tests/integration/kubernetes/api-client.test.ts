import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import { KubernetesApi } from "../../../src/kubernetes/api-client.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";
import { httpRoute, startKubernetes, type TestKubernetes } from "../../support/kubernetes-server.ts";

const run = promisify(execFile);

/** A stub of an API server behind TLS that asks for client certificates, with keys made by openssl. */
let cluster: TestKubernetes;
let folder: string;
const file = (name: string) => join(folder, name);
const base64 = async (name: string) => (await readFile(file(name))).toString("base64");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-kubernetes-"));
  const openssl = (...args: string[]) => run("openssl", args, { cwd: folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  for (const ca of ["ca", "other"])
    await openssl(
      "req",
      "-x509",
      ...key,
      "-days",
      "2",
      "-subj",
      `/CN=${ca}`,
      "-keyout",
      `${ca}.key`,
      "-out",
      `${ca}.pem`,
    );
  await writeFile(file("names"), "subjectAltName=IP:127.0.0.1,DNS:api.internal\n");
  for (const each of ["server", "client"]) {
    await openssl("req", ...key, "-subj", `/CN=${each}`, "-keyout", `${each}.key`, "-out", `${each}.csr`);
    const signed = [
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      "names",
    ];
    await openssl("x509", "-req", "-in", `${each}.csr`, ...signed, "-out", `${each}.pem`);
  }
  cluster = await startKubernetes({
    key: await readFile(file("server.key")),
    cert: await readFile(file("server.pem")),
    ca: await readFile(file("ca.pem")),
    requestCert: true,
    rejectUnauthorized: false,
  });
  cluster.httpRoutes.set("shop/web", httpRoute("web", { blue: 1, green: 0 }));
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  cluster.tokens.clear();
  cluster.requests.length = 0;
});

const request = {
  method: "GET",
  path: "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/web",
  permission: "get httproutes",
} as const;

async function ask(user: object, authority: object = { "certificate-authority": "ca.pem" }) {
  const kubeconfig = await writeKubeconfig(folder, { server: cluster.url, cluster: authority, user });
  return new KubernetesApi({ kubeconfig }).request(request);
}

/** What is said of an error anywhere: the message, the journal's record, the debugger's view of it. */
async function refusal(work: Promise<unknown>) {
  const error = await work.then(
    () => {
      throw new Error("it was not refused");
    },
    (each: unknown) => each,
  );
  return {
    record: errorRecord(error),
    text: inspect(error, { depth: 10 }) + JSON.stringify(errorRecord(error)),
  };
}

/** A plugin that prints these lines of a shell script. */
async function plugin(...lines: string[]) {
  await writeFile(file("plugin"), ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(file("plugin"), 0o755);
  return {
    exec: { apiVersion: "client.authentication.k8s.io/v1", command: "./plugin", args: ["get-token"] },
  };
}
const credential = (token: string) =>
  `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"${token}"}}'`;

describe("a connection", () => {
  test("trusts the kubeconfig's authority and shows its client certificate, from files and from data", async () => {
    expect(await ask({ "client-certificate": "client.pem", "client-key": "client.key" })).toMatchObject({
      ok: true,
    });

    const user = {
      "client-certificate-data": await base64("client.pem"),
      "client-key-data": await base64("client.key"),
    };
    expect(await ask(user, { "certificate-authority-data": await base64("ca.pem") })).toMatchObject({
      ok: true,
    });
    const named = { "certificate-authority": "ca.pem", "tls-server-name": "api.internal" };
    expect(await ask(user, named)).toMatchObject({ ok: true });
  });

  test("is not made to a server that another authority signed, or that has another name", async () => {
    cluster.tokens.add("good-token");
    const other = refusal(ask({ token: "good-token" }, { "certificate-authority": "other.pem" }));
    expect((await other).record).toMatchObject({ code: "E_KUBERNETES_TLS" });
    const named = { "certificate-authority": "ca.pem", "tls-server-name": "another.internal" };
    expect((await refusal(ask({ token: "good-token" }, named))).record).toMatchObject({
      code: "E_KUBERNETES_TLS",
    });

    expect(cluster.requests).toHaveLength(0);
    expect(await ask({ token: "good-token" }, { "insecure-skip-tls-verify": true })).toMatchObject({
      ok: true,
    });
  });

  test("reads a token file again when the server does not take the token any more", async () => {
    await writeFile(file("token"), "token-of-the-morning\n");
    cluster.tokens.add("token-of-the-morning");
    const kubeconfig = await writeKubeconfig(folder, {
      server: cluster.url,
      cluster: { "certificate-authority": "ca.pem" },
      user: { tokenFile: "token" },
    });
    const api = new KubernetesApi({ kubeconfig });
    await api.request(request);
    cluster.tokens.clear();
    cluster.tokens.add("token-of-the-evening");
    await writeFile(file("token"), "token-of-the-evening\n");

    expect(await api.request(request)).toMatchObject({ ok: true });
  });

  test("asks a plugin, tells it what it is for, and asks it again after a 401", async () => {
    cluster.tokens.add("second-token");
    const user = await plugin(
      'test "$1" = get-token || exit 3',
      'case "$KUBERNETES_EXEC_INFO" in *ExecCredential*) ;; *) exit 4 ;; esac',
      "if test -e asked; then",
      `  ${credential("second-token")}`,
      "else",
      `  touch asked; ${credential("first-token")}`,
      "fi",
    );
    user.exec = { ...user.exec, ...{ env: [{ name: "PLUGIN_HOME", value: folder }] } };
    await writeFile(
      file("plugin"),
      (await readFile(file("plugin"), "utf8")).replace("\n", '\ncd "$PLUGIN_HOME"\n'),
    );

    expect(await ask(user)).toMatchObject({ ok: true });
    expect(cluster.requests.map((each) => each.headers.authorization)).toEqual([
      "Bearer first-token",
      "Bearer second-token",
    ]);
  });
});

describe("credentials that are no good", () => {
  test("are named by where they come from, never by what they are", async () => {
    const { record, text } = await refusal(ask({ token: "expired-token-4711" }));

    expect(record).toMatchObject({
      code: "E_KUBERNETES_CREDENTIALS",
      hint: expect.stringContaining("log in again"),
    });
    expect(record.message).toContain("the context test of");
    expect(text).not.toContain("expired-token-4711");
    // Once, and once more with what is read anew.
    expect(cluster.requests).toHaveLength(2);
  });

  test.each([
    [
      "fails",
      ['echo "first line" >&2', 'echo "session expired, log in" >&2', "exit 1"],
      "session expired, log in",
    ],
    ["prints no JSON", ["echo token: plugin-token-4711"], "it must print an ExecCredential"],
    [
      "prints another version",
      ['echo \'{"apiVersion":"client.authentication.k8s.io/v2","status":{"token":"plugin-token-4711"}}\''],
      "client.authentication.k8s.io/v1",
    ],
  ])("a plugin that %s", async (_, lines, cause) => {
    const { record, text } = await refusal(ask(await plugin(...lines)));

    expect(record).toMatchObject({ code: "E_KUBERNETES_CREDENTIALS", cause: expect.stringContaining(cause) });
    expect(text).not.toContain("plugin-token-4711");
  });

  test("a plugin that is not installed says how to get it", async () => {
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: "no-such-plugin",
      installHint: "install it with the cloud's tool",
    };

    expect((await refusal(ask({ exec }))).record).toMatchObject({
      code: "E_KUBERNETES_CREDENTIALS",
      hint: "install it with the cloud's tool",
    });
  });
});
