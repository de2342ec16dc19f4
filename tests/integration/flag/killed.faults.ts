import { expect, test } from "vitest";
import { bundledProgram } from "../../support/bundled-program.ts";
import { killAtEveryStep } from "../../support/flag-kills.ts";
import { databasePlace, filePlace } from "../../support/flag-sources.ts";
import { startTestCluster } from "../../support/postgres.ts";

const writer = bundledProgram(new URL("../../support/flag-writer.ts", import.meta.url));

test("a writer that is killed at any step leaves the old file in YAML or the new one", async () => {
  const place = await filePlace("flags.yaml");
  expect(await killAtEveryStep(place, writer())).toBeGreaterThan(8);
  await place.remove();
});

test("a writer that is killed around any statement leaves the old tables or the new ones", async () => {
  const cluster = await startTestCluster();
  const place = await databasePlace(cluster);
  expect(await killAtEveryStep(place, writer())).toBeGreaterThan(10);
  await place.remove();
  await cluster.stop();
});
