import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { diagnose } from "../../../src/doctor/diagnose.ts";
import { observeShare } from "../../../src/rollout/confidence.ts";
import type { Weights } from "../../../src/rollout/shares.ts";
import { sharesOf } from "../../../src/rollout/shares.ts";
import { openRoute } from "../../../src/traffic/route.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { status } from "../../../src/traffic/status.ts";
import type { TrafficDriver } from "../../../src/traffic/traffic-driver.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";

/** A balancer with a route `web` of the versions `blue` and `green`, as the contract tests need it. */
export interface ContractSubject extends AsyncDisposable {
  /** As `.opsrc` would name it. */
  settings(): object;
  /** Which version answers one request: `blue` or `green`; anything else where none does. */
  answer(): Promise<string>;
  /** Everything of the balancer's configuration that is not the route's weights, as one text. */
  rest(): Promise<string>;
  /** Somebody else gives the versions other weights than a share of 10% or 50% has, or edits what the driver owns. */
  meddle(): Promise<void>;
  /** All for blue, whatever happened before. */
  reset(): Promise<void>;
  /** The settings with which every set is refused, until the function is called. */
  refuseSets(): Promise<{ readonly settings: object; readonly end: () => Promise<void> }>;
  /** Nothing answers until the function is called. */
  goAway(): Promise<() => Promise<void>>;
}

/** What every driver promises (docs/decisions/0059). */
export function driverContract(start: () => Promise<ContractSubject>): void {
  let subject: ContractSubject;
  beforeAll(async () => {
    subject = await start();
  });
  afterAll(async () => {
    await subject?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await subject.reset();
  });

  const driver = (settings = subject.settings()): TrafficDriver =>
    openRoute(testContext(settings).environment, "web").driver;
  const answers = async (count: number) => Promise.all(Array.from({ length: count }, () => subject.answer()));
  const all: Weights = { blue: 100, green: 0 };
  /** These shares as weights of this driver. */
  const weightsOf = (blue: number): Weights => {
    const { scale } = driver();
    const whole = scale.total ?? 100;
    return { blue: (whole * blue) / 100, green: (whole * (100 - blue)) / 100 };
  };

  describe("the contract of a driver", () => {
    test("what is set is read back, and shows in the requests", async () => {
      await driver().setWeights(weightsOf(90));

      expect(await driver().weights()).toEqual(weightsOf(90));
      const seen = await answers(400);
      const green = seen.filter((each) => each === "green").length;
      expect(seen.filter((each) => each !== "green" && each !== "blue")).toEqual([]);
      expect(observeShare(green, seen.length, 0.1)).toMatchObject({ verdict: "agrees" });
    });

    test("0% and 100% are exact, weights are absolute, and nothing else is touched", async () => {
      const rest = await subject.rest();

      await driver().setWeights(weightsOf(0));
      const without = new Set(await answers(100));
      await driver().setWeights(weightsOf(50));
      await driver().setWeights(weightsOf(50));
      const between = await driver().weights();
      await driver().setWeights(weightsOf(100));
      const back = new Set(await answers(100));

      expect(without).toEqual(new Set(["green"]));
      expect(between).toEqual(weightsOf(50));
      expect(back).toEqual(new Set(["blue"]));
      expect(sharesOf(await driver().weights())).toEqual(all);
      expect(await subject.rest()).toBe(rest);
    });

    test("a change by somebody else stops a shift, and is left as it is", async () => {
      const context = testContext(subject.settings());
      const input = shift.input.parse({ to: "green", share: "10%", confirm: "0s" });
      const before = await shift.observe(context, input);
      await subject.meddle();
      const [rest, weights] = [await subject.rest(), await driver().weights().catch(codeOf)];

      await expect(shift.apply(context, input, before, new RecordingReport())).rejects.toMatchObject({
        code: "E_TRAFFIC_DRIFT",
        hint: expect.any(String),
      });

      expect(await driver().weights().catch(codeOf)).toEqual(weights);
      expect(await subject.rest()).toBe(rest);
    });

    test("who says which weights it saw changes nothing where they are others by now", async () => {
      const set = driver().setWeights(weightsOf(50), undefined, weightsOf(90));

      await expect(set).rejects.toMatchObject({ code: "E_TRAFFIC_DRIFT" });

      expect(sharesOf(await driver().weights())).toEqual(all);
    });

    test("a set that is refused says why, and leaves the weights", async () => {
      const { settings, end } = await subject.refuseSets();
      try {
        await expect(driver(settings).setWeights(weightsOf(50))).rejects.toMatchObject({
          code: expect.stringMatching(/^E_/),
          hint: expect.any(String),
        });
      } finally {
        await end();
      }

      expect(sharesOf(await driver().weights())).toEqual(all);
      expect(new Set(await answers(50))).toEqual(new Set(["blue"]));
    });

    // The one that was told that it went well may have been through before the other one wrote: who is told otherwise sets again.
    test("of two sets at once one has it whole, or one is told that it has not", async () => {
      const wanted = [weightsOf(90), weightsOf(50)];

      const done = await Promise.allSettled(wanted.map((each) => driver().setWeights(each)));

      const present = await driver().weights();
      const refused = done.filter(({ status: how }) => how === "rejected");
      if (refused.length === 0) expect(wanted).toContainEqual(present);
      await driver().setWeights(weightsOf(90));
      expect(await driver().weights()).toEqual(weightsOf(90));
    });

    test("a balancer that is away is a clear error, and works again when it is back", async () => {
      const comeBack = await subject.goAway();
      try {
        for (const act of [
          () => driver().weights(),
          () => driver().states(),
          () => driver().setWeights(weightsOf(50)),
        ]) {
          await expect(act()).rejects.toMatchObject({
            name: "OpsError",
            code: expect.stringMatching(/^E_/),
            hint: expect.any(String),
          });
        }
      } finally {
        await comeBack();
      }

      expect(sharesOf(await driver().weights())).toEqual(all);
    });

    test("an abort of the signal ends it with the signal's reason", async () => {
      const reason = new Error("no more");

      await expect(driver().setWeights(weightsOf(50), AbortSignal.abort(reason))).rejects.toBe(reason);

      expect(sharesOf(await driver().weights())).toEqual(all);
    });
  });

  describe("the operations over it", () => {
    test("a shift is undone to what it found", async () => {
      const done = await perform(shift, testContext(subject.settings()), {
        to: "green",
        share: "50%",
        confirm: "0s",
      });
      const between = sharesOf(await driver().weights());
      await done.undo();

      expect(between).toEqual({ blue: 50, green: 50 });
      expect(sharesOf(await driver().weights())).toEqual(all);
    });

    test("the status shows both versions, and ops doctor finds nothing to mend", async () => {
      const context = testContext(subject.settings());

      const { output } = await perform(status, context, {});
      const findings = await diagnose({ environment: context.environment });

      expect(output).toMatchObject({
        route: "web",
        versions: [
          { version: "blue", share: 100 },
          { version: "green", share: 0 },
        ],
      });
      expect(status.render?.(status.output.parse(output))).toContain("route web");
      expect(findings.filter(({ subject: what }) => what === "route web")).toMatchObject([{ status: "ok" }]);
    });
  });
}

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  throw error;
}
