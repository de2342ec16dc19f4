import { afterAll, beforeAll, expect } from "vitest";
import type { Cluster } from "../../src/postgres/cluster.ts";
import { Project, up } from "../integration/migrate/project.ts";
import { perform } from "./context.ts";
import { mixed, remains } from "./mixed-migrations.ts";
import { startTestCluster } from "./postgres.ts";
import { type Boundary, PostgresProxy } from "./postgres-proxy.ts";

/**
 * Runs of the mixed migrations through a proxy, disturbed at one boundary after the other. A file for each way of
 * disturbing, so that they run side by side.
 */
export class BoundarySeries {
  private running: { readonly cluster: Cluster; readonly proxy: PostgresProxy } | undefined;
  private undisturbed: object = {};

  constructor() {
    beforeAll(async () => {
      const cluster = await startTestCluster();
      this.running = { cluster, proxy: await PostgresProxy.start(cluster.port) };
      await using project = await Project.create(cluster, mixed);
      await perform(up, project.context(), {});
      this.undisturbed = await remains(project);
    });
    afterAll(async () => {
      await this.running?.proxy[Symbol.asyncDispose]();
      await this.running?.cluster.stop();
    });
  }

  get proxy(): PostgresProxy {
    if (this.running === undefined) throw new Error("the series has not begun");
    return this.running.proxy;
  }

  /**
   * Disturbs a run at every boundary in turn, until a run is over before it comes; each time, another run must finish
   * as if nothing had happened.
   *
   * @param disturb false where the run had fewer boundaries
   * @param which the first boundary, and how many further the next one is; default: every one
   * @returns how many boundaries there are, or one or two less where some are left out
   */
  async every(
    event: Boundary["event"],
    disturb: (project: Project, boundary: Boundary) => Promise<boolean>,
    { first, step } = { first: 1, step: 1 },
  ): Promise<number> {
    if (this.running === undefined) throw new Error("the series has not begun");
    for (let number = first; ; number += step) {
      await using project = await Project.create(this.running.cluster, mixed);
      const disturbed = await disturb(project, { event, number });
      await perform(up, project.context("run-2"), {});
      expect(await remains(project), `${event} ${number}`).toEqual(this.undisturbed);
      if (!disturbed) return number - step;
    }
  }
}
