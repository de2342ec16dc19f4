import { cpus, hostname, totalmem } from "node:os";
import { z } from "zod";

/** Where something was measured: figures of two machines are not alike. */
export const machineSchema = z.object({
  host: z.string(),
  platform: z.string(),
  cpu: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
});
export type Machine = z.output<typeof machineSchema>;

export function thisMachine(): Machine {
  const all = cpus();
  return {
    host: hostname(),
    platform: `${process.platform}-${process.arch}`,
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryBytes: totalmem(),
  };
}

/** Why figures of two machines can hardly be compared; undefined where they can. */
export function machineDifference(a: Machine, b: Machine): string | undefined {
  if (a.platform === b.platform && a.cpu === b.cpu && a.cores === b.cores) return undefined;
  const shown = ({ host, cpu, cores }: Machine) => `${host} (${cores} × ${cpu})`;
  return `measured on ${shown(a)}, now on ${shown(b)}`;
}
