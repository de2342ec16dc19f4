import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { suggestion } from "../core/suggestion.ts";
import {
  type ConfiguredCluster,
  type ConfiguredPlugin,
  type ConfiguredUser,
  mistake,
  readConfig,
} from "./kubeconfig-file.ts";

/** Which cluster is meant, as a route names it. */
export interface ClusterChoice {
  /** Absolute path; undefined: `$KUBECONFIG`, `~/.kube/config`, or the service account of the pod that this runs in. */
  readonly kubeconfig?: string | undefined;
  /** Undefined: the current one of the file. */
  readonly context?: string | undefined;
}

/** PEM text, or a file of it. */
export type Pem = { readonly text: string } | { readonly file: string };

export interface ExecPlugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly provideClusterInfo: boolean;
  readonly installHint: string | undefined;
}

/** How one proves who one is. A certificate stands beside the others. */
export interface ClusterUser {
  readonly token?: string | undefined;
  /** Read again for each connection: the kubelet rotates it. */
  readonly tokenFile?: string | undefined;
  readonly certificate?: Pem | undefined;
  readonly key?: Pem | undefined;
  readonly plugin?: ExecPlugin | undefined;
}

export interface ClusterAccess {
  /** For messages: `the context prod of /home/me/.kube/config`. */
  readonly origin: string;
  /** `https://host:6443`, without a slash at its end. */
  readonly server: string;
  readonly authority: Pem | undefined;
  readonly serverName: string | undefined;
  readonly insecure: boolean;
  /** The context's; undefined: it names none. */
  readonly namespace: string | undefined;
  readonly user: ClusterUser;
}

/** Where Kubernetes puts a pod's own service account. */
const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Throws `E_KUBERNETES_CONFIG` (usage), which never shows a line of the file: tokens stand there. */
export async function clusterAccess(
  choice: ClusterChoice,
  serviceAccount = serviceAccountFolder,
): Promise<ClusterAccess> {
  const files = configFiles(choice);
  if (files.length === 0) return inCluster(serviceAccount);
  const parts = await Promise.all(files.map(readConfig));
  const context =
    choice.context ?? parts.find((each) => (each["current-context"] ?? "") !== "")?.["current-context"];
  const where = files.join(", ");
  if (context === undefined) {
    throw mistake(
      `${where} has no current context`,
      'name one as "context:" of the route in .opsrc, or: kubectl config use-context',
    );
  }
  // Of several files the first one that has a name wins, as with kubectl.
  const chosen = named(
    parts.flatMap((each) => each.contexts),
    "context",
    context,
    where,
  ).context;
  const cluster = named(
    parts.flatMap((each) => each.clusters),
    "cluster",
    chosen.cluster,
    where,
  ).cluster;
  const user = named(
    parts.flatMap((each) => each.users),
    "user",
    chosen.user,
    where,
  ).user;
  refuseUnsupported(cluster, user, where);
  return {
    origin: `the context ${context} of ${where}`,
    server: cluster.server.replace(/\/+$/, ""),
    authority: pem(cluster["certificate-authority-data"], cluster["certificate-authority"]),
    serverName: cluster["tls-server-name"],
    insecure: cluster["insecure-skip-tls-verify"] ?? false,
    namespace: chosen.namespace === "" ? undefined : chosen.namespace,
    user: {
      token: user.tokenFile === undefined ? user.token : undefined,
      tokenFile: user.tokenFile,
      certificate: pem(user["client-certificate-data"], user["client-certificate"]),
      key: pem(user["client-key-data"], user["client-key"]),
      plugin: user.exec === undefined ? undefined : plugin(user.exec),
    },
  };
}

function configFiles({ kubeconfig }: ClusterChoice): string[] {
  if (kubeconfig !== undefined) return [kubeconfig];
  const listed = (process.env.KUBECONFIG ?? "").split(delimiter).filter((each) => each !== "");
  // kubectl passes over files of the list that do not exist, too.
  if (listed.length > 0)
    return listed.map((each) => resolve(each)).filter((each, _, all) => all.length === 1 || existsSync(each));
  const usual = join(homedir(), ".kube", "config");
  return existsSync(usual) ? [usual] : [];
}

async function inCluster(folder: string): Promise<ClusterAccess> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = process.env;
  const tokenFile = join(folder, "token");
  if (host === undefined || !existsSync(tokenFile)) {
    throw mistake(
      "There is no kubeconfig, and this is no pod with a service account",
      'name a file as "kubeconfig:" of the route in .opsrc, or set KUBECONFIG',
    );
  }
  return {
    origin: "this pod's service account",
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    authority: { file: join(folder, "ca.crt") },
    serverName: undefined,
    insecure: false,
    namespace: (await readFile(join(folder, "namespace"), "utf8").catch(() => "")).trim() || undefined,
    user: { tokenFile },
  };
}

function plugin(exec: ConfiguredPlugin): ExecPlugin {
  return {
    apiVersion: exec.apiVersion,
    command: exec.command,
    args: exec.args ?? [],
    env: Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value])),
    provideClusterInfo: exec.provideClusterInfo ?? false,
    installHint: exec.installHint,
  };
}

/** What kubectl can and this cannot; better said than met as a 401. */
function refuseUnsupported(cluster: ConfiguredCluster, user: ConfiguredUser, where: string): void {
  if (cluster["proxy-url"] !== undefined) {
    throw mistake(
      `${where} reaches its cluster through a proxy (proxy-url), which ops cannot`,
      "name a context without one: kubectl config get-contexts",
    );
  }
  const { hostname, protocol } = new URL(cluster.server);
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  if (protocol === "http:" && !isLoopback && (user.token ?? user.tokenFile ?? user.exec) !== undefined) {
    throw mistake(
      `${where} sends its token to ${cluster.server} where everybody on the way can read it`,
      "use https:// as the cluster's server",
    );
  }
  if (user["auth-provider"] !== undefined) {
    throw mistake(
      `${where} uses an auth-provider, which Kubernetes itself gave up in 1.26`,
      "have it written anew by your provider's tool, with an exec plugin",
    );
  }
  if (user.username !== undefined) {
    throw mistake(
      `${where} uses a user name and a password, which Kubernetes itself gave up in 1.19`,
      "use a token, a client certificate or an exec plugin",
    );
  }
}

function named<T extends { readonly name: string }>(
  all: readonly T[],
  kind: string,
  name: string,
  where: string,
): T {
  const found = all.find((each) => each.name === name);
  if (found !== undefined) return found;
  throw mistake(
    `${where} has no ${kind} "${name}"`,
    suggestion(
      name,
      all.map((each) => each.name),
    ),
  );
}

function pem(data: string | undefined, file: string | undefined): Pem | undefined {
  if (data !== undefined && data !== "") return { text: Buffer.from(data, "base64").toString("utf8") };
  return file === undefined ? undefined : { file };
}
