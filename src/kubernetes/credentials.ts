import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { z } from "zod";
import { causeText, OpsError, UsageError } from "../core/errors.ts";
import { rememberSecret } from "../core/redaction.ts";
import { runProgram } from "../process/run-program.ts";
import type { ClusterAccess, ExecPlugin, Pem } from "./kubeconfig.ts";

/** What a connection shows of who one is. Never printed. */
export interface Credentials {
  readonly token: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/** Milliseconds that a plugin may take; a login in a browser is not waited for. */
const pluginPatience = 30_000;

/**
 * Reads token and certificate where the kubeconfig says, or asks its plugin (`aws eks get-token`). Every call reads
 * anew. Throws `E_KUBERNETES_CREDENTIALS`, without a word of what was read.
 */
export async function credentialsOf(access: ClusterAccess, signal?: AbortSignal): Promise<Credentials> {
  const { user } = access;
  const found =
    user.plugin === undefined
      ? {
          token: user.tokenFile === undefined ? user.token : await readText(access, user.tokenFile),
          certificate: await readPem(access, user.certificate),
          key: await readPem(access, user.key),
        }
      : await askPlugin(access, user.plugin, signal);
  const token = found.token?.trim();
  for (const secret of [token, found.key]) if (secret !== undefined && secret !== "") rememberSecret(secret);
  return { ...found, token: token === "" ? undefined : token };
}

export async function readPem(access: ClusterAccess, pem: Pem | undefined): Promise<string | undefined> {
  if (pem === undefined) return undefined;
  return "text" in pem ? pem.text : await readText(access, pem.file);
}

async function readText(access: ClusterAccess, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError("E_KUBERNETES_CREDENTIALS", `A file that ${access.origin} names cannot be read`, {
      cause: causeText(error),
      hint: "make it, or have the kubeconfig written anew by your provider's tool",
    });
  }
}

/** The form of client.authentication.k8s.io/v1, in which v1beta1 is the same. */
const answerSchema = z.object({
  apiVersion: z.string(),
  status: z.object({
    token: z.string().optional(),
    clientCertificateData: z.string().optional(),
    clientKeyData: z.string().optional(),
  }),
});

async function askPlugin(
  access: ClusterAccess,
  plugin: ExecPlugin,
  signal: AbortSignal | undefined,
): Promise<Credentials> {
  const { stdout, stderr, exitCode } = await run(access, plugin, signal);
  const failed = (what: string, cause: string) =>
    new OpsError("E_KUBERNETES_CREDENTIALS", `The plugin ${plugin.command} of ${access.origin} ${what}`, {
      cause,
      hint: `see what it says: ${[plugin.command, ...plugin.args].join(" ")}`,
    });
  if (exitCode !== 0) {
    throw failed(`failed (exit code ${exitCode})`, stderr.trim().split("\n").at(-1) ?? "");
  }
  const answer = answerSchema.safeParse(parsed(stdout));
  if (!answer.success || answer.data.apiVersion !== plugin.apiVersion) {
    throw failed("gave no credentials", `it must print an ExecCredential of ${plugin.apiVersion} as JSON`);
  }
  const { token, clientCertificateData: certificate, clientKeyData: key } = answer.data.status;
  return { token, certificate, key };
}

async function run(access: ClusterAccess, plugin: ExecPlugin, signal: AbortSignal | undefined) {
  const { server, serverName, insecure, authority } = access;
  const ca = await readPem(access, authority);
  const cluster = {
    server,
    ...(serverName === undefined ? {} : { "tls-server-name": serverName }),
    ...(insecure ? { "insecure-skip-tls-verify": true } : {}),
    ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") }),
  };
  const info = {
    apiVersion: plugin.apiVersion,
    kind: "ExecCredential",
    spec: { interactive: false, ...(plugin.provideClusterInfo ? { cluster } : {}) },
  };
  const patience = AbortSignal.timeout(pluginPatience);
  try {
    // A plugin finds its own login in the environment (AWS_PROFILE, CLOUDSDK_…), like one that kubectl starts.
    const inherited = Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
    return await runProgram(plugin.command, plugin.args, {
      env: {
        ...Object.fromEntries(inherited),
        ...plugin.env,
        KUBERNETES_EXEC_INFO: JSON.stringify(info),
      },
      signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof OpsError && error.code !== "E_PROGRAM_MISSING") throw error;
    const missing = error instanceof OpsError;
    throw new OpsError(
      "E_KUBERNETES_CREDENTIALS",
      `The plugin ${plugin.command} of ${access.origin} ${missing ? "is not installed" : "took longer than 30 seconds"}`,
      {
        hint: missing
          ? (plugin.installHint?.trim() ??
            (isAbsolute(plugin.command) ? "correct its path in the kubeconfig" : "install it, or mend PATH"))
          : `see what it waits for: ${[plugin.command, ...plugin.args].join(" ")}`,
        retryable: !missing,
      },
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Said by the check of its form, without the text: it may hold a token.
    return undefined;
  }
}
