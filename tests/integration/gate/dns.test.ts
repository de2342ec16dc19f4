import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dnsCheckOf } from "../../../src/gate/kinds/dns-check.ts";
import type { CheckResult } from "../../../src/run/measure-check.ts";
import { testContext } from "../../support/context.ts";
import { Dnsmasq } from "../../support/dnsmasq.ts";
import { freePort } from "../../support/haproxy.ts";
import { measuredCheck } from "../../support/measured-check.ts";

/** `ns1.ops.test`, as it stands in a message. */
const inWire = (name: string) =>
  Buffer.concat(
    [...name.split("."), ""].map((each) => Buffer.from([each.length, ...Buffer.from(each)])),
  ).toString("hex");

const long = ["a", "b", "c", "d", "e", "f"].map((each) => each.repeat(250));
const zone = [
  "host-record=app.ops.test,10.0.0.1,300",
  "host-record=pair.ops.test,10.0.0.2,60",
  "host-record=pair.ops.test,10.0.0.3,60",
  "host-record=six.ops.test,2001:db8::1,60",
  "cname=www.ops.test,app.ops.test,7200",
  "cname=out.ops.test,app.example.com,60",
  `txt-record=long.ops.test,${long.join(",")}`,
  "mx-host=ops.test,mail.ops.test,10",
  "srv-host=_sip._tcp.ops.test,sip.ops.test,5060,0,5",
  "host-record=ns1.ops.test,127.0.0.1",
  "host-record=ns2.ops.test,127.0.0.2",
  `dns-rr=ops.test,2,${inWire("ns1.ops.test")}`,
  `dns-rr=ops.test,2,${inWire("ns2.ops.test")}`,
];

let first: Dnsmasq;
let second: Dnsmasq;
let port = 0;
beforeAll(async () => {
  port = await freePort();
  [first, second] = await Promise.all([
    Dnsmasq.start({
      address: "127.0.0.1",
      port,
      records: [...zone, "host-record=moved.ops.test,10.0.0.1,60"],
    }),
    Dnsmasq.start({
      address: "127.0.0.2",
      port,
      records: [...zone, "host-record=moved.ops.test,10.0.0.9,60"],
    }),
  ]);
});
afterAll(async () => {
  await first?.[Symbol.asyncDispose]();
  await second?.[Symbol.asyncDispose]();
});

function dns(settings: object, limits: object = {}): Promise<CheckResult> {
  const input = { resolver: `127.0.0.1:${port}`, ...settings };
  return measuredCheck(testContext({}), [dnsCheckOf(port)], { kind: "dns", with: input, ...limits });
}

describe("a name", () => {
  test.each([
    [{ name: "app.ops.test", expect: "10.0.0.1" }, {}, "pass", "app.ops.test A is 10.0.0.1, kept for 5m 00s"],
    [
      { name: "APP.ops.test.", expect: "10.0.0.1" },
      { fail: "> 1m" },
      "fail",
      "app.ops.test A is 10.0.0.1, kept for 5m 00s, limit > 1m",
    ],
    // The alias is what keeps clients longest.
    [
      { name: "www.ops.test", expect: "10.0.0.1" },
      { warn: "> 1h" },
      "warn",
      "www.ops.test A is 10.0.0.1, kept for 2h 00m, limit > 1h",
    ],
    [
      { name: "www.ops.test", type: "CNAME", expect: "App.ops.test." },
      {},
      "pass",
      "www.ops.test CNAME is app.ops.test, kept for 2h 00m",
    ],
    [
      { name: "app.ops.test", expect: "10.0.0.9" },
      {},
      "fail",
      "app.ops.test A is 10.0.0.1, expected 10.0.0.9",
    ],
    [
      { name: "pair.ops.test", expect: ["10.0.0.3", "10.0.0.2"] },
      {},
      "pass",
      /^pair\.ops\.test A is 10\.0\.0\.2, 10\.0\.0\.3/,
    ],
    [
      { name: "pair.ops.test", expect: "10.0.0.3" },
      {},
      "fail",
      "pair.ops.test A is 10.0.0.2, 10.0.0.3, expected 10.0.0.3",
    ],
    [{ name: "pair.ops.test", expect: "10.0.0.3", match: "all" }, {}, "pass", /^pair/],
    [
      { name: "pair.ops.test", expect: ["10.0.0.3", "10.0.0.9"], match: "all" },
      {},
      "fail",
      /, expected all of 10\.0\.0\.3, 10\.0\.0\.9$/,
    ],
    [{ name: "pair.ops.test", expect: ["10.0.0.3", "10.0.0.9"], match: "any" }, {}, "pass", /^pair/],
    [
      { name: "pair.ops.test", expect: ["10.0.0.8", "10.0.0.9"], match: "any" },
      {},
      "fail",
      /, expected any of/,
    ],
    [
      { name: "six.ops.test", type: "AAAA", expect: "2001:DB8:0:0::1" },
      {},
      "pass",
      /is 2001:db8::1, kept for 1m 00s$/,
    ],
    [
      { name: "ops.test", type: "MX", expect: "10 mail.ops.test" },
      {},
      "pass",
      /^ops\.test MX is 10 mail\.ops\.test/,
    ],
    [{ name: "_sip._tcp.ops.test", type: "SRV", expect: "0 5 5060 sip.ops.test" }, {}, "pass", /^_sip/],
    // Longer than a datagram: over TCP.
    [
      { name: "long.ops.test", type: "TXT", expect: long.join("") },
      {},
      "pass",
      /^long\.ops\.test TXT is a{80}…/,
    ],
    [{ name: "nobody.ops.test" }, {}, "fail", "nobody.ops.test does not exist"],
    [{ name: "app.ops.test", type: "AAAA" }, {}, "fail", "app.ops.test has no AAAA record"],
    [{ name: "example.com" }, {}, "unknown", /^The DNS server 127\.0\.0\.1:\d+ answers REFUSED$/],
  ])("%o with %o is %s", async (settings, limits, status, reason) => {
    const result = await dns(settings, limits);

    expect(result.reason).toMatch(reason);
    expect(result.status).toBe(status);
  });

  test("is unknown where nobody answers, or nobody is there", async () => {
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    const resolver = `127.0.0.1:${silent.address().port}`;
    try {
      expect(await dns({ name: "app.ops.test", resolver, timeout: "200ms" })).toMatchObject({
        status: "unknown",
        reason: `The DNS server ${resolver} did not answer within 200ms`,
      });
    } finally {
      silent.close();
    }
    expect(await dns({ name: "app.ops.test", resolver })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining(`The DNS server ${resolver} cannot be asked: `),
    });
  });
});

describe("several servers", () => {
  const both = () => [`127.0.0.1:${port}`, `127.0.0.2:${port}`];

  test("must agree, and the evidence has what each of them says", async () => {
    expect(await dns({ name: "app.ops.test", resolver: both() })).toMatchObject({
      status: "pass",
      reason: "app.ops.test A is 10.0.0.1 at all 2 servers, kept for 5m 00s",
      value: 300_000,
      evidence: {
        servers: [{ server: both()[0], values: ["10.0.0.1"], ttl: 300_000 }, { server: both()[1] }],
      },
    });
    expect(await dns({ name: "moved.ops.test", resolver: both() })).toMatchObject({
      status: "fail",
      reason: `moved.ops.test A is 10.0.0.1 at ${both()[0]}, and 10.0.0.9 at ${both()[1]}`,
    });
    expect((await dns({ name: "moved.ops.test", resolver: both(), expect: "10.0.0.9" })).reason).toBe(
      `moved.ops.test A is 10.0.0.1 at ${both()[0]}, expected 10.0.0.9`,
    );
  });

  test("that answer for the zone are found by the resolver and asked themselves", async () => {
    expect(await dns({ name: "app.ops.test", authoritative: true })).toMatchObject({
      status: "pass",
      reason: "app.ops.test A is 10.0.0.1 at all 2 servers, kept for 5m 00s",
      evidence: {
        servers: [
          { server: `ns1.ops.test (127.0.0.1:${port})` },
          { server: `ns2.ops.test (127.0.0.2:${port})` },
        ],
      },
    });
    expect(await dns({ name: "moved.ops.test", authoritative: true })).toMatchObject({ status: "fail" });
    // Their answer ends where another zone begins.
    expect(await dns({ name: "out.ops.test", authoritative: true })).toMatchObject({
      status: "unknown",
      reason: "it is an alias of app.example.com, which others answer for: ask for its type CNAME",
    });

    await second[Symbol.asyncDispose]();

    expect(await dns({ name: "app.ops.test", authoritative: true, timeout: "2s" })).toMatchObject({
      status: "unknown",
      reason: expect.stringContaining(`The DNS server ns2.ops.test (127.0.0.2:${port}) cannot be asked: `),
      evidence: { servers: [{ values: ["10.0.0.1"] }, { error: expect.stringContaining("ECONNREFUSED") }] },
    });
  });
});

test.each([
  [
    { name: "app.ops.test", resolver: "dns.example.com" },
    /with\.resolver: "dns\.example\.com" is not the address of a DNS server/,
  ],
  [{ name: "app.ops.test", type: "NS" }, /with\.type/],
  [{ name: "app ops" }, /with\.name: must be a whole domain name/],
])("%o is refused before anything is asked", async (settings, message) => {
  await expect(dns(settings)).rejects.toThrow(message);
});
