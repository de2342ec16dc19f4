import { FlagdProvider } from "@openfeature/flagd-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { expect, onTestFinished, test } from "vitest";
import { contextOf, flag } from "../../support/flag-operations.ts";
import { filePlace } from "../../support/flag-sources.ts";

test("flagd's provider in the application's process reads the file, and a killed flag is off in it", async () => {
  const place = await filePlace("flags.json");
  const context = contextOf(place);
  const run = (verb: string, input: object) => flag(context, verb, { flag: "checkout", ...input });
  await run("set", { rollout: "0%" });
  await run("allow", { customers: ["acme"], by: "customer" });
  const begin = () =>
    OpenFeature.setProviderAndWait(
      new FlagdProvider({ resolverType: "in-process", offlineFlagSourcePath: place.file ?? "" }),
    );
  await begin();
  onTestFinished(async () => {
    await OpenFeature.close();
    await place.remove();
  });
  const client = OpenFeature.getClient();
  const has = (customer: string) =>
    client.getBooleanValue("checkout", false, { targetingKey: "1", customer });
  expect([await has("acme"), await has("globex")]).toEqual([true, false]);
  await run("kill", { reason: "payments fail" });
  // It looks at the file every five seconds; one that begins reads it at once.
  await begin();
  expect(await has("acme")).toBe(false);
});
