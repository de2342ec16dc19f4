import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseMarker,
  parseRouteFile,
  type RouteFile,
  renderRouteFile,
} from "../../../src/nginx/route-file.ts";

const upstream: RouteFile = {
  route: "web",
  status: "127.0.0.1:8090",
  split: { by: "upstream", name: "web", parameters: "max_fails=0", lines: ["keepalive 32"] },
  versions: { blue: "10.0.0.1:8080", green: "10.0.0.2:8080" },
};
const clients: RouteFile = {
  ...upstream,
  split: { by: "clients", variable: "web_version", key: "${cookie_user}" },
  versions: { blue: "to_blue", green: "to_green", red: "to_red" },
};
const copies = 'split_clients "$request_id"';
const block = (text: string) => text.slice(text.indexOf("\n\n") + 2, text.indexOf(`\n${copies}`)).trim();
const mirrorBlock = (text: string) =>
  text.slice(text.indexOf(`\n${copies}`), text.indexOf("\nserver {")).trim();

describe("the file of an nginx route", () => {
  test("gives each server its weight", () => {
    expect(block(renderRouteFile(upstream, { blue: 90, green: 10 }))).toBe(`upstream web {
  keepalive 32;
  server 10.0.0.1:8080 weight=90 max_fails=0; # blue
  server 10.0.0.2:8080 weight=10 max_fails=0; # green
}`);
  });

  test("leaves out a server without weight", () => {
    expect(block(renderRouteFile(upstream, { blue: 0, green: 1 }))).toBe(`upstream web {
  keepalive 32;
  # blue (10.0.0.1:8080) has no traffic
  server 10.0.0.2:8080 weight=1 max_fails=0; # green
}`);
  });

  test("gives clients their parts, and the last one the rest", () => {
    expect(
      block(renderRouteFile(clients, { blue: 8999, green: 1, red: 1000 })),
    ).toBe(`split_clients "\${cookie_user}" $web_version {
  89.99% to_blue; # blue
  0.01% to_green; # green
  * to_red; # red
}`);
    expect(
      block(renderRouteFile(clients, { blue: 0, green: 10_000, red: 0 })),
    ).toBe(`split_clients "\${cookie_user}" $web_version {
  * to_green; # green
}`);
  });

  test("copies requests of some methods to a version, or none", () => {
    const mirror = { version: "green", share: 12.5, methods: ["GET", "HEAD"] };
    const text = renderRouteFile(clients, { blue: 10_000 }, mirror);
    expect(parseRouteFile("f", text).mirror).toEqual(mirror);
    expect(mirrorBlock(text)).toBe(`split_clients "$request_id" $ops_mirror_web_share {
  12.50% to_green;
  * "";
}
map $request_method $ops_mirror_web {
  default "";
  GET $ops_mirror_web_share;
  HEAD $ops_mirror_web_share;
}`);
    expect(
      renderRouteFile(upstream, { blue: 1 }, { ...mirror, share: 100 }),
    ).toContain(`upstream ops_mirror_web {
  server 10.0.0.2:8080; # green
}
split_clients "$request_id" $ops_mirror_web_share {
  * ops_mirror_web;
}`);
    expect(mirrorBlock(renderRouteFile(upstream, { blue: 1 }))).toContain('  * "";\n}');
  });

  test("cannot give everybody nothing", () => {
    expect(() => renderRouteFile(upstream, { blue: 0, green: 0 })).toThrow(
      expect.objectContaining({ code: "E_SHARE", exitCode: 2 }),
    );
  });

  test("tells its own weights, and nginx tells the same", () => {
    const text = renderRouteFile(upstream, { blue: 3, green: 1 });
    const served = /return 200 '(.*)';/.exec(text)?.[1] ?? "";

    expect(parseRouteFile("web.conf", text)).toMatchObject({ route: "web", weights: { blue: 3, green: 1 } });
    expect(parseMarker(served)).toEqual(parseRouteFile("web.conf", text));
  });

  test("knows every edit", () => {
    const text = renderRouteFile(upstream, { blue: 90, green: 10 });
    const place = fc.integer({ min: 0, max: text.length - 1 });
    fc.assert(
      fc.property(place, fc.string({ minLength: 0, maxLength: 3 }), (at, other) => {
        fc.pre(text[at] !== other);
        const edited = text.slice(0, at) + other + text.slice(at + 1);

        expect(() => parseRouteFile("web.conf", edited)).toThrow(
          expect.objectContaining({ code: "E_TRAFFIC_DRIFT" }),
        );
      }),
      { numRuns: 500 },
    );
  });

  test.each(["", "{", "[]", '{"route":"web"}', '{"route":"web","weights":{},"digest":"x"}'])(
    "is not told by %j",
    (text) => {
      expect(parseMarker(text)).toBeUndefined();
    },
  );
});
