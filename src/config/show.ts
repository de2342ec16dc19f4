import { basename } from "node:path";
import { mask, redactJson, secretName } from "../core/redaction.ts";
import type { Path } from "../core/yaml-source.ts";
import type { Config } from "./config.ts";
import { isReference, Secret } from "./secret.ts";

/** One value of the effective configuration and where it came from. */
export interface Setting {
  /** `databases.main.url` */
  readonly path: string;
  /** Secrets masked. */
  readonly value: unknown;
  /** `.opsrc:12`, `OPS_ENV`, `--env`, `default`. */
  readonly origin: string;
}

/** The effective configuration of one environment, leaf by leaf. */
export function settings(
  config: Config,
  name: string,
  variables: Readonly<Record<string, string | undefined>>,
): Setting[] {
  const own: Path = [...config.base, "environments", name];
  const originOf = (path: Path): string => {
    if (path.join(".") === "databases.main.url" && variables.OPS_DATABASE_URL !== undefined)
      return "OPS_DATABASE_URL";
    for (const whole of [
      [...own, ...path],
      [...config.base, ...path],
    ]) {
      if (config.source?.has(whole) === true)
        return `${basename(config.source.file)}:${config.source.position(whole).line}`;
    }
    return config.source === undefined && config.file !== undefined ? config.file : "default";
  };
  const state: Setting = {
    path: "state-dir",
    value: config.stateDirectory,
    origin: variables.OPS_STATE_DIR === undefined ? originOf(["state-dir"]) : "OPS_STATE_DIR",
  };
  return [
    state,
    ...leaves(config.settingsOf(name), []).map(([path, value]) => ({
      path: path.join("."),
      value: shown(path, value),
      origin: originOf(path),
    })),
  ];
}

function leaves(value: unknown, path: Path): [Path, unknown][] {
  if (value === undefined) return [];
  // A list of plain values is one value; a list of mappings (a gate's checks) is shown item by item.
  if (Array.isArray(value) && value.some((each) => typeof each === "object")) {
    return value.flatMap((each, index) => leaves(each, [...path, index]));
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !("operator" in value)) {
    return Object.entries(value).flatMap(([key, each]) => leaves(each, [...path, key]));
  }
  return [[path, value]];
}

const secretKeys = new Set(["url", "password", "identity", "access-key", "secret-key", "session-token"]);

function shown(path: Path, value: unknown): unknown {
  const key = path.at(-1);
  // The path of such a URL is what lets one in.
  if (
    typeof value === "string" &&
    (path.includes("ping") || path[0] === "notifications") &&
    URL.canParse(value)
  )
    return isReference(value) ? value : `${new URL(value).origin}/${mask}`;
  if (typeof value === "string" && path.includes("headers") && secretName.test(String(key)))
    return /^(?:\w+ )?(?:env|file|cmd):/.test(value) ? value : mask;
  if (typeof value === "string" && secretKeys.has(String(key))) {
    // Plain text under a key made for secrets is masked whole; a URL keeps what is not its password.
    const secret = new Secret(value, ".");
    return secret.shown === value && key !== "url" && !/^(env|file|cmd):/.test(value) ? "***" : secret.shown;
  }
  if (typeof value === "object" && value !== null && "text" in value) return value.text;
  return redactJson(value);
}
