import { readFile } from "node:fs/promises";
import { basename, dirname, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { z } from "zod";
import { type Diagnostic, DiagnosticsError } from "../core/diagnostic.ts";
import { UsageError } from "../core/errors.ts";
import { type SchemaMistake, schemaMistakes } from "../core/schema-mistake.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Path, schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import { Config } from "./config.ts";
import { notifyMistakes } from "./notify-mistakes.ts";
import { pitrMistakes } from "./pitr-schema.ts";
import { scheduleMistakes } from "./schedule-mistakes.ts";
import {
  configSchema,
  databaseSchema,
  type EnvironmentSettings,
  environmentSchema,
  targetKinds,
} from "./schema.ts";

export interface ConfigOptions {
  /** `--config` or OPS_CONFIG; without it the file is searched from `cwd` upwards. */
  readonly file?: string | undefined;
  readonly cwd: string;
  /** The process's environment variables. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

type Raw = Record<string, unknown>;
type Layer = Partial<Record<(typeof targetKinds)[number], Record<string, Raw>>>;

const databaseVariable = "OPS_DATABASE_URL";

/** Finds, reads and checks the configuration. Throws a DiagnosticsError with every mistake in it. */
export async function loadConfig(options: ConfigOptions): Promise<Config> {
  const named = options.file ?? options.variables.OPS_CONFIG;
  const file = named === undefined ? await findConfig(options.cwd) : resolve(options.cwd, named);
  const directory = file === undefined ? options.cwd : dirname(file);
  const loaded = file === undefined ? undefined : await read(file, options.cwd);
  const raw = loaded?.value ?? {};
  refuseVariable(options.variables[databaseVariable]);
  const problems: Diagnostic[] = [];
  const first = configSchema.safeParse(raw, { reportInput: true });
  if (!first.success) problems.push(...diagnostics(loaded, configSchema, first.error, []));
  // Unknown keys do not hide the mistakes in the known ones.
  const shape = first.success ? first : configSchema.safeParse(withoutUnknown(raw, first.error));
  if (!shape.success) throw new DiagnosticsError("E_CONFIG", problems);

  const parsed = shape.data as Layer & {
    "state-dir": string;
    "default-environment"?: string;
    environments: Record<string, Layer>;
  };
  const names = Object.keys(parsed.environments);
  const fallback = parsed["default-environment"];
  if (fallback !== undefined && names.length > 0 && !names.includes(fallback)) {
    const message = `there is no environment "${fallback}"`;
    problems.push(diagnostic(loaded, ["default-environment"], message, suggestion(fallback, names)));
  }
  const all: Record<string, Layer> =
    names.length === 0 ? { [fallback ?? "default"]: {} } : parsed.environments;
  const settings = new Map<string, EnvironmentSettings>();
  for (const [name, own] of Object.entries(all)) {
    const joined = join(parsed, own, options.variables[databaseVariable]);
    const result = environmentSchema.safeParse(joined, { reportInput: true });
    if (result.success) settings.set(name, result.data);
    const mistakes = result.success
      ? [
          ...(await scheduleMistakes(result.data)),
          ...pitrMistakes(result.data),
          ...(await notifyMistakes(result.data)),
        ]
      : schemaMistakes(environmentSchema, result.error);
    problems.push(...mistakes.map((each) => environmentDiagnostic(loaded, name, each)));
  }
  if (problems.length > 0) throw new DiagnosticsError("E_CONFIG", problems);
  return new Config({
    file,
    directory,
    stateDirectory: resolve(
      options.variables.OPS_STATE_DIR === undefined ? directory : options.cwd,
      options.variables.OPS_STATE_DIR ?? parsed["state-dir"],
    ),
    settings,
    defaultName: options.variables.OPS_ENV ?? fallback,
    source: loaded?.source,
    base: loaded?.base ?? [],
  });
}

interface Loaded {
  readonly shown: string;
  readonly value: unknown;
  /** Undefined for a TypeScript file: its values have no place in a text. */
  readonly source: YamlSource | undefined;
  readonly base: Path;
}

async function findConfig(cwd: string): Promise<string | undefined> {
  // As its default: of a CommonJS package the bundle gives no names.
  const {
    default: { cosmiconfig },
  } = await import("cosmiconfig");
  const explorer = cosmiconfig("ops", {
    searchPlaces: [".opsrc", ".opsrc.yaml", ".opsrc.yml", ".opsrc.json", "ops.config.ts", "package.json"],
    searchStrategy: "global",
    stopDir: "/",
    ignoreEmptySearchPlaces: false,
    // Only found here; reading, with places for errors, is `read`.
    loaders: { noExt: () => ({}), ".yaml": () => ({}), ".yml": () => ({}), ".ts": () => ({}) },
  });
  const found = await explorer.search(cwd);
  return found?.filepath;
}

async function read(file: string, cwd: string): Promise<Loaded> {
  const near = relative(cwd, file);
  const shown = near.startsWith("..") ? file : near;
  if (file.endsWith(".ts") || file.endsWith(".js") || file.endsWith(".mjs")) {
    try {
      const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
      if (module.default === undefined) {
        throw new UsageError("E_CONFIG", `The configuration ${shown} has no default export`, {
          hint: "write: export default { databases: { main: { url: … } } }",
        });
      }
      return { shown, value: module.default, source: undefined, base: [] };
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError("E_CONFIG", `The configuration ${shown} cannot be loaded`, {
        cause: unreadable(error),
        hint: "it is run as a program: mend the error in it, or name another file with --config",
      });
    }
  }
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError("E_CONFIG", `The configuration ${shown} cannot be read`, {
      cause: unreadable(error),
      hint: "name another one with --config, or start from .opsrc.example",
    });
  }
  const source = new YamlSource(shown, text, "E_CONFIG");
  const whole = source.value ?? {};
  if (basename(file) === "package.json")
    return { shown, value: (whole as Raw).ops ?? {}, source, base: ["ops"] };
  return { shown, value: whole, source, base: [] };
}

/** Checked apart from the file, so that the file is not blamed for it. */
function refuseVariable(databaseUrl: string | undefined): void {
  if (databaseUrl === undefined) return;
  const { error } = databaseSchema.shape.url.safeParse(databaseUrl);
  if (error === undefined) return;
  throw new UsageError(
    "E_CONFIG",
    `The environment variable ${databaseVariable} ${error.issues[0]?.message}`,
  );
}

/** The system's reason in plain words; the path is in the sentence before it. */
function unreadable(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ERR_MODULE_NOT_FOUND") return "there is no such file";
  if (code === "EISDIR") return "it is a folder";
  if (code === "EACCES") return "this user may not read it";
  return error;
}

/** The value without the keys that its schema does not know. */
function withoutUnknown(value: unknown, error: z.ZodError): unknown {
  return error.issues.reduce(
    (rest, issue) => (issue.code === "unrecognized_keys" ? without(rest, issue.path, issue.keys) : rest),
    value,
  );
}

function without(value: unknown, path: readonly PropertyKey[], keys: readonly string[]): unknown {
  if (!isMapping(value)) return value;
  const [next, ...rest] = path;
  const entries = Object.entries(value);
  return Object.fromEntries(
    next === undefined
      ? entries.filter(([key]) => !keys.includes(key))
      : entries.map(([key, each]) => [key, key === next ? without(each, rest, keys) : each]),
  );
}

/** An environment's targets: the shared ones, each key of which the environment may override. */
function join(shared: Layer, own: Layer, databaseUrl: string | undefined): Layer {
  const joined: Layer = {};
  for (const kind of targetKinds) {
    const names = new Set([...Object.keys(shared[kind] ?? {}), ...Object.keys(own[kind] ?? {})]);
    joined[kind] = Object.fromEntries(
      [...names].map((name) => [name, overlay(shared[kind]?.[name], own[kind]?.[name])]),
    ) as Record<string, Raw>;
  }
  if (databaseUrl !== undefined)
    joined.databases = { ...joined.databases, main: { ...joined.databases?.main, url: databaseUrl } };
  return joined;
}

function overlay(below: unknown, above: unknown): unknown {
  if (above === undefined) return below;
  return isMapping(below) && isMapping(above) ? { ...below, ...above } : above;
}

function isMapping(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Each mistake with its place; where the values have none (a TypeScript file), with its path. */
function diagnostics(
  loaded: Loaded | undefined,
  schema: z.ZodType,
  error: z.ZodError,
  base: Path,
): Diagnostic[] {
  if (loaded?.source !== undefined) {
    return schemaDiagnostics(loaded.source, schema, error, [...loaded.base, ...base]);
  }
  return schemaMistakes(schema, error).map(({ path, message, hint }) =>
    diagnostic(loaded, path, message, hint),
  );
}

/** A mistake of a joined environment stands either in the environment's own part of the file or in the shared one. */
function environmentDiagnostic(
  loaded: Loaded | undefined,
  name: string,
  { path, key, message, hint }: SchemaMistake,
): Diagnostic {
  const source = loaded?.source;
  if (loaded === undefined || source === undefined) return diagnostic(loaded, path, message, hint);
  const own: Path = [...loaded.base, "environments", name, ...path];
  const whole = source.has(key === undefined ? own : [...own, key]) ? own : [...loaded.base, ...path];
  const where = key === undefined ? source.position(whole) : source.keyPosition(whole, key);
  return source.at(where, message, hint);
}

function diagnostic(loaded: Loaded | undefined, path: Path, message: string, hint?: string): Diagnostic {
  if (loaded?.source !== undefined) {
    return loaded.source.at(loaded.source.position([...loaded.base, ...path]), message, hint);
  }
  const place = path.length === 0 ? "" : `${path.join(".")}: `;
  return {
    file: loaded?.shown ?? "(no file)",
    position: { line: 1, column: 1 },
    message: `${place}${message}`,
    hint,
  };
}
