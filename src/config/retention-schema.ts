import { z } from "zod";
import { name, writtenDuration } from "../core/schema.ts";
import { isTimeZone } from "../core/time-zone.ts";

const keptCount = (what: string) =>
  z.int().min(0, "must be 0 or more").max(100_000, "must be at most 100000").describe(what).optional();

/** What `backup prune` keeps in a store. */
export const retentionSchema = z
  .strictObject({
    last: keptCount("Keep the newest so many"),
    within: writtenDuration("Keep what is at most so much older than the newest: 30d").optional(),
    hourly: keptCount("Keep the newest of each of the newest so many hours that have one"),
    daily: keptCount("The same for days"),
    weekly: keptCount("The same for weeks, from Monday on"),
    monthly: keptCount("The same for months"),
    yearly: keptCount("The same for years"),
    "time-zone": z
      .string()
      .refine(isTimeZone, {
        error: "is not a time zone that this machine knows",
        params: { hint: "write an IANA name: Europe/Berlin, UTC" },
      })
      .default("UTC")
      .describe("Where a day begins: Europe/Berlin"),
  })
  .refine((each) => Object.entries(each).some(([key, rule]) => key !== "time-zone" && rule !== undefined), {
    error: "needs at least one rule",
    params: { hint: "write for example: { daily: 7, weekly: 4, monthly: 12 }" },
  });

/** What `backup status` expects to find in a store. */
export const expectSchema = z.strictObject({
  "max-age": writtenDuration("Overdue when the newest whole backup is older; default: 25h").default("25h"),
  databases: z
    .array(name("A database"))
    .optional()
    .describe("Databases that must have a backup here; default: those that have one"),
});
