import { describe, expect, test } from "vitest";
import { parseStatistics } from "../../../src/haproxy/statistics.ts";
import { healthOf } from "../../../src/traffic/drivers/haproxy.ts";
import { parseRequestLine } from "../../../src/traffic/sources/haproxy.ts";

describe("HAProxy's statistics", () => {
  test("keep their columns where a health check's text holds commas and quotes", () => {
    const rows = parseStatistics('# pxname,svname,last_chk,weight,\nweb,blue,"said ""no"", twice",90,\n\n');

    expect(rows).toEqual([
      { pxname: "web", svname: "blue", last_chk: 'said "no", twice', weight: "90", "": "" },
    ]);
  });

  test("are none where HAProxy answers in words", () => {
    expect(parseStatistics("Unknown proxy.")).toEqual([]);
  });

  test.each([
    ["UP", "up"],
    ["no check", "up"],
    ["UP 1/2", "failing"],
    ["DRAIN", "failing"],
    ["NOLB", "failing"],
    ["DOWN", "down"],
    ["DOWN 1/2", "down"],
    ["MAINT", "down"],
    ["MAINT (resolution)", "down"],
  ])("call a server %s, which is %s", (status, health) => {
    expect(healthOf(status)).toBe(health);
  });
});

describe("a line of the request ring", () => {
  const versions = new Map([["srv2", "green"]]);

  test("is a request of a version", () => {
    expect(parseRequestLine("web srv2 200 31", "web", versions)).toEqual({ version: "green", time: 31 });
  });

  test.each([
    ["of another backend", "api srv2 200 31"],
    ["of a server that is no version", "web <NOSRV> 503 0"],
    ["without a time, because the client went away", "web srv2 -1 -1"],
    ["of another format", "10.0.0.1 GET /"],
  ])("%s is left out", (_, line) => {
    expect(parseRequestLine(line, "web", versions)).toBeUndefined();
  });
});
