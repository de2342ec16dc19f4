import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { allChecks } from "../../src/cli/session.ts";
import { baselineSchema, measureSourceSchema } from "../../src/config/baseline-schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import { loadPermissionSchema, loadSchema, loadStepSchema } from "../../src/config/load-schema.ts";
import { metricsSchema } from "../../src/config/metrics-schema.ts";
import { notificationSchema } from "../../src/config/notification-schema.ts";
import { notifyRuleSchema } from "../../src/config/notify-schema.ts";
import { scheduleSchema } from "../../src/config/schedule-schema.ts";
import {
  checkSchema,
  configSchema,
  databaseSchema,
  flagSourceSchema,
  gateSchema,
  gateSectionSchema,
  poolConfigurationSchema,
  poolSchema,
  routeSchema,
  s3Schema,
  storeSchema,
} from "../../src/config/schema.ts";
import { watchSchema } from "../../src/config/watch-schema.ts";
import { configuredChecks } from "../../src/run/configured-check.ts";
import { projectRoot } from "../support/ops.ts";

describe(".opsrc.example", () => {
  const load = () => loadConfig({ file: ".opsrc.example", cwd: projectRoot, variables: {} });

  it("is a valid configuration with three environments, each gate of which can be measured", async () => {
    const config = await load();
    const kinds = await allChecks();

    expect(config.environmentNames).toEqual(["dev", "staging", "production"]);
    for (const name of config.environmentNames) {
      const environment = config.environment(name);
      for (const gate of environment.names("gates")) {
        expect(() => configuredChecks(gate, environment.gate(gate), kinds)).not.toThrow();
      }
    }
  });

  it("overrides one key of a shared target in an environment and keeps the others", async () => {
    const { databases, routes } = (await load()).settingsOf("production");

    expect(databases.main).toMatchObject({ url: "env:PRODUCTION_DATABASE_URL", migrations: "migrations" });
    expect(routes.web).toMatchObject({ socket: "10.0.0.10:9999", backend: "web" });
  });

  it("shows every key that there is", async () => {
    const whole = (await load()).source?.value as Example;
    const keys = (schema: z.ZodObject) => Object.keys(schema.shape);
    const used = (...values: (object | undefined)[]) =>
      new Set(values.flatMap((each) => Object.keys(each ?? {})));
    const gates = Object.values(whole.gates);

    expect([...used(whole)]).toEqual(expect.arrayContaining(keys(configSchema)));
    expect([...used(whole.databases.main)]).toEqual(expect.arrayContaining(keys(databaseSchema)));
    const stores = Object.values(whole.stores);
    expect([...used(...stores)]).toEqual(expect.arrayContaining(keys(storeSchema)));
    expect([...used(...stores.map((each) => each.s3))]).toEqual(expect.arrayContaining(keys(s3Schema)));
    for (const schema of routeSchema.options) {
      const { driver } = schema.shape;
      const routes = Object.values(whole.routes).filter((each) => driver.safeParse(each.driver).success);
      expect([...used(...routes)]).toEqual(expect.arrayContaining(keys(schema)));
    }
    expect([...used(whole.pools.api)]).toEqual(expect.arrayContaining(keys(poolSchema)));
    // One of reload and master-socket, never both.
    expect([...used(whole.pools.api?.configuration, { "master-socket": "" })]).toEqual(
      expect.arrayContaining(keys(poolConfigurationSchema)),
    );
    expect([...used(...Object.values(whole["flag-sources"]))]).toEqual(
      expect.arrayContaining(keys(flagSourceSchema)),
    );
    const metrics = Object.values(whole.routes).flatMap((each) => each.metrics ?? []);
    for (const schema of metricsSchema.options) {
      const { source } = schema.shape;
      const own = metrics.filter((each) => source.safeParse(each.source).success);
      expect([...used(...own)]).toEqual(expect.arrayContaining(keys(schema)));
    }
    expect([...used(...Object.values(whole.schedules))]).toEqual(
      expect.arrayContaining(keys(scheduleSchema)),
    );
    expect([...used(...Object.values(whole.notifications))]).toEqual(
      expect.arrayContaining(keys(notificationSchema)),
    );
    expect([...used(...Object.values(whole.notify))]).toEqual(expect.arrayContaining(keys(notifyRuleSchema)));
    expect([...used(...Object.values(whole.watches))]).toEqual(expect.arrayContaining(keys(watchSchema)));
    expect([...used(...Object.values(whole.loads))]).toEqual(expect.arrayContaining(keys(loadSchema)));
    const steps = Object.values(whole.loads).flatMap((each) => each.scenario ?? []);
    expect([...used(...steps)]).toEqual(expect.arrayContaining(keys(loadStepSchema)));
    expect([...used(whole.load)]).toEqual(keys(loadPermissionSchema));
    const baselines = Object.values(whole.baselines);
    expect([...used(...baselines)]).toEqual(expect.arrayContaining(keys(baselineSchema)));
    const measures = baselines.flatMap((each) => Object.values(each.measures ?? {}));
    for (const schema of measureSourceSchema.options) {
      const { source } = schema.shape;
      const own = measures.filter((each) => source.safeParse(each.source).success);
      expect([...used(...own)]).toEqual(expect.arrayContaining(keys(schema)));
    }
    expect([...used(...gates)]).toEqual(expect.arrayContaining(keys(gateSchema)));
    expect([...used(...checksOf(whole))]).toEqual(expect.arrayContaining(keys(checkSchema)));
    const sections = gates.flatMap((each) => each.sections ?? []);
    expect([...used(...sections)]).toEqual(expect.arrayContaining(keys(gateSectionSchema)));
  });

  it("has a check of every kind", async () => {
    const whole = (await load()).source?.value as Example;
    const kinds = checksOf(whole).map((check) => check.kind);

    expect(kinds).toEqual(expect.arrayContaining([...(await allChecks()).keys()]));
  });
});

type Example = {
  databases: { main: object };
  stores: Record<string, { s3?: object }>;
  routes: Record<string, { driver?: string; metrics?: { source: string } }>;
  pools: { api?: { configuration: object } };
  "flag-sources": Record<string, object>;
  schedules: Record<string, object>;
  notifications: Record<string, object>;
  loads: Record<string, { scenario?: object[] }>;
  load: object;
  baselines: Record<string, { measures?: Record<string, { source: string }> }>;
  notify: Record<string, object>;
  gates: Record<string, { checks?: { kind: string }[]; sections?: { checks: { kind: string }[] }[] }>;
  watches: Record<string, object>;
};

const checksOf = ({ gates }: Example) =>
  Object.values(gates).flatMap(({ checks = [], sections = [] }) => [
    ...checks,
    ...sections.flatMap((each) => each.checks),
  ]);
