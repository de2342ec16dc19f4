import type { AlbClient } from "./client.ts";

/** How many targets of a group take requests, by the load balancer's own health checks. */
export interface GroupHealth {
  /** Targets that can take requests; those that are being removed are not counted. */
  readonly healthy: number;
  readonly registered: number;
  /** As AWS calls it, with the reason of the first one that is not healthy: `1 of 2 healthy (Target.Timeout)`. */
  readonly text: string;
}

/** Throws the errors of `AlbClient.call`. */
export async function groupHealth(alb: AlbClient, arn: string, signal?: AbortSignal): Promise<GroupHealth> {
  const found = await alb.call(
    "DescribeTargetHealth",
    (client, sdk, options) =>
      client.send(new sdk.DescribeTargetHealthCommand({ TargetGroupArn: arn }), options),
    signal,
  );
  const states = (found.TargetHealthDescriptions ?? [])
    .map((each) => ({ state: each.TargetHealth?.State ?? "", reason: each.TargetHealth?.Reason ?? "" }))
    .filter(({ state }) => !state.includes("draining"));
  // `unavailable`: there are no health checks, and AWS sends requests.
  const healthy = states.filter(({ state }) => state === "healthy" || state === "unavailable").length;
  const reason = states.find(({ state }) => state !== "healthy" && state !== "unavailable");
  const why = reason === undefined ? "" : ` (${reason.reason === "" ? reason.state : reason.reason})`;
  return { healthy, registered: states.length, text: `${healthy} of ${states.length} healthy${why}` };
}
