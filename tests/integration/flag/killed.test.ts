import { expect, test } from "vitest";
import { bundledProgram } from "../../support/bundled-program.ts";
import { killAtEveryStep } from "../../support/flag-kills.ts";
import { filePlace } from "../../support/flag-sources.ts";

const writer = bundledProgram(new URL("../../support/flag-writer.ts", import.meta.url));

test("a writer that is killed at any step leaves the old file or the new one", async () => {
  const place = await filePlace("flags.json");
  expect(await killAtEveryStep(place, writer())).toBeGreaterThan(8);
  await place.remove();
});
