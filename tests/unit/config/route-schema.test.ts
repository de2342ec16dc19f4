import { describe, expect, test } from "vitest";
import { routeSchema } from "../../../src/config/route-schema.ts";
import { schemaMistakes } from "../../../src/core/schema-mistake.ts";
import { testContext } from "../../support/context.ts";

const versions = { blue: "10.0.0.1:80", green: "10.0.0.2:80" };
const nginx = { driver: "nginx", file: "web.conf", status: "127.0.0.1:8090", upstream: "web", versions };

function mistakes(route: object) {
  const { error } = routeSchema.safeParse(route, { reportInput: true });
  return error === undefined
    ? []
    : schemaMistakes(routeSchema, error).map(({ path, key, message, hint }) => ({
        at: [...path, ...(key === undefined ? [] : [key])].join("."),
        message,
        hint,
      }));
}

describe("a route", () => {
  test("is one of HAProxy where nothing else is written", () => {
    const { environment } = testContext({ routes: { web: { socket: "/run/s", backend: "web", versions } } });

    expect(environment.route("web")).toMatchObject({ driver: "haproxy", stateFile: undefined });
  });

  test("with a misspelt driver is told which one is meant", () => {
    expect(mistakes({ ...nginx, driver: "ngnix" })).toEqual([
      {
        at: "driver",
        message: expect.stringMatching(/^expected "haproxy", .* found the text "ngnix"$/),
        hint: 'did you mean "nginx"?',
      },
    ]);
  });

  test("has the keys of its driver, and of no other one", () => {
    expect(mistakes({ ...nginx, backend: "web" })).toEqual([
      { at: "backend", message: 'unknown key "backend"', hint: expect.stringContaining("upstream") },
    ]);
    expect(mistakes({ socket: "/run/s", backend: "web", versions, reload: ["x"] })).toEqual([
      { at: "reload", message: 'unknown key "reload"', hint: expect.not.stringContaining("reload") },
    ]);
  });

  test.each([
    ["neither upstream nor variable", { upstream: undefined }, 'needs either "upstream" or "variable"'],
    ["both", { variable: "v", key: "k" }, 'needs either "upstream" or "variable"'],
    ["a variable without a key", { upstream: undefined, variable: "v", versions: { a: "x", b: "y" } }, "key"],
    ["a key for an upstream", { key: "${remote_addr}" }, 'is only for "variable"'],
    [
      "an address that ends the directive",
      { versions: { a: "h:1; include x", b: "h:2" } },
      "must be host:port",
    ],
    ["a parameter that ends the directive", { "server-parameters": "down; }" }, "must not hold"],
    ["a line that opens a block", { "upstream-lines": ["server x; } server {"] }, "must not hold"],
    ["a key that ends its text", { upstream: undefined, variable: "v", key: 'a" x' }, "must not hold"],
    ["an upstream that is two words", { upstream: "web {" }, "must hold only"],
    ["a status without a port", { status: "localhost" }, "must be host:port"],
    ["an empty command", { reload: [] }, "needs a program"],
    ["a version of a name that ends a text", { versions: { "a'": "h:1", b: "h:2" } }, "the name"],
  ])("of nginx with %s is refused", (_, change, message) => {
    expect(mistakes({ ...nginx, ...change }).map((each) => each.message)).toEqual(
      expect.arrayContaining([expect.stringContaining(message)]),
    );
  });

  test("of a script counts in percent unless it says otherwise", () => {
    const route = { driver: "exec", get: ["./g"], set: ["./s"], versions };
    const scale = (extra: object) => {
      const target = testContext({ routes: { web: { ...route, ...extra } } }).environment.route("web");
      return target.driver === "exec" ? target.scale : undefined;
    };

    expect(scale({})).toEqual({ maximum: 100, total: 100 });
    expect(scale({ "maximum-weight": 256 })).toEqual({ maximum: 256 });
  });
});
