import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { Evaluator } from "../../src/flag-source/evaluator.ts";
import type { FlagPlace } from "./flag-sources.ts";
import { sql } from "./flag-sources.ts";

/** Milliseconds between two rounds of requests. */
const every = 40;

export interface ShopOptions {
  readonly flag: string;
  /** Where its requests are noted: one row each. */
  readonly url: string;
}

/** Counts of a flag's requests by variant, over the table that a shop fills: what stands under `metrics:`. */
export const shopMetrics = {
  source: "sql",
  query: `SELECT variant AS version, count(*) AS requests, count(*) FILTER (WHERE bad) AS bad
            FROM request WHERE flag = '{{flag}}' GROUP BY variant`,
  every: "50ms",
  "max-age": "2s",
};

/** An application with 100 users: each asks for the flag and notes the variant that it got, and how that went. */
export class Shop implements AsyncDisposable {
  /** Every how manyth request with the variant `on` goes wrong; 0: none. */
  failEvery = 0;
  /** What each user had, round by round. */
  readonly rounds: ReadonlySet<number>[] = [];
  private readonly place: FlagPlace;
  private readonly options: ShopOptions;
  private readonly running: Promise<void>;
  private isOpen = true;
  private served = 0;

  constructor(place: FlagPlace, options: ShopOptions) {
    this.place = place;
    this.options = options;
    this.running = this.serve();
  }

  static async prepare(url: string): Promise<void> {
    await sql(
      url,
      "CREATE TABLE IF NOT EXISTS request (flag text, variant text, bad boolean); TRUNCATE request",
    );
  }

  /** Throws what made serving impossible. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.isOpen = false;
    await this.running;
  }

  private async serve(): Promise<void> {
    const { flag, url } = this.options;
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const source = this.place.open();
    try {
      while (this.isOpen) {
        const evaluator = new Evaluator();
        evaluator.load(await source.read());
        const variants = Array.from({ length: 100 }, (_, user) =>
          evaluator.evaluate(flag, { targetingKey: String(user) }),
        ).map(({ variant }) => variant ?? "off");
        this.rounds.push(new Set(variants.flatMap((each, user) => (each === "on" ? [user] : []))));
        const bad = variants.map((variant) => variant === "on" && this.goesWrong());
        await client.query("INSERT INTO request SELECT $1, * FROM unnest($2::text[], $3::boolean[])", [
          flag,
          variants,
          bad,
        ]);
        await delay(every);
      }
    } finally {
      await source.close();
      await client.end();
    }
  }

  private goesWrong(): boolean {
    this.served += 1;
    return this.failEvery > 0 && this.served % this.failEvery === 0;
  }
}
