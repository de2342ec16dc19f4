import { z } from "zod";

const program = (description: string) =>
  z.array(z.string().min(1, "must not be empty")).min(1, "needs a program").describe(description);

/** The part of a haproxy.cfg that `pool.strategy` and `pool.breaker` own, and how HAProxy takes a new one. */
export const poolConfigurationSchema = z
  .strictObject({
    file: z
      .string()
      .min(1, "must not be empty")
      .describe("The haproxy.cfg whose backend has the lines # ops:begin POOL and # ops:end POOL"),
    check: program("Checks a new file before it is used; {file} stands for its path")
      .refine((words) => words.some((word) => word.includes("{file}")), "must hold {file}")
      .default(["haproxy", "-c", "-f", "{file}"]),
    reload: program("Reloads HAProxy: [systemctl, reload, haproxy]").optional(),
    "master-socket": z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("HAProxy's master socket (haproxy -W -S PATH), instead of reload: a path, or host:port"),
    "state-file": z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("HAProxy's server-state-file, written before each reload: weights and states survive it"),
  })
  .refine((each) => (each.reload === undefined) !== (each["master-socket"] === undefined), {
    error: 'needs either "reload" or "master-socket"',
  });

/** The servers of one backend of HAProxy. */
export const poolSchema = z.strictObject({
  socket: z.string().min(1, "must not be empty").describe("Runtime socket: a path, or host:port"),
  backend: z.string().min(1, "must not be empty").describe("The backend whose servers these are"),
  configuration: poolConfigurationSchema
    .optional()
    .describe("What HAProxy cannot change as it runs; only for pool.strategy and pool.breaker"),
});

export type PoolSettings = z.output<typeof poolSchema>;
