import { expect, test } from "vitest";
import { BoundarySeries } from "../../support/boundary-series.ts";
import { perform } from "../../support/context.ts";
import type { Boundary } from "../../support/postgres-proxy.ts";
import { type Project, up } from "./project.ts";

const series = new BoundarySeries();

/** `migrate.up` in this process, whose connection is cut at the boundary. */
async function upCutAt(project: Project, boundary: Boundary): Promise<boolean> {
  const { proxy } = series;
  proxy.arm(boundary);
  const context = project.context("run-1", proxy.url(project.databaseName));
  const ended = await perform(up, context, {}).catch((error: unknown) => error);
  if (proxy.fired && ended instanceof Error) {
    const codes = /^E_(CONNECTION_LOST|DATABASE_UNREACHABLE|MIGRATION_LOCK_LOST)$/;
    expect(ended).toMatchObject({ code: expect.stringMatching(codes) });
  } else {
    expect(ended).toMatchObject({ output: { current: "0006" } });
  }
  return proxy.fired;
}

/** Around every statement: before one is done, after the next one. A killed runner is tried at each of them. */
test.each([
  ["request", { first: 1, step: 2 }],
  ["completion", { first: 2, step: 2 }],
] as const)(
  "a connection cut at a %s of a run leaves what another run finishes, as if nothing had happened",
  async (event, which) => {
    expect(await series.every(event, upCutAt, which)).toBeGreaterThan(50);
  },
);
