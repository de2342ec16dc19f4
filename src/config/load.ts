import { readFile } from "node:fs/promises";
import { basename, dirname, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { type Diagnostic, DiagnosticsError } from "../core/diagnostic.ts";
import { type OpsError, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Path, schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import { Environment } from "./environment.ts";
import { configSchema, type EnvironmentSettings, environmentSchema, targetKinds } from "./schema.ts";

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

/** The configuration file after reading and checking: every environment in it is valid. */
export class Config {
  /** Absolute path; undefined where there is no file. */
  readonly file: string | undefined;
  /** What relative paths are relative to. */
  readonly directory: string;
  /** Absolute path of the folder with the journal. */
  readonly stateDirectory: string;
  readonly environmentNames: readonly string[];
  readonly source: YamlSource | undefined;
  /** Where the configuration begins in the source: `["ops"]` in package.json. */
  readonly base: Path;
  private readonly settings: ReadonlyMap<string, EnvironmentSettings>;
  private readonly defaultName: string | undefined;

  constructor(fields: {
    file: string | undefined;
    directory: string;
    stateDirectory: string;
    settings: ReadonlyMap<string, EnvironmentSettings>;
    defaultName: string | undefined;
    source: YamlSource | undefined;
    base: Path;
  }) {
    this.file = fields.file;
    this.directory = fields.directory;
    this.stateDirectory = fields.stateDirectory;
    this.settings = fields.settings;
    this.environmentNames = [...fields.settings.keys()];
    this.defaultName = fields.defaultName;
    this.source = fields.source;
    this.base = fields.base;
  }

  /** The named environment, or the default one. Throws `E_ENVIRONMENT`. */
  environment(wanted?: string): Environment {
    const names = this.environmentNames;
    const name = wanted ?? this.defaultName ?? (names.length === 1 ? names[0] : undefined);
    if (name === undefined) {
      throw new UsageError("E_ENVIRONMENT", "Several environments are configured and none is the default", {
        hint: `add --env with one of: ${names.join(", ")}`,
      });
    }
    return new Environment(name, this.directory, this.settingsOf(name));
  }

  settingsOf(name: string): EnvironmentSettings {
    const found = this.settings.get(name);
    if (found !== undefined) return found;
    throw new UsageError("E_ENVIRONMENT", `There is no environment "${name}"`, {
      hint: suggestion(name, this.environmentNames),
    });
  }
}

/** Finds, reads and checks the configuration. Throws a DiagnosticsError with every mistake in it. */
export async function loadConfig(options: ConfigOptions): Promise<Config> {
  const named = options.file ?? options.variables.OPS_CONFIG;
  const file = named === undefined ? await findConfig(options.cwd) : resolve(options.cwd, named);
  const directory = file === undefined ? options.cwd : dirname(file);
  const loaded = file === undefined ? undefined : await read(file, options.cwd);
  const raw = loaded?.value ?? {};
  const shape = configSchema.safeParse(raw, { reportInput: true });
  if (!shape.success) throw configError(loaded, configSchema, shape.error);

  const parsed = shape.data as Layer & {
    "state-dir": string;
    "default-environment"?: string;
    environments: Record<string, Layer>;
  };
  const names = Object.keys(parsed.environments);
  const fallback = parsed["default-environment"];
  if (fallback !== undefined && names.length > 0 && !names.includes(fallback)) {
    throw new DiagnosticsError("E_CONFIG", [
      diagnostic(
        loaded,
        ["default-environment"],
        `there is no environment "${fallback}"`,
        suggestion(fallback, names),
      ),
    ]);
  }
  const all: Record<string, Layer> =
    names.length === 0 ? { [fallback ?? "default"]: {} } : parsed.environments;
  const settings = new Map<string, EnvironmentSettings>();
  const problems: Diagnostic[] = [];
  for (const [name, own] of Object.entries(all)) {
    const joined = join(parsed, own, options.variables[databaseVariable]);
    const result = environmentSchema.safeParse(joined, { reportInput: true });
    if (result.success) settings.set(name, result.data);
    else problems.push(...environmentDiagnostics(loaded, name, result.error));
  }
  if (problems.length > 0) throw new DiagnosticsError("E_CONFIG", unique(problems));
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
  const { cosmiconfig } = await import("cosmiconfig");
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
      return { shown, value: module.default, source: undefined, base: [] };
    } catch (error) {
      throw new UsageError("E_CONFIG", `The configuration ${shown} cannot be loaded`, { cause: error });
    }
  }
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError("E_CONFIG", `The configuration ${shown} cannot be read`, {
      cause: error,
      hint: "name another one with --config, or start from .opsrc.example",
    });
  }
  const source = new YamlSource(shown, text, "E_CONFIG");
  const whole = source.value ?? {};
  if (basename(file) === "package.json")
    return { shown, value: (whole as Raw).ops ?? {}, source, base: ["ops"] };
  return { shown, value: whole, source, base: [] };
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
  const mapping = (value: unknown): value is Raw =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  return mapping(below) && mapping(above) ? { ...below, ...above } : above;
}

function configError(loaded: Loaded | undefined, schema: z.ZodType, error: z.ZodError): OpsError {
  if (loaded?.source !== undefined) {
    return new DiagnosticsError("E_CONFIG", schemaDiagnostics(loaded.source, schema, error, loaded.base));
  }
  return new DiagnosticsError(
    "E_CONFIG",
    error.issues.map((issue) => diagnostic(loaded, issue.path as Path, issue.message)),
  );
}

/** An issue of a joined environment stands either in the environment's own part of the file or in the shared one. */
function environmentDiagnostics(loaded: Loaded | undefined, name: string, error: z.ZodError): Diagnostic[] {
  const source = loaded?.source;
  if (source === undefined) {
    return error.issues.map((issue) => diagnostic(loaded, issue.path as Path, issue.message));
  }
  return error.issues.flatMap((issue) => {
    const own: Path = [...(loaded?.base ?? []), "environments", name];
    const exact = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path;
    const parent = exact.slice(0, -1);
    const inOwn = source.has([...own, ...(exact as Path)]);
    const inShared = source.has([...(loaded?.base ?? []), ...(exact as Path)]);
    const missingInOwn = !inShared && source.has([...own, ...(parent as Path)]);
    return schemaDiagnostics(
      source,
      environmentSchema,
      new z.ZodError([issue]),
      inOwn || missingInOwn ? own : loaded?.base,
    );
  });
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

function unique(problems: readonly Diagnostic[]): Diagnostic[] {
  const seen = new Map(
    problems.map((each) => [`${each.position.line}:${each.position.column}:${each.message}`, each]),
  );
  return [...seen.values()];
}
