import { describe, expect, test } from "vitest";
import { findOwnedSection } from "../../../src/haproxy/owned-section.ts";
import { parseSection, sectionFor, sectionLines } from "../../../src/pool/section.ts";

const file = "/etc/haproxy/haproxy.cfg";
const text = `global
  maxconn 10
backend web
\t# ops:begin web
\tbalance roundrobin
\t# ops:end web
\tserver a 10.0.0.1:80 check

backend api
  server a 10.0.0.1:80
  # ops:begin api
  # ops:end api
`;

describe("the section of ops in haproxy.cfg", () => {
  test("is replaced with its own indentation, and nothing else is", () => {
    const found = findOwnedSection(text, file, "web", "web");

    expect(found.lines).toEqual(["balance roundrobin"]);
    expect(found.with(["balance leastconn"])).toBe(text.replace("roundrobin", "leastconn"));
    expect(found.with(found.lines)).toBe(text);
  });

  test.each([
    ["is not there", "shop", "shop", text, /has no lines "# ops:begin shop"/],
    [
      "is in another backend",
      "web",
      "shop",
      text,
      /haproxy\.cfg:4: the section of ops is not in "backend shop"/,
    ],
    [
      "stands below a server",
      "api",
      "api",
      text,
      /haproxy\.cfg:11: the section of ops stands below a server/,
    ],
    ["is there twice", "web", "web", `${text}\n# ops:begin web`, /haproxy\.cfg:14: a second section/],
    [
      "ends before it begins",
      "web",
      "web",
      text.replaceAll("begin", "x").replaceAll("end", "begin"),
      /has no lines/,
    ],
  ])("is refused where it %s", (_, name, backend, given, message) => {
    expect(() => findOwnedSection(given, file, name, backend)).toThrow(message);
  });

  test("keeps the key of its cookies while there are none", () => {
    const empty = parseSection(["balance roundrobin"], file, "web");
    const sticky = sectionLines(sectionFor("sticky", "ops-web", empty), empty, "12/34");
    const written = parseSection(sticky, file, "web");
    const without = sectionLines(sectionFor("least-connections", "ops-web", written), written, "56/78");

    expect(written).toMatchObject({ worker: "12/34", cookieKey: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(without).toContain(`dynamic-cookie-key ${written.cookieKey}`);
    expect(parseSection(without, file, "web")).toMatchObject({ cookie: null, balance: "balance leastconn" });
  });

  test("is refused with a line that ops does not write", () => {
    expect(() => parseSection(["option httpchk"], file, "web")).toThrow('has the line "option httpchk"');
  });
});
