import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AlbRouteTarget } from "../../../src/config/environment.ts";
import { albDriver } from "../../../src/traffic/drivers/alb.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { status } from "../../../src/traffic/status.ts";
import { perform, testContext } from "../../support/context.ts";
import {
  arns,
  type Fields,
  forward,
  forwardRule,
  startElb,
  type TestElb,
  weightsIn,
} from "../../support/elb-server.ts";
import { startHttpServer } from "../../support/http-server.ts";

/** The real AWS client with its signatures, against a stub of the API's wire protocol (tests/support/elb-server.ts). */
let elb: TestElb;
const credentials = { AWS_ACCESS_KEY_ID: "test-id", AWS_SECRET_ACCESS_KEY: "test-secret" };
beforeAll(async () => {
  Object.assign(process.env, credentials);
  elb = await startElb();
});
afterAll(() => elb.stop());
const rule = arns.rule("0123456789abcdef");
beforeEach(() => {
  elb.rules.clear();
  elb.listeners.clear();
  elb.denied.clear();
  elb.failure = undefined;
  elb.lag = 0;
  elb.rules.set(rule, forwardRule("0123456789abcdef", { "web-blue": 100, "web-green": 0 }));
  for (const name of ["web-blue", "web-green"]) elb.targets.set(arns.group(name), ["healthy", "healthy"]);
  elb.requests.length = 0;
});

const versions = { blue: "web-blue", green: "web-green" };
const settings = (extra: object = {}) => ({
  routes: { web: { driver: "alb", "listener-rule": rule, endpoint: elb.url, versions, ...extra } },
});
const driver = (extra: object = {}) =>
  albDriver(testContext(settings(extra)).environment.route() as AlbRouteTarget);
const toGreen = { to: "green", share: "10%", confirm: "0s" };
const give = (extra: object = {}) => perform(shift, testContext(settings(extra)), toGreen);
const present = () => weightsIn(elb.rules.get(rule));

describe("a shift", () => {
  test("changes the two weights and nothing else of the rule, and reads them back", async () => {
    elb.rules.set(rule, busyRule({ "web-blue": 100, "web-old": 0, "web-green": 0 }));
    const before = structuredClone(elb.rules.get(rule));

    const { output } = await give();

    expect(output).toMatchObject({ weights: { blue: 90, green: 10 }, confirmed: false });
    expect(present()).toEqual({ "web-blue": 90, "web-old": 0, "web-green": 10 });
    const text = JSON.stringify(before).replace('"Weight":"100"', '"Weight":"90"');
    const place = text.lastIndexOf('"Weight":"0"');
    expect(elb.rules.get(rule)).toEqual(
      JSON.parse(`${text.slice(0, place)}"Weight":"10"${text.slice(place + 12)}`),
    );
    const asked = elb.asked();
    expect(asked.lastIndexOf("DescribeRules")).toBeGreaterThan(asked.indexOf("ModifyRule"));
  });

  test("changes a listener's default action", async () => {
    elb.listeners.set(arns.listener, {
      ListenerArn: arns.listener,
      Port: "443",
      Protocol: "HTTPS",
      Certificates: [{ CertificateArn: "arn:aws:acm:eu-central-1:111122223333:certificate/c" }],
      DefaultActions: [forward({ "web-blue": 1, "web-green": 0 })],
    });
    const before = structuredClone(elb.listeners.get(arns.listener));

    await give({ "listener-rule": undefined, listener: arns.listener });

    const after = elb.listeners.get(arns.listener);
    expect(weightsIn(after)).toEqual({ "web-blue": 90, "web-green": 10 });
    expect({ ...after, DefaultActions: [] }).toEqual({ ...before, DefaultActions: [] });
  });

  test("takes target groups by ARN, and gives every thousandth request", async () => {
    const { output } = await perform(
      shift,
      testContext(settings({ versions: { blue: arns.group("web-blue"), green: arns.group("web-green") } })),
      { ...toGreen, share: "0.1%" },
    );

    expect(output).toMatchObject({ weights: { blue: 999, green: 1 } });
  });

  test("is taken back by its undo", async () => {
    const { undo } = await give();

    await undo();

    expect(present()).toEqual({ "web-blue": 100, "web-green": 0 });
  });

  test("waits for a description that lags behind", async () => {
    elb.lag = 2;

    await give();

    expect(present()).toEqual({ "web-blue": 90, "web-green": 10 });
  });

  test("goes on where AWS throttles or stumbles for a moment", async () => {
    elb.failure = { status: 400, code: "Throttling", calls: 1 };
    await give();
    elb.failure = { status: 503, code: "ServiceUnavailable", calls: 2 };
    await driver().setWeights({ blue: 100, green: 0 });

    expect(present()).toEqual({ "web-blue": 100, "web-green": 0 });
  });

  test("sends no change where the weights are right", async () => {
    await driver().setWeights({ blue: 100, green: 0 });

    expect(elb.asked()).not.toContain("ModifyRule");
  });
});

describe("somebody else's change", () => {
  const theirs = () =>
    elb.rules.set(rule, forwardRule("0123456789abcdef", { "web-blue": 50, "web-green": 50 }));

  test("before the rule is described is drift, and stays", async () => {
    theirs();

    const set = driver().setWeights({ blue: 90, green: 10 }, undefined, { blue: 100, green: 0 });

    await expect(set).rejects.toMatchObject({ code: "E_TRAFFIC_DRIFT" });
    expect(present()).toEqual({ "web-blue": 50, "web-green": 50 });
  });

  test("between description and change is overwritten: AWS cannot compare", async () => {
    elb.beforeModify = theirs;

    await driver().setWeights({ blue: 90, green: 10 }, undefined, { blue: 100, green: 0 });

    expect(present()).toEqual({ "web-blue": 90, "web-green": 10 });
  });

  test("after the change is drift by the reading back, unless traffic is given back", async () => {
    elb.afterModify = theirs;
    const set = driver().setWeights({ blue: 90, green: 10 }, undefined, { blue: 100, green: 0 });
    await expect(set).rejects.toMatchObject({ code: "E_TRAFFIC_DRIFT" });

    elb.afterModify = () =>
      elb.rules.set(rule, forwardRule("0123456789abcdef", { "web-blue": 7, "web-green": 3 }));
    await driver().setWeights({ blue: 100, green: 0 });

    expect(present()).toEqual({ "web-blue": 100, "web-green": 0 });
    expect(elb.asked().filter((each) => each === "ModifyRule")).toHaveLength(3);
  });

  test("a target group that takes traffic beside the versions is refused", async () => {
    elb.rules.set(rule, busyRule({ "web-blue": 100, "web-old": 5, "web-green": 0 }));

    await expect(give()).rejects.toMatchObject({
      code: "E_ROUTE_SERVER",
      exitCode: 2,
      message: expect.stringContaining("web-old takes traffic"),
    });
    expect(elb.asked()).not.toContain("ModifyRule");
  });
});

describe("traffic.status", () => {
  test("shows the health that the load balancer checks", async () => {
    elb.targets.set(arns.group("web-blue"), ["healthy", "unhealthy", "draining"]);
    elb.targets.set(arns.group("web-green"), ["unused"]);

    const { output } = await perform(status, testContext(settings()), {});

    expect(output).toMatchObject({
      versions: [
        { server: "web-blue", weight: 100, health: "failing", status: "1 of 2 healthy (Target.Timeout)" },
        { server: "web-green", weight: 0, health: "down" },
      ],
    });
    await expect(give()).rejects.toMatchObject({ code: "E_VERSION_DOWN" });
  });

  test("asks AWS once for many looks in a row", async () => {
    const watched = driver();
    for (let look = 0; look < 10; look += 1) await watched.states();

    expect(elb.asked()).toEqual(["DescribeRules", "DescribeTargetHealth", "DescribeTargetHealth"]);
  });
});

describe("what cannot work is said before anything is changed", () => {
  const missing = rule.replace(/f$/, "e");
  test.each([
    ["a rule that is not there", { "listener-rule": missing }, "E_ROUTE_RULE", 2, `did you mean ${rule}?`],
    [
      "a target group that is not in the rule",
      { versions: { blue: "web-blue", green: "web-gren" } },
      "E_ROUTE_SERVER",
      2,
      'did you mean "web-green"?',
    ],
    [
      "an endpoint where nothing listens",
      { endpoint: "http://127.0.0.1:9" },
      "E_ALB_UNREACHABLE",
      1,
      "endpoint:",
    ],
  ])("%s", async (_, extra, code, exitCode, hint) => {
    await expect(give(extra)).rejects.toMatchObject({ code, exitCode, hint: expect.stringContaining(hint) });
    expect(elb.asked()).not.toContain("ModifyRule");
  });

  test("a listener that is not there, with those that are", async () => {
    elb.listeners.set(arns.listener, {
      ListenerArn: arns.listener,
      Port: "443",
      Protocol: "HTTPS",
      DefaultActions: [],
    });
    const listener = arns.listener.replace(/2$/, "3");

    await expect(give({ "listener-rule": undefined, listener })).rejects.toMatchObject({
      code: "E_ROUTE_RULE",
      hint: expect.stringContaining(`did you mean ${arns.listener}?`),
    });
  });

  test("a rule that redirects, and a listener's default rule", async () => {
    elb.rules.set(rule, { ...forwardRule("0123456789abcdef", {}), Actions: [{ Type: "redirect" }] });
    await expect(give()).rejects.toMatchObject({ code: "E_ROUTE_RULE", cause: "it does: redirect" });

    elb.rules.set(rule, { ...forwardRule("0123456789abcdef", { a: 1 }), IsDefault: "true" });
    await expect(give()).rejects.toMatchObject({ hint: expect.stringContaining('write "listener:"') });
  });

  test.each(["DescribeRules", "DescribeTargetHealth", "ModifyRule"])(
    "a right that is missing: %s",
    async (action) => {
      elb.denied.add(action);

      await expect(give()).rejects.toMatchObject({
        code: "E_ALB_DENIED",
        hint: expect.stringContaining(`allow elasticloadbalancing:${action}`),
        cause: expect.stringContaining("is not authorized to perform"),
      });
      expect(present()).toEqual({ "web-blue": 100, "web-green": 0 });
    },
  );

  test.each(["ExpiredToken", "InvalidClientTokenId"])("credentials that are no good: %s", async (code) => {
    elb.failure = { status: 403, code };

    const error = await give().catch((each: unknown) => each);

    expect(error).toMatchObject({ code: "E_ALB_CREDENTIALS", hint: expect.stringContaining("log in again") });
    expect(JSON.stringify(error) + String(error)).not.toContain("test-secret");
  });
});

test.each([
  [502, "<html>Bad gateway</html>", "E_ALB_BUSY"],
  [404, "<html>not here</html>", "E_ALB"],
  [200, "<html>welcome</html>", "E_ALB"],
  [200, "{}", "E_ALB"],
])("something else than AWS that answers with status %i and %s", async (answered, text, code) => {
  const other = await startHttpServer((_, response) => {
    response.writeHead(answered, { "content-type": "text/html" });
    response.end(text);
  });
  try {
    await expect(driver({ endpoint: other.url }).weights()).rejects.toMatchObject({ code, exitCode: 1 });
  } finally {
    await other.stop();
  }
});

/** With a login by OpenID before it, whose secret AWS never tells. */
function busyRule(weights: Readonly<Record<string, number>>): Fields {
  const login = {
    Type: "authenticate-oidc",
    Order: "1",
    AuthenticateOidcConfig: {
      Issuer: "https://login.example.com",
      AuthorizationEndpoint: "https://login.example.com/authorize",
      TokenEndpoint: "https://login.example.com/token",
      UserInfoEndpoint: "https://login.example.com/me",
      ClientId: "shop",
      ClientSecret: "only AWS knows",
      AuthenticationRequestExtraParams: {},
      OnUnauthenticatedRequest: "authenticate",
    },
  };
  const { AuthenticationRequestExtraParams: _, ...config } = login.AuthenticateOidcConfig;
  return {
    ...forwardRule("0123456789abcdef", {}),
    Actions: [
      { ...login, AuthenticateOidcConfig: config },
      { ...forward(weights), Order: "2" },
    ],
  };
}
