import { expect, it } from "vitest";
import type { AlbTarget } from "../../../src/alb/client.ts";
import { albError } from "../../../src/alb/failure.ts";
import { errorRecord } from "../../../src/core/errors.ts";

const arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:listener-rule/app/shop/1/2/3";
const target: AlbTarget = { name: "web", place: { kind: "rule", arn } };

/** As the SDK throws it, with the request that was signed. */
function serviceError(name: string, httpStatusCode: number): Error {
  const $response = { request: { headers: { authorization: "AWS4-HMAC-SHA256 Signature=4711" } } };
  return Object.assign(new Error(`${name} of the test`), {
    name,
    $fault: "client",
    $metadata: { httpStatusCode },
    $response,
  });
}
const networkError = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

it.each<[Error, string, boolean]>([
  [serviceError("Throttling", 400), "E_ALB_BUSY", true],
  [serviceError("ServiceUnavailable", 503), "E_ALB_BUSY", true],
  [serviceError("Unknown", 502), "E_ALB_BUSY", true],
  [serviceError("AccessDenied", 403), "E_ALB_DENIED", false],
  [serviceError("ExpiredToken", 403), "E_ALB_CREDENTIALS", false],
  [
    Object.assign(new Error("no providers"), { name: "CredentialsProviderError" }),
    "E_ALB_CREDENTIALS",
    false,
  ],
  [serviceError("TargetGroupNotFound", 400), "E_ROUTE_RULE", false],
  [serviceError("InvalidLoadBalancerAction", 400), "E_ALB", false],
  [serviceError("Error", 200), "E_ALB", false],
  [networkError("ECONNREFUSED"), "E_ALB_UNREACHABLE", true],
  [new AggregateError([networkError("ENOTFOUND")]), "E_ALB_UNREACHABLE", true],
  [networkError("SELF_SIGNED_CERT_IN_CHAIN"), "E_ALB_UNREACHABLE", true],
])("%o becomes %s", (error, code, retryable) => {
  const found = albError(error, target, "ModifyRule");

  expect(found).toMatchObject({ code, retryable, hint: expect.any(String) });
  expect(JSON.stringify(errorRecord(found))).not.toContain("4711");
  expect(found.cause).not.toBeInstanceOf(Error);
});

it("a right that is missing is named with what it is needed on", () => {
  const denied = serviceError("AccessDenied", 403);

  expect(albError(denied, target, "ModifyRule").hint).toContain(`elasticloadbalancing:ModifyRule on ${arn}`);
  expect(albError(denied, target, "DescribeRules").hint).toContain(
    'elasticloadbalancing:DescribeRules on "*"',
  );
});
