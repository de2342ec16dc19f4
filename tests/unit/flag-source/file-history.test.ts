import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  appendHistory,
  carriedOut,
  confirmHistory,
  readHistory,
} from "../../../src/flag-source/file-history.ts";

const note = { actor: "ann", operation: "flag.kill", run: "r1", reason: "it burns" };
const change = { subject: "flag", name: "checkout", before: "was", after: "killed" } as const;

test.each([
  ["that is the file's present state", { confirmed: false, present: "killed", told: 1 }],
  [
    "that was confirmed, and taken back by hand or by git since",
    { confirmed: true, present: "was", told: 1 },
  ],
  ["that never came, of a writer that was killed", { confirmed: false, present: "was", told: 0 }],
  ["that never came, since somebody else was quicker", { confirmed: false, present: "other", told: 0 }],
])("a change %s", async (_, { confirmed, present, told }) => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "ops-history-"));
  const path = join(folder.path, "flags.history.jsonl");
  const id = await appendHistory(path, note, [change], new Date(0));
  if (confirmed) await confirmHistory(path, id);

  const changes = carriedOut(await readHistory(path), () => present);

  expect(changes).toEqual(Array(told).fill({ at: "1970-01-01T00:00:00.000Z", ...note, ...change }));
});
