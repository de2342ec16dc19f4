import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

export interface KubeconfigOptions {
  readonly server: string;
  readonly cluster?: object;
  readonly user?: object;
  readonly namespace?: string;
}

/** Writes a kubeconfig with one context, `test`, and returns its path. */
export async function writeKubeconfig(
  folder: string,
  options: KubeconfigOptions,
  name = "config",
): Promise<string> {
  const { server, cluster = {}, user = { token: "good-token" }, namespace = "shop" } = options;
  const file = join(folder, name);
  const content = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "local", user: "deploy", namespace } }],
    clusters: [{ name: "local", cluster: { server, ...cluster } }],
    users: [{ name: "deploy", user }],
  };
  await writeFile(file, stringify(content), { mode: 0o600 });
  return file;
}
