import { FlagdCore } from "@openfeature/flagd-core";

type Rows = readonly Readonly<Record<string, unknown>>[];

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

/**
 * Flags as an application reads them from the tables in docs/flags.md, by the OpenFeature project's own evaluation, in
 * its process. It asks for them with every request: a flag that is killed is off with the next one.
 */
export class SampleFlags {
  private readonly core = new FlagdCore(undefined, silent);
  private readonly query: (sql: string) => Promise<Rows>;
  private loaded = "";

  constructor(query: (sql: string) => Promise<Rows>) {
    this.query = query;
  }

  /** A flag that nobody has set yet, and tables that are not there yet, are off. */
  async isOn(flag: string, user: string): Promise<boolean> {
    const text = await this.document();
    if (text !== this.loaded) this.core.setConfigurations(text);
    this.loaded = text;
    return this.core.resolveBooleanEvaluation(flag, false, { targetingKey: user }).value;
  }

  /** Asked for first whether there are tables: a query of a missing one would fill the server's log. */
  private async document(): Promise<string> {
    const [tables] = await this.query("SELECT to_regclass('ops.flag_change') IS NOT NULL AS made");
    if (tables?.made !== true) return '{"flags":{}}';
    const [row] = await this.query(`SELECT json_build_object(
      'flags', (SELECT coalesce(json_object_agg(name, definition ORDER BY name), '{}') FROM ops.flag),
      '$evaluators', (SELECT coalesce(json_object_agg(name, definition ORDER BY position), '{}')
                        FROM ops.flag_shared WHERE kind = 'segment'))::text AS document`);
    return String(row?.document);
  }
}
