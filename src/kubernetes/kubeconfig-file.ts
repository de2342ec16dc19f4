import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { causeText, UsageError } from "../core/errors.ts";

const text = z.string().optional();

const execSchema = z.object({
  apiVersion: z.string(),
  command: z.string(),
  args: z.array(z.string()).nullish(),
  env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
  provideClusterInfo: z.boolean().optional(),
  installHint: text,
});

const clusterSchema = z.object({
  server: z.url({ protocol: /^https?$/, error: "must be the URL of an API server" }),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "tls-server-name": text,
  "insecure-skip-tls-verify": z.boolean().optional(),
  "proxy-url": text,
});

const userSchema = z.preprocess(
  (each) => each ?? {},
  z.object({
    token: text,
    tokenFile: text,
    "client-certificate": text,
    "client-certificate-data": text,
    "client-key": text,
    "client-key-data": text,
    username: text,
    exec: execSchema.nullish().transform((each) => each ?? undefined),
    "auth-provider": z.unknown().optional(),
  }),
);

/** What is used of a kubeconfig; kubectl leaves other things there that do not concern us. */
const configSchema = z.object({
  "current-context": text,
  contexts: z
    .array(
      z.object({
        name: z.string(),
        context: z.object({ cluster: z.string(), user: z.string(), namespace: text }),
      }),
    )
    .nullish()
    .transform((each) => each ?? []),
  clusters: z
    .array(z.object({ name: z.string(), cluster: clusterSchema }))
    .nullish()
    .transform((each) => each ?? []),
  users: z
    .array(z.object({ name: z.string(), user: userSchema }))
    .nullish()
    .transform((each) => each ?? []),
});

export type Config = z.output<typeof configSchema>;
export type ConfiguredCluster = z.output<typeof clusterSchema>;
export type ConfiguredUser = z.output<typeof userSchema>;
export type ConfiguredPlugin = z.output<typeof execSchema>;

/** Throws `E_KUBERNETES_CONFIG` (usage) with the place, never with the text: tokens stand there. */
export async function readConfig(file: string): Promise<Config> {
  const source = await readFile(file, "utf8").catch((error: unknown) => {
    throw mistake(
      `The kubeconfig ${file} cannot be read`,
      'correct "kubeconfig:" of the route in .opsrc, or KUBECONFIG',
      causeText(error),
    );
  });
  const lines = new LineCounter();
  const document = parseDocument(source, { prettyErrors: false, lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw mistake(
      `${file}:${line}:${col} is not valid YAML`,
      "see what kubectl says: kubectl config view",
      error.code,
    );
  }
  const read = configSchema.safeParse(document.toJS() ?? {});
  if (!read.success) {
    const [issue] = read.error.issues;
    throw mistake(
      `${file} is no kubeconfig: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
      "see what kubectl says: kubectl config view",
    );
  }
  return relativeTo(dirname(file), read.data);
}

/** Paths in a kubeconfig are relative to its own folder, a plugin's command only where it holds a slash. */
function relativeTo(folder: string, config: Config): Config {
  const path = (each: string | undefined) =>
    each === undefined || each === "" ? undefined : resolve(folder, each);
  return {
    ...config,
    clusters: config.clusters.map(({ name, cluster }) => ({
      name,
      cluster: { ...cluster, "certificate-authority": path(cluster["certificate-authority"]) },
    })),
    users: config.users.map(({ name, user }) => ({
      name,
      user: {
        ...user,
        tokenFile: path(user.tokenFile),
        "client-certificate": path(user["client-certificate"]),
        "client-key": path(user["client-key"]),
        exec:
          user.exec?.command.includes("/") === true
            ? { ...user.exec, command: resolve(folder, user.exec.command) }
            : user.exec,
      },
    })),
  };
}

export function mistake(message: string, hint: string, cause?: string): UsageError {
  return new UsageError("E_KUBERNETES_CONFIG", message, { hint, ...(cause === undefined ? {} : { cause }) });
}
