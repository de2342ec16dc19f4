import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import type { Assessment, Standing } from "./assessment.ts";
import type { Problem } from "./problem.ts";

/** What to do about files that do not fit the history; `error` where nothing is said. */
export interface Policies {
  /** allow: apply them; warn: apply them and say so; ignore: leave them pending. */
  readonly "out-of-order": "error" | "allow" | "warn" | "ignore";
  readonly missing: "error" | "warn" | "ignore";
  readonly edited: "error" | "warn" | "ignore";
}

const standard = "default: what .opsrc says under migrations-policy, else error";

export const policyFields = {
  "out-of-order": z
    .enum(["error", "allow", "warn", "ignore"])
    .optional()
    .describe(
      `A file that is not applied but older than one that is (allow and warn apply it, ignore leaves it); ${standard}`,
    ),
  missing: z
    .enum(["error", "warn", "ignore"])
    .optional()
    .describe(`An applied version without a file; ${standard}`),
  edited: z
    .enum(["error", "warn", "ignore"])
    .optional()
    .describe(`A file that was changed after it was applied; ${standard}`),
};

type PolicyInput = { [K in keyof Policies]?: Policies[K] | undefined };

export function policies(input: PolicyInput, target: DatabaseTarget): Policies {
  const configured = target.migrationsPolicy;
  return {
    "out-of-order": input["out-of-order"] ?? configured?.["out-of-order"] ?? "error",
    missing: input.missing ?? configured?.missing ?? "error",
    edited: input.edited ?? configured?.edited ?? "error",
  };
}

export interface Judgement {
  /** Why nothing may run. */
  readonly problems: readonly Problem[];
  /** What is worth a line although it runs. */
  readonly warnings: readonly Problem[];
  /** What may run, oldest first. */
  readonly waiting: readonly Extract<Standing, { state: "pending" | "out-of-order" }>[];
}

export function judge({ standings, problems }: Assessment, policy: Policies): Judgement {
  const answer = (problem: Problem) =>
    isPolicy(problem.kind, policy) ? policy[problem.kind] : ("error" as const);
  return {
    problems: problems.filter((each) => answer(each) === "error"),
    warnings: problems.filter((each) => answer(each) === "warn"),
    waiting: standings.flatMap((each) =>
      each.state === "pending" || (each.state === "out-of-order" && policy["out-of-order"] !== "ignore")
        ? [each as Extract<Standing, { state: "pending" | "out-of-order" }>]
        : [],
    ),
  };
}

function isPolicy(kind: string, policy: Policies): kind is keyof Policies {
  return kind in policy;
}
