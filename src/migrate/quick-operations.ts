import type { Operation } from "../run/operation.ts";

/**
 * Those that run often and must be there at once, each loaded without the others: together they bring parsers, copies
 * and comparisons with them that a look at the status does not need.
 */
const loaders: Readonly<Record<string, () => Promise<Operation>>> = {
  up: async () => (await import("./up.ts")).up,
  down: async () => (await import("./down.ts")).down,
  status: async () => (await import("./status.ts")).status,
  current: async () => (await import("./current.ts")).current,
  history: async () => (await import("./history.ts")).history,
};

export async function quickOperation(verb: string): Promise<Operation | undefined> {
  return Object.hasOwn(loaders, verb) ? loaders[verb]?.() : undefined;
}
