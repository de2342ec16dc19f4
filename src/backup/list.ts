import { z } from "zod";
import { columns } from "../core/columns.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { defineOperation } from "../run/operation.ts";
import { plainScreen, type Screen } from "../run/screen.ts";
import { formatAge } from "./age.ts";
import { type BackupOverview, overviewSchema, readOverview } from "./overview.ts";

export const list = defineOperation({
  name: "backup.list",
  summary: "List the backups of a store, newest first",
  example: "backup list --store local",
  effect: "read",
  input: z.strictObject({
    store: name("The store").optional(),
    database: name("Only the backups of this database").optional(),
  }),
  output: z.object({ store: z.string(), backups: z.array(overviewSchema) }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const target = context.environment.store(input.store);
    const all = await readOverview(target, context.clock.now());
    return {
      store: target.name,
      backups: all.filter((each) => input.database === undefined || each.database === input.database),
    };
  },

  render({ store, backups }, screen = plainScreen) {
    if (backups.length === 0) return `The store ${store} has no backups`;
    const rows = backups.map((each) => [
      each.id,
      each.environment ?? "?",
      each.ageMs === null ? "?" : formatAge(each.ageMs),
      each.bytes === null ? "?" : formatBytes(each.bytes),
      remarks(each, screen),
    ]);
    const heading = ["ID", "ENVIRONMENT", "AGE", "SIZE", ""];
    const lines = columns([heading, ...rows], new Set([2, 3]));
    return lines
      .flatMap((line, index) => {
        const reason = backups[index - 1]?.reason ?? null;
        return reason === null ? [line] : [line, `  ${screen.color.red("!")} ${reason}`];
      })
      .join("\n");
  },
});

function remarks(backup: BackupOverview, { color }: Screen): string {
  const parts = [
    ...(backup.status === "broken" ? [color.red("BROKEN")] : []),
    ...(backup.part === true ? ["part"] : []),
    ...(backup.hold === null ? [] : [color.cyan("held")]),
    ...(backup.drill?.verdict === "pass" ? [color.green("drilled")] : []),
    ...(backup.drill?.verdict === "fail" ? [color.red("DRILL FAILED")] : []),
  ];
  return parts.join(", ");
}
