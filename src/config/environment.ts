import { resolve } from "node:path";
import { canonicalJson, digest } from "../core/digest.ts";
import { type Json, UsageError } from "../core/errors.ts";
import { redactUrlPasswords } from "../core/redaction.ts";
import { suggestion } from "../core/suggestion.ts";
import { type FlagSourceTarget, flagMetricsTarget, flagSourceTarget } from "./flag-source-target.ts";
import { type GateSettings, gateSettings } from "./gate-file.ts";
import type { MetricsTarget } from "./metrics-target.ts";
import { type NotificationTarget, notificationTarget } from "./notification-target.ts";
import { type PgBackRestTarget, pgBackRestTarget } from "./pgbackrest-target.ts";
import { type PoolTarget, poolSettings, poolTarget } from "./pool-target.ts";
import { placeOfRoute, type RouteTarget, routeTarget } from "./route-target.ts";
import type {
  BaselineSettings,
  DatabaseSettings,
  EnvironmentSettings,
  LoadSettings,
  NotifyRule,
  ScheduleSettings,
  TargetKind,
} from "./schema.ts";
import { Secret } from "./secret.ts";
import { placeOfStore, type StoreTarget, storeTarget } from "./store-target.ts";
import { type NamedKind, singular } from "./target-words.ts";
import type { WatchSettings } from "./watch-schema.ts";

export type { FlagSourceTarget } from "./flag-source-target.ts";
export type { EmailTarget, NotificationTarget } from "./notification-target.ts";
export type { PgBackRestTarget } from "./pgbackrest-target.ts";
export type { PoolConfigurationTarget, PoolTarget, ReloadTarget } from "./pool-target.ts";
export type {
  AlbRouteTarget,
  ExecRouteTarget,
  GatewayRouteTarget,
  HaproxyRouteTarget,
  NginxRouteTarget,
  RouteTarget,
} from "./route-target.ts";
export type { FileStoreTarget, S3StoreTarget, StoreTarget } from "./store-target.ts";

/** A PostgreSQL database. */
export interface DatabaseTarget {
  readonly name: string;
  readonly url: Secret;
  readonly password: Secret | undefined;
  /** Absolute path of the folder of migration files. */
  readonly migrations: string;
  /** Undefined: the form that the files have. */
  readonly migrationsFormat?: DatabaseSettings["migrations-format"];
  readonly migrationsPolicy?: DatabaseSettings["migrations-policy"];
  readonly migrationsPlaceholders?: DatabaseSettings["migrations-placeholders"];
  /** Undefined: the database's cluster is not archived. */
  readonly pitr?: PitrTarget | undefined;
}

/** What makes the base backups of a database's cluster and archives its WAL, and where to. */
export type PitrTarget = OpsPitrTarget | PgBackRestTarget;

export interface OpsPitrTarget {
  readonly engine: "ops";
  /** At least one; WAL is archived once it is in all of them. */
  readonly stores: readonly StoreTarget[];
  /** zstd level of archived WAL, 1 to 19. */
  readonly compression: number;
  /** URL of a standby that base backups are read from; undefined: the primary. */
  readonly standby?: Secret | undefined;
  /** How far back one must be able to go, as it is written: `14d`; undefined: nothing expires. */
  readonly window?: string | undefined;
  /** Whether nothing dangerous is done without one. */
  readonly restorePoints: "require" | "never";
  /** The physical replication slot that `ops wal receive` reads from. */
  readonly slot: string;
}

/** One environment of the configuration: its targets, looked up by name. */
export class Environment {
  readonly name: string;
  /** Absolute path of the folder the configuration file is in; relative paths start here. */
  readonly directory: string;
  /** Absolute path of the configuration file; undefined where there is none. */
  readonly file: string | undefined;
  private readonly settings: EnvironmentSettings;

  constructor(name: string, directory: string, settings: EnvironmentSettings, file?: string) {
    this.file = file;
    this.name = name;
    this.directory = directory;
    this.settings = settings;
  }

  names(kind: TargetKind): string[] {
    return Object.keys(this.settings[kind]);
  }

  /** Without a name: the only one, or the one called `main`. Throws `E_TARGET` where there is none. */
  database(name?: string): DatabaseTarget {
    const [found, settings] = this.find("databases", name, "main");
    return {
      name: found,
      url: new Secret(settings.url, this.directory),
      password: settings.password === undefined ? undefined : new Secret(settings.password, this.directory),
      migrations: resolve(this.directory, settings.migrations),
      migrationsFormat: settings["migrations-format"],
      migrationsPolicy: settings["migrations-policy"],
      migrationsPlaceholders: settings["migrations-placeholders"],
      pitr: this.pitr(found, settings.pitr),
    };
  }

  store(name?: string): StoreTarget {
    const [found, settings] = this.find("stores", name, "local");
    return storeTarget(found, settings, this.directory);
  }

  /** The environment variables that the settings of these stores refer to: `env:NAME`. */
  storeVariables(names: readonly string[]): string[] {
    const settings = JSON.stringify(names.map((each) => this.settings.stores[each]));
    return [...settings.matchAll(/"env:(\w+)"/g)].flatMap(([, variable]) => variable ?? []);
  }

  route(name?: string): RouteTarget {
    const [found, settings] = this.find("routes", name, "web");
    return routeTarget(found, settings, this.directory, (database) => this.database(database));
  }

  /** The configured pools, and every route over HAProxy: its servers are a pool of its name. */
  pool(name?: string): PoolTarget {
    const all = poolSettings(this.settings.pools, this.settings.routes);
    const [found, settings] = this.choose("pools", all, name, "web");
    return poolTarget(found, settings, this.settings.routes, this.directory);
  }

  poolNames(): string[] {
    return Object.keys(poolSettings(this.settings.pools, this.settings.routes));
  }

  /** Without any flag source configured: the default database holds the flags. */
  flagSource(name?: string): FlagSourceTarget {
    if (name === undefined && this.names("flag-sources").length === 0) {
      return { name: "default", driver: "postgres", database: this.database(), token: undefined };
    }
    const [found, settings] = this.find("flag-sources", name, "default");
    return flagSourceTarget(found, settings, this.directory, (database) => this.database(database));
  }

  /** What counts a flag's requests by variant; undefined where its source names nothing that does. */
  flagMetrics(
    name: string | undefined,
    flag: string,
    variants: readonly string[],
  ): MetricsTarget | undefined {
    if (name === undefined && this.names("flag-sources").length === 0) return undefined;
    const [found, { metrics }] = this.find("flag-sources", name, "default");
    if (metrics === undefined) return undefined;
    const place = { source: found, flag, variants, directory: this.directory };
    return flagMetricsTarget(metrics, place, (database) => this.database(database));
  }

  /** Throws `E_GATE_FILE` where the file that the gate names cannot be used. */
  gate(name: string): GateSettings {
    const [found, entry] = this.find("gates", name, "default");
    return gateSettings(found, entry, this.directory);
  }

  schedule(name: string): ScheduleSettings {
    return this.find("schedules", name, "default")[1];
  }

  notification(name: string): NotificationTarget {
    const [found, settings] = this.find("notifications", name, "default");
    return notificationTarget(found, settings, this.directory);
  }

  /** Who is told of what, in the order in which it is written. */
  notifyRules(): { readonly name: string; readonly rule: NotifyRule }[] {
    return Object.entries(this.settings.notify).map(([name, rule]) => ({ name, rule }));
  }

  /** SHA-256 of everything that can be measured: all settings but those of gates, schedules, watches and notices. */
  digest(): string {
    const {
      gates: _gates,
      schedules: _schedules,
      notifications: _notifications,
      notify: _notify,
      watches: _watches,
      ...places
    } = this.settings;
    return digest(redactUrlPasswords(canonicalJson(places as Json)));
  }

  watch(name: string): WatchSettings {
    return this.find("watches", name, "default")[1];
  }

  load(name?: string): { readonly name: string } & LoadSettings {
    const [found, settings] = this.find("loads", name, "default");
    return { ...settings, name: found };
  }

  /** Servers that load may be made on, as origins; undefined where nobody has said any. */
  get loadTargets(): readonly string[] | undefined {
    return this.settings.load.allow?.map((each) => new URL(each).origin);
  }

  baseline(name: string): BaselineSettings {
    return this.find("baselines", name, "default")[1];
  }

  /** Names of the environment variables that secrets of this environment come from. */
  variables(): string[] {
    const found = JSON.stringify(this.settings).matchAll(/"(?:[A-Z][a-z]+ )?env:([A-Za-z_][A-Za-z0-9_]*)"/g);
    return [...new Set([...found].map((each) => each[1] ?? ""))].sort();
  }

  /**
   * Where each target is (`databases.main` → `db.internal:5432/shop`), without secrets. `unknown` for one whose
   * secret cannot be had.
   */
  async places(): Promise<Record<string, string>> {
    const databases = this.names("databases").map(async (name) => {
      const place = await this.database(name)
        .url.reveal()
        .then((url) => new URL(url))
        .catch(() => "unknown");
      return [`databases.${name}`, typeof place === "string" ? place : place.host + place.pathname] as const;
    });
    const stores = this.names("stores").map(
      (name) => [`stores.${name}`, placeOfStore(this.store(name))] as const,
    );
    const routes = this.names("routes").map(
      async (name) => [`routes.${name}`, await placeOfRoute(this.route(name))] as const,
    );
    const pools = this.names("pools").map((name) => {
      const { socket, backend } = this.pool(name);
      return [`pools.${name}`, `${socket} ${backend}`] as const;
    });
    return Object.fromEntries([
      ...(await Promise.all(databases)),
      ...stores,
      ...(await Promise.all(routes)),
      ...pools,
    ]);
  }

  private pitr(database: string, settings: DatabaseSettings["pitr"]): PitrTarget | undefined {
    if (settings === undefined) return undefined;
    if (settings.engine === "pgbackrest") return pgBackRestTarget(database, settings, this.directory);
    const { engine, store, stores, compression } = settings;
    const slot = settings.slot ?? `ops_${database.toLowerCase().replace(/[^a-z0-9_]/g, "_")}`.slice(0, 63);
    return {
      engine,
      compression,
      slot,
      standby: settings.standby === undefined ? undefined : new Secret(settings.standby, this.directory),
      window: settings.window,
      stores: (stores ?? [store]).map((each) => this.store(each)),
      restorePoints: settings["restore-points"],
    };
  }

  private find<K extends NamedKind>(
    kind: K,
    name: string | undefined,
    usual: string,
  ): [string, EnvironmentSettings[K][string]] {
    const all = this.settings[kind] as Record<string, EnvironmentSettings[K][string]>;
    return this.choose(kind, all, name, usual);
  }

  private choose<T>(
    kind: NamedKind,
    all: Readonly<Record<string, T>>,
    name: string | undefined,
    usual: string,
  ): [string, T] {
    const names = Object.keys(all);
    const wanted = name ?? (names.length === 1 ? names[0] : usual);
    const found = wanted === undefined || !Object.hasOwn(all, wanted) ? undefined : all[wanted];
    if (wanted !== undefined && found !== undefined) return [wanted, found];
    const what = singular[kind];
    if (names.length === 0) {
      throw new UsageError("E_TARGET", `The environment ${this.name} has no ${what}`, {
        hint: `add one under "${kind}:" in .opsrc (see .opsrc.example)`,
      });
    }
    if (name === undefined) {
      throw new UsageError(
        "E_TARGET",
        `The environment ${this.name} has several ${what}s and none is called ${usual}`,
        {
          hint: `name one of: ${names.join(", ")}`,
        },
      );
    }
    throw new UsageError("E_TARGET", `The environment ${this.name} has no ${what} "${name}"`, {
      hint: suggestion(name, names),
    });
  }
}
