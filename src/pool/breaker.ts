import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import type { BackendState } from "../haproxy/backend-state.ts";
import { defineOperation } from "../run/operation.ts";
import { openPool, type Pool, poolLocks } from "./pool.ts";
import { type Section, sameSection } from "./section.ts";
import { changeSection, observeSection, requireConfiguration, type SectionBefore } from "./section-change.ts";

const input = z.strictObject({
  state: z.enum(["on", "off"]).describe("Whether servers whose requests fail are taken out"),
  pool: name("The pool; default: the only one, or the one called web").optional(),
  errors: z
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe("Failed requests in a row that take a server out: 5xx, broken and refused connections"),
  passes: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('Health checks in a row that bring it back; haproxy.cfg\'s own "rise" of a server goes before'),
  "slow-start": duration("How long it takes a server that came back to get its whole share").prefault("0s"),
});
type BreakerInput = z.output<typeof input>;

type BreakerBefore = { pool: string; section: SectionBefore };

export const breaker = defineOperation({
  name: "pool.breaker",
  summary: "Let HAProxy take a server out whose requests fail, and probe it back in",
  example: "pool breaker on --errors 10 --slow-start 30s",
  effect: "change",
  input,
  positional: ["state"],
  output: z.object({
    pool: z.string(),
    breaker: z.string().nullable().describe("The line of haproxy.cfg; null: there is none"),
    reloaded: z.boolean(),
  }),
  targets: ({ pool }, environment) => {
    const { configuration } = environment.pool(pool);
    const file = configuration === undefined ? [] : [`haproxy:${configuration.file}`];
    return [...poolLocks(environment, pool), ...file];
  },
  async observe(context, { pool: poolName, state: wanted }): Promise<BreakerBefore> {
    const pool = openPool(context.environment, poolName);
    const configured = requireConfiguration(pool, "its limits");
    const state = await pool.read(context.signal);
    if (wanted === "on") requireChecks(pool, state);
    return { pool: pool.target.name, section: await observeSection(configured, state) };
  },
  plan({ pool, section }, given) {
    const target = `pool:${pool}`;
    if (!sameSection(wantedSection(section, given), section.section)) {
      const summary = `${describe(given)}: write ${section.file} and reload HAProxy`;
      const from = section.section.breaker ?? "no limits";
      const to = wantedSection(section, given).breaker ?? "no limits";
      return [{ target, action: "update", summary, from, to }];
    }
    if (section.loaded) return [];
    return [{ target, action: "run", summary: `reload HAProxy, which has not loaded ${section.file} yet` }];
  },
  async apply(context, given, { pool: poolName, section }, report) {
    const pool = requireConfiguration(openPool(context.environment, poolName), "its limits");
    const wanted = wantedSection(section, given);
    const own = [section.section, wanted];
    const outcome = await changeSection(context, pool, section, wanted, own, report);
    return { pool: poolName, breaker: wanted.breaker, reloaded: outcome === "reloaded" };
  },
  async undo(context, given, { pool: poolName, section }, report) {
    const pool = requireConfiguration(openPool(context.environment, poolName), "its limits");
    const own = [section.section, wantedSection(section, given)];
    await changeSection(context, pool, section, section.section, own, report);
    return { undone: true, note: `pool ${poolName}: ${section.section.breaker ?? "no limits"}` };
  },
  render({ pool, breaker: line, reloaded }) {
    return `pool ${pool}: ${line ?? "failing requests take no server out"}${reloaded ? ", HAProxy reloaded" : ""}`;
  },
});

function wantedSection({ section }: SectionBefore, given: BreakerInput): Section {
  return { ...section, breaker: given.state === "on" ? breakerLine(given) : null };
}

function breakerLine({ errors, passes, "slow-start": slowStart }: BreakerInput): string {
  const limits = `default-server observe layer7 error-limit ${errors} on-error mark-down rise ${passes}`;
  return slowStart === 0 ? limits : `${limits} slowstart ${slowStart}ms`;
}

function describe({ state, errors, passes, "slow-start": slowStart }: BreakerInput): string {
  if (state === "off") return "take no server out for its failing requests";
  const slowly = slowStart === 0 ? "" : `, with its whole share after ${formatDuration(slowStart)}`;
  return `take a server out after ${errors} failing requests in a row, and back after ${passes} good health checks${slowly}`;
}

/** Nothing would bring a server back that has no health checks. */
function requireChecks({ target }: Pool, { servers }: BackendState): void {
  const unchecked = servers.filter(({ checked }) => !checked).map(({ name: server }) => server);
  if (unchecked.length === 0) return;
  throw new UsageError(
    "E_SERVER_UNCHECKED",
    `${unchecked.join(", ")} of pool ${target.name} has no health checks: nothing would bring it back`,
    { hint: 'add "check" to the server lines of haproxy.cfg, or to their default-server line' },
  );
}
