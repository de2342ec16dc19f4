import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { errorRecord } from "../../../src/core/errors.ts";
import { clusterAccess } from "../../../src/kubernetes/kubeconfig.ts";
import { writeKubeconfig } from "../../support/kubeconfig.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-kubeconfig-"));
  vi.stubEnv("HOME", folder);
  vi.stubEnv("KUBECONFIG", "");
  vi.stubEnv("KUBERNETES_SERVICE_HOST", undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const server = "https://api.example.com:6443";

describe("where a cluster is looked for", () => {
  it("in the file that is named, in KUBECONFIG, in the home folder, in the pod", async () => {
    await mkdir(join(folder, ".kube"));
    await writeKubeconfig(join(folder, ".kube"), { server, namespace: "home" });
    await writeKubeconfig(folder, { server, namespace: "listed" }, "listed");
    const named = await writeKubeconfig(folder, { server, namespace: "named" }, "named");

    expect((await clusterAccess({})).namespace).toBe("home");
    vi.stubEnv("KUBECONFIG", `${join(folder, "nothing")}:${join(folder, "listed")}`);
    expect((await clusterAccess({})).namespace).toBe("listed");
    expect((await clusterAccess({ kubeconfig: named })).namespace).toBe("named");

    vi.stubEnv("KUBECONFIG", "");
    await rm(join(folder, ".kube"), { recursive: true });
    await expect(clusterAccess({}, folder)).rejects.toMatchObject({
      code: "E_KUBERNETES_CONFIG",
      exitCode: 2,
    });
    for (const [name, text] of Object.entries({ token: "t", "ca.crt": "c", namespace: "pod\n" }))
      await writeFile(join(folder, name), text);
    vi.stubEnv("KUBERNETES_SERVICE_HOST", "fd00::1");
    vi.stubEnv("KUBERNETES_SERVICE_PORT", "443");
    expect(await clusterAccess({}, folder)).toMatchObject({
      server: "https://[fd00::1]:443",
      namespace: "pod",
      authority: { file: join(folder, "ca.crt") },
      user: { tokenFile: join(folder, "token") },
    });
  });

  it("with the first of several files that has a name", async () => {
    const one = await writeKubeconfig(folder, { server, user: { token: "one" } }, "one");
    const two = await writeKubeconfig(folder, { server: "https://two:1/", user: { token: "two" } }, "two");
    vi.stubEnv("KUBECONFIG", `${two}:${one}`);

    expect(await clusterAccess({})).toMatchObject({ server: "https://two:1", user: { token: "two" } });
  });
});

describe("what a kubeconfig may not have", () => {
  it.each([
    ["a proxy", { cluster: { "proxy-url": "http://proxy:3128" } }, "proxy-url"],
    ["an auth-provider", { user: { "auth-provider": { name: "gcp" } } }, "auth-provider"],
    ["a user name", { user: { username: "me", password: "pass-4711" } }, "user name"],
    [
      "a token in the clear",
      { server: "http://api.example.com", user: { token: "secret-4711" } },
      "everybody",
    ],
    ["a server that is no URL", { server: "api.example.com:6443" }, "server"],
  ])("%s", async (_, options, text) => {
    const kubeconfig = await writeKubeconfig(folder, { server, ...options });

    const error = await clusterAccess({ kubeconfig }).catch((each: unknown) => each);

    expect(error).toMatchObject({
      code: "E_KUBERNETES_CONFIG",
      exitCode: 2,
      message: expect.stringContaining(text),
    });
    expect(inspect(error)).not.toContain("4711");
  });

  it("a mistake in its syntax or form, which is shown by its place and never by its text", async () => {
    const kubeconfig = join(folder, "broken");
    for (const text of [
      "users:\n- name: a\n  user: {token: secret-4711\n",
      "users: secret-4711\n",
      "- secret-4711\n",
    ]) {
      await writeFile(kubeconfig, text);

      const error = await clusterAccess({ kubeconfig }).catch((each: unknown) => each);

      expect(errorRecord(error)).toMatchObject({ code: "E_KUBERNETES_CONFIG", exitCode: 2 });
      expect(inspect(error, { depth: 10 })).not.toContain("4711");
    }
  });
});
