import { describe, expect, test } from "vitest";
import { haproxyLines } from "../../../src/log-tail/haproxy-line.ts";
import { combinedLines, jsonLines } from "../../../src/log-tail/nginx-line.ts";

describe("a line of HAProxy's httplog", () => {
  const lines = haproxyLines("web");
  const line = (server: string, status: number, ended: string, retries: string, backend = "web") =>
    `Nov 21 22:36:43 lb haproxy[812]: 127.0.0.1:50380 [21/Nov/2026:22:36:43.992] public ${backend}/${server} 0/0/0/4/7 ${status} 105 - - ${ended} 8/8/7/5/${retries} 0/0 {curl||} "GET /a b/c 0/0/0/0 HTTP/1.1"`;

  test("tells the server, the status and the time, behind what syslog puts in front", () => {
    expect(lines(line("green", 200, "----", "0"))).toEqual({
      attempts: [{ place: "green", status: 200, broken: undefined, retries: 0 }],
      movedHere: false,
      time: 7,
    });
  });

  test.each([
    ["a server that broke off", line("green", 200, "SD--", "0"), { status: 200, broken: "by-server" }],
    ["a time-out", line("green", 504, "sH--", "0"), { status: 504, broken: "by-server" }],
    ["a client that went away", line("green", -1, "CH--", "0"), { status: undefined, broken: "by-client" }],
    ["tries at the same server", line("green", 200, "----", "2"), { status: 200, retries: 2 }],
  ])("tells %s", (_what, text, attempt) => {
    expect(lines(text)).toMatchObject({ attempts: [attempt], movedHere: false });
  });

  test("tells that another server failed before", () => {
    expect(lines(line("blue", 200, "----", "+1"))).toMatchObject({ movedHere: true });
  });

  test("of another backend, or that no server got, is not of the route; another form is none", () => {
    expect(lines(line("green", 200, "----", "0", "api"))).toBe("other");
    expect(lines(line("<NOSRV>", 503, "SC--", "0"))).toBe("other");
    expect(lines("Nov 21 22:36:43 lb haproxy[812]: Server web/green is DOWN.")).toBe("unknown");
  });
});

describe("a line of the combined format with a time", () => {
  const lines = combinedLines("s");
  const front = `203.0.113.7 - a b [21/Nov/2026:22:36:43 +0000] "GET /\\x22x\\" HTTP/1.1" 200 512 "-" "curl/7.88 \\"x\\""`;

  test("tells where the request went and how long it took", () => {
    expect(lines(`${front} 0.250 "10.0.0.2:80" "200"`)).toEqual({
      attempts: [{ place: "10.0.0.2:80", status: 200, broken: undefined, retries: 0 }],
      movedHere: false,
      time: 250,
    });
    expect(lines(`${front} 0.004 "green"`)).toMatchObject({ attempts: [{ place: "green", status: 200 }] });
  });

  test("tells every server that was tried", () => {
    expect(lines(`${front} 0.250 "10.0.0.2:80, 10.0.0.1:80 : 10.0.0.3:80" "502, - : 200"`)).toMatchObject({
      attempts: [
        { place: "10.0.0.2:80", status: 502, broken: "by-server" },
        { place: "10.0.0.1:80", status: undefined, broken: "by-server" },
        { place: "10.0.0.3:80", status: 200, broken: undefined },
      ],
    });
  });

  test("tells a client that went away from a server that gave no answer", () => {
    const gone = front.replace('1" 200', '1" 499');
    expect(lines(`${gone} 0.250 "10.0.0.2:80" "-"`)).toMatchObject({
      attempts: [{ status: undefined, broken: "by-client" }],
    });
    expect(lines(`${front} 0.250 "10.0.0.2:80" "-"`)).toMatchObject({
      attempts: [{ status: undefined, broken: "by-server" }],
    });
  });

  test("without a server is not of the route, and without a time no line of this form", () => {
    expect(lines(`${front} 0.000 "-" "-"`)).toBe("other");
    expect(lines(front)).toBe("unknown");
    expect(lines("")).toBe("unknown");
  });
});

describe("a JSON line", () => {
  const fields = { version: "upstream.name", status: "status", time: "ms", upstreamStatus: undefined };
  const lines = jsonLines(fields, "ms");

  test("tells what its keys are declared to be, deep or with a dot in the name, as number or text", () => {
    const expected = { attempts: [{ place: "green", status: 503 }], time: 12.5 };
    expect(lines('{"upstream":{"name":"green"},"status":503,"ms":12.5}')).toMatchObject(expected);
    expect(lines('<13>web: {"upstream.name":"green","status":"503","ms":"12.5"}')).toMatchObject(expected);
  });

  test.each(["{", "[]", "null", '{"status":200}', '{"upstream":{"name":"green"},"status":"ok"}', "text"])(
    "that is %s is none",
    (text) => {
      expect(lines(text)).toBe("unknown");
    },
  );
});
