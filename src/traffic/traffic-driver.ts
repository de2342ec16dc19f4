import type { VersionState } from "../rollout/reading.ts";
import type { WeightScale, Weights } from "../rollout/shares.ts";

/** A version that gets copies of requests; what it answers goes to nobody. */
export type Mirrored = {
  version: string;
  /** Percent of the requests, above 0. */
  share: number;
  methods: string[];
};

export interface Mirror {
  read(signal?: AbortSignal): Promise<Mirrored | undefined>;
  /** Undefined: nobody gets copies. Guarantees what `setWeights` does. */
  set(mirrored: Mirrored | undefined, signal?: AbortSignal): Promise<void>;
}

/**
 * The adapter of one balancer, for one route: reads and sets its weights. What counts requests is a `RequestSource`.
 * It touches the weights of the route's versions and nothing else.
 */
export interface TrafficDriver {
  readonly scale: WeightScale;
  /** Milliseconds that a set may take at most where its service is slow; undefined: 10 seconds. */
  readonly patience?: number;
  /** `users`: each stays with its version, so that the share of the requests only comes near that of the users. Default: requests. */
  readonly splits?: "requests" | "users";
  /** Of every version of the route. */
  states(signal?: AbortSignal): Promise<readonly VersionState[]>;
  weights(signal?: AbortSignal): Promise<Weights>;
  /**
   * Sets absolute weights and reads them back; throws `E_WEIGHT_NOT_SET` where the balancer has others afterwards. Safe to
   * call again after a crash at any point of it. A set that is refused leaves the weights as they were.
   *
   * @param expected the weights that the caller saw; a balancer that can compare changes nothing where it has others by
   * now, and throws `E_TRAFFIC_DRIFT`. Without them they are set whatever they were.
   */
  setWeights(weights: Weights, signal?: AbortSignal, expected?: Weights): Promise<void>;
  /** Undefined where the balancer cannot copy requests by itself. */
  readonly mirror?: Mirror;
  /** Throws (usage) where something is known to keep weights from being set, before anything is changed. */
  requireSettable?(signal?: AbortSignal): Promise<void>;
}
