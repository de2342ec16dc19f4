import { OpsError } from "../core/errors.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import type { VersionState } from "../rollout/reading.ts";
import type { Watched } from "../rollout/watched.ts";
import type { RampFlag } from "./ramp-flag.ts";
import type { RampStep } from "./ramp-steps.ts";

/** A flag as the judge of canaries sees it: its two variants, with shares of the users for weights. */
export class WatchedFlag implements Watched {
  readonly kind = "flag";
  readonly splits = "some-users";
  readonly requests: RequestSource;
  readonly promote: string;
  private readonly flag: RampFlag;
  private readonly name: string;
  private step: Pick<RampStep, "weights" | "definition">;

  /** @param step what the flag is now */
  constructor(
    name: string,
    flag: RampFlag,
    requests: RequestSource,
    step: Pick<RampStep, "weights" | "definition">,
  ) {
    this.name = name;
    this.flag = flag;
    this.requests = requests;
    this.step = step;
    this.promote = `ops flag promote ${name}`;
  }

  /** From now on it is expected to be that. */
  at(step: Pick<RampStep, "weights" | "definition">): void {
    this.step = step;
  }

  /** Throws where somebody else has changed the flag. */
  async states(): Promise<VersionState[]> {
    await this.flag.require(this.step.definition);
    return Object.entries(this.step.weights).map(([version, weight]) => ({
      version,
      server: version,
      weight,
      health: "unknown",
      status: "-",
    }));
  }

  async read(signal?: AbortSignal) {
    const [states, counts] = await Promise.all([this.states(), this.requests.read(signal)]);
    return states.map((state) => {
      const own = counts.find(({ version }) => version === state.version);
      if (own === undefined) throw new Error(`the request source does not know the variant ${state.version}`);
      return { ...own, ...state };
    });
  }

  drift(): OpsError {
    return new OpsError(
      "E_FLAG_CHANGED",
      `Flag ${this.name} is at another step than the one that is watched`,
      {
        hint: `see: ops flag history ${this.name}`,
        retryable: false,
      },
    );
  }
}
