import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { Path, YamlSource } from "../core/yaml-source.ts";
import { Environment } from "./environment.ts";
import type { EnvironmentSettings } from "./schema.ts";

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
    return new Environment(name, this.directory, this.settingsOf(name), this.file);
  }

  settingsOf(name: string): EnvironmentSettings {
    const found = this.settings.get(name);
    if (found !== undefined) return found;
    throw new UsageError("E_ENVIRONMENT", `There is no environment "${name}"`, {
      hint: suggestion(name, this.environmentNames),
    });
  }
}
