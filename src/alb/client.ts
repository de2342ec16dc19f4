import type {
  ElasticLoadBalancingV2Client,
  ElasticLoadBalancingV2ClientConfig,
} from "@aws-sdk/client-elastic-load-balancing-v2";
import { albError } from "./failure.ts";

/** A rule of a listener, or a listener itself for what none of its rules takes (its default action). */
export interface AlbPlace {
  readonly kind: "rule" | "listener";
  readonly arn: string;
}

export interface AlbTarget {
  /** The route's name, for messages. */
  readonly name: string;
  readonly place: AlbPlace;
  /** Undefined: the one in the ARN. */
  readonly region?: string | undefined;
  /** Profile of ~/.aws/config; undefined: credentials as the AWS SDK finds them. */
  readonly profile?: string | undefined;
  /** Where the API is, when it is not AWS's own. */
  readonly endpoint?: string | undefined;
}

export type AlbAction =
  | "DescribeRules"
  | "DescribeListeners"
  | "DescribeTargetHealth"
  | "ModifyRule"
  | "ModifyListener";

type Sdk = typeof import("@aws-sdk/client-elastic-load-balancing-v2");

/**
 * Calls to the Elastic Load Balancing API, signed with credentials as the AWS SDK finds them (environment, profile,
 * instance role). The SDK is loaded at the first call; it counts tries and pauses between them (throttling, broken
 * connections, 5xx). Each call may be sent twice: the ones used here set what is to be, and nothing else.
 */
export class AlbClient {
  readonly target: AlbTarget;
  private client: Promise<ElasticLoadBalancingV2Client> | undefined;

  constructor(target: AlbTarget) {
    this.target = target;
  }

  /** Throws an OpsError with a code `E_ALB…` that names the route and the permission, or the signal's reason. */
  async call<T>(
    action: AlbAction,
    work: (
      client: ElasticLoadBalancingV2Client,
      sdk: Sdk,
      options: { readonly abortSignal?: AbortSignal },
    ) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    try {
      const sdk = await import("@aws-sdk/client-elastic-load-balancing-v2");
      this.client ??= this.connect(sdk);
      return await work(await this.client, sdk, signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw albError(error, this.target, action);
    }
  }

  private async connect(sdk: Sdk): Promise<ElasticLoadBalancingV2Client> {
    const { NodeHttpHandler } = await import("@smithy/node-http-handler");
    const { place, endpoint, profile } = this.target;
    const region = this.target.region ?? regionOf(place.arn);
    // The SDK takes an undefined region for a region.
    const given: ElasticLoadBalancingV2ClientConfig = Object.fromEntries(
      Object.entries({ region, endpoint, profile }).filter(([, value]) => value !== undefined),
    );
    return new sdk.ElasticLoadBalancingV2Client({
      ...given,
      maxAttempts: 5,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: 3_000,
        requestTimeout: 5_000,
        throwOnRequestTimeout: true,
      }),
    });
  }
}

/** `arn:aws:elasticloadbalancing:eu-central-1:…` → `eu-central-1`. */
export function regionOf(arn: string): string | undefined {
  return /^arn:[\w-]+:elasticloadbalancing:([\w-]+):/.exec(arn)?.[1];
}
