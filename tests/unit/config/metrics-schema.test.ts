import { describe, expect, test } from "vitest";
import { routeSchema } from "../../../src/config/route-schema.ts";
import { schemaMistakes } from "../../../src/core/schema-mistake.ts";
import { testContext } from "../../support/context.ts";

const versions = { blue: "web-blue", green: "web-green" };
const route = (metrics: object) => ({ socket: "/run/s", backend: "web", versions, metrics });
const prometheus = { source: "prometheus", url: "http://p:9090", requests: "up", "status-label": "code" };
const log = { source: "log", file: "a.log", format: "haproxy" };

function mistakes(metrics: object): string[] {
  const { error } = routeSchema.safeParse(route(metrics), { reportInput: true });
  return error === undefined
    ? []
    : schemaMistakes(routeSchema, error).map(
        ({ path, message, hint }) => `${path.join(".")}: ${message}${hint === undefined ? "" : `; ${hint}`}`,
      );
}

describe("what counts a route's requests", () => {
  const target = (metrics: object) =>
    testContext({ routes: { web: route(metrics) } }, { directory: "/srv" }).environment.route("web");

  test("knows each version by what the balancer calls it, unless it has another name there", () => {
    expect(target({ ...log, names: { green: "10.0.0.2:80" } }).metrics).toMatchObject({
      source: "log",
      file: "/srv/a.log",
      format: { kind: "haproxy", backend: "web" },
      maxAge: 30_000,
      versions: [
        { version: "blue", name: "web-blue" },
        { version: "green", name: "10.0.0.2:80" },
      ],
    });
  });

  test("has names of versions that there are", () => {
    expect(() => target({ ...log, names: { gren: "x" } })).toThrow(
      /has a version "gren" that the route has not/,
    );
  });

  test.each([
    [
      "an unknown placeholder",
      { ...prometheus, requests: 'up{a="{{server}}"}' },
      /\{\{server\}\} stands for nothing; write/,
    ],
    [
      "no word on what is bad",
      { ...prometheus, "status-label": undefined },
      /does not say which requests are bad; add "status-label/,
    ],
    ["a URL that is none", { ...prometheus, url: "prometheus:9090" }, /is not the URL of an HTTP server/],
    ["a log without keys", { ...log, format: "json" }, /has fields exactly where its format is json/],
    [
      "keys for lines that have none",
      { ...log, fields: { version: "a", status: "b" } },
      /has fields exactly/,
    ],
    ["another source", { ...log, source: "graphite" }, /source: .*"prometheus"/],
    ["a time that is none", { ...log, "max-age": "soon" }, /"soon" is not a duration/],
  ])("with %s is told where and what to write", (_what, metrics, message) => {
    expect(mistakes(metrics).join("\n")).toMatch(message);
  });
});
