import { OpsError } from "../core/errors.ts";
import type { BackendState } from "../haproxy/backend-state.ts";

/** Server → absolute weight, 0 to 256. */
export type Weights = { [server: string]: number };

export function weightsOf({ servers }: BackendState): Weights {
  return Object.fromEntries(servers.map(({ name, weight }) => [name, weight]));
}

/** `a 100, b 50` */
export function formatWeights(weights: Weights): string {
  return Object.entries(weights)
    .map(([server, weight]) => `${server} ${weight}`)
    .join(", ");
}

/** Throws `E_POOL_DRIFT` where a weight is none that this operation saw or sets. */
export function refuseWeightDrift(pool: string, state: BackendState, own: readonly Weights[]): void {
  const present = weightsOf(state);
  const isOurs = Object.entries(present).every(([server, weight]) =>
    own.some((each) => each[server] === weight),
  );
  if (isOurs) return;
  throw new OpsError(
    "E_POOL_DRIFT",
    `Somebody else changed the weights of pool ${pool}: they are ${formatWeights(present)} now`,
    {
      hint: "find out who did (HAProxy reloaded without its state?), then see: ops pool show",
      details: { present, expected: [...own] },
      retryable: false,
    },
  );
}
