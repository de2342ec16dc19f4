import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { abortRecorded } from "../rollout/asked.ts";
import { formatShares, sharesOf } from "../rollout/shares.ts";
import { defineOperation } from "../run/operation.ts";
import { formatInFlight, stillAt } from "./canary-drain.ts";
import { CanaryFiles, type CanaryRecord } from "./canary-record.ts";
import { openRoute } from "./route.ts";
import { dismissTesters } from "./testers.ts";

const output = z.object({
  route: z.string(),
  version: z
    .string()
    .nullable()
    .describe("The version that the canary had given traffic; null: there was none"),
  run: z.string().nullable().describe("The canary's run"),
  weights: z.record(z.string(), z.number()).describe("As they are now"),
  inFlight: z
    .number()
    .nullable()
    .describe("Requests still at the version; null where the balancer does not tell"),
  acknowledged: z.boolean().describe("Whether the canary has ended, or had ended before"),
});

export const abort = defineOperation({
  name: "traffic.abort",
  summary: "Give all traffic of a route's canary back, at once and whatever it is doing",
  example: "traffic abort web --reason 'customers cannot check out'",
  effect: "change",
  // It must work beside the run that holds the route's lock, which journals what became of it.
  journaled: false,
  input: z.strictObject({
    route: name("The route; default: the only one, or the one called web").optional(),
    reason: z.string().min(1).optional().describe("Why; it is journaled with the canary's run"),
    lease: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional()
      .describe("Only this attempt of a canary: its watchdog gives it; another one is left alone"),
  }),
  positional: ["route"],
  output,
  async observe(context, { route, lease }): Promise<{ route: string; record: CanaryRecord | null }> {
    const { target } = openRoute(context.environment, route);
    const files = new CanaryFiles(context, target.name);
    const record = await files.read();
    if (record === undefined && lease === undefined) {
      const last = await files.readLast();
      throw new UsageError(
        "E_NO_CANARY",
        `No canary of route ${target.name} has traffic, as far as this machine knows`,
        {
          hint:
            last === undefined
              ? "set the weights yourself: ops traffic shift; or take its run back: ops runs list, ops runs rollback"
              : `the last one is over, and ${last.version} keeps what it got; take it back: ops runs rollback ${last.run}`,
        },
      );
    }
    const isMeant = record !== undefined && (lease === undefined || record.token === lease);
    return { route: target.name, record: isMeant ? record : null };
  },
  plan: ({ route, record }) =>
    record === null
      ? []
      : [
          {
            target: `route:${route}`,
            action: "update",
            summary: `give the traffic of ${record.version} back, as it was before its canary`,
            to: sharesOf(record.before),
          },
        ],
  async apply(context, { reason }, { route, record }, report) {
    const { target, driver } = openRoute(context.environment, route);
    const files = new CanaryFiles(context, route);
    if (record === null) {
      return {
        route,
        version: null,
        run: null,
        weights: await driver.weights(context.signal),
        inFlight: null,
        acknowledged: true,
      };
    }
    const { version, run } = record;
    const giveBack = async () => {
      await driver.setWeights(record.before, context.signal);
      await dismissTesters(target, version, context.signal);
    };
    const acknowledged = await abortRecorded(context, files, record, reason, giveBack, () =>
      report.progress({ message: "the traffic is back; waiting for the canary to end" }),
    );
    const weights = await driver.weights(context.signal);
    const inFlight = (await stillAt(driver, version))?.[version] ?? null;
    return { route, version, run, weights, inFlight, acknowledged };
  },
  render({ route, version, weights, inFlight, acknowledged }) {
    if (version === null) return `route ${route}: nothing to abort; ${formatShares(weights)}`;
    const left = formatInFlight(inFlight === null ? null : { [version]: inFlight });
    const underWay = left === undefined ? "" : `; still under way: ${left}`;
    const heard = acknowledged
      ? ""
      : "; its process has not answered yet, and gives nothing to it when it does";
    return `route ${route}: ${formatShares(weights)}; the canary of ${version} is aborted${heard}${underWay}`;
  },
});
