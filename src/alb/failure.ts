import { causeText, OpsError, UsageError } from "../core/errors.ts";
import type { AlbAction, AlbTarget } from "./client.ts";

/**
 * The service's name for what went wrong (`AccessDenied`), the system's (`ECONNREFUSED`), the HTTP status where what
 * answers says nothing that AWS would, or the empty text.
 */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const status = statusOf(error);
  if (status !== undefined)
    return /^(Error|SyntaxError|NotFound|Unknown|UnknownError|)$/.test(error.name)
      ? String(status)
      : error.name;
  const own = error instanceof AggregateError ? error.errors[0] : error;
  return own instanceof Error && "code" in own && typeof own.code === "string" ? own.code : error.name;
}

function statusOf(error: Error): number | undefined {
  if (!("$metadata" in error)) return undefined;
  return (error.$metadata as { readonly httpStatusCode?: number } | undefined)?.httpStatusCode;
}

type Meaning = readonly [code: `E_${string}`, what: string, hint: string, retryable?: true];

const meanings: readonly (readonly [
  codes: RegExp,
  become: (target: AlbTarget, action: AlbAction) => Meaning,
])[] = [
  [
    /^(AccessDenied|AccessDeniedException|UnauthorizedOperation)$/,
    ({ place }, action) => [
      "E_ALB_DENIED",
      `these credentials may not do ${action}`,
      `allow elasticloadbalancing:${action} ${action.startsWith("Modify") ? `on ${place.arn}` : 'on "*"'} (docs/balancers.md has the whole policy)`,
    ],
  ],
  [
    /^(CredentialsProviderError|ExpiredToken|ExpiredTokenException|RequestExpired|InvalidClientTokenId|UnrecognizedClientException|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken|AuthFailure|OptInRequired|TokenProviderError)$/,
    ({ name, profile }) => [
      "E_ALB_CREDENTIALS",
      "there are no credentials that AWS takes",
      profile === undefined
        ? `log in again, see who you are with: aws sts get-caller-identity; or name a "profile:" of "routes: ${name}:" in .opsrc`
        : `log in again: aws sso login --profile ${profile}; see who you are with: aws sts get-caller-identity --profile ${profile}`,
    ],
  ],
  [
    /^(Throttling|ThrottlingException|TooManyRequestsException|RequestLimitExceeded|RequestThrottled|SlowDown)$/,
    () => [
      "E_ALB_BUSY",
      "AWS takes no more calls from this account for now, also after several tries",
      "run it again later; see who else calls the API so often",
      true,
    ],
  ],
  [
    /^(ServiceUnavailable|InternalFailure|InternalError|InternalServiceError|5\d\d)$/,
    () => ["E_ALB_BUSY", "the service is out of order, also after several tries", "run it again later", true],
  ],
  [
    /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|TimeoutError|ETIMEDOUT|ECONNRESET|EPIPE)$|CERT|SELF_SIGNED|UNABLE_TO_|^ERR_SSL|^EPROTO$/,
    ({ name, endpoint }) => [
      "E_ALB_UNREACHABLE",
      `${endpoint ?? "AWS"} cannot be reached`,
      endpoint === undefined
        ? `see that this machine reaches AWS, and the region in the ARN of "routes: ${name}:" in .opsrc`
        : `correct "endpoint:" of "routes: ${name}:" in .opsrc, or see that the server is running`,
      true,
    ],
  ],
];

/** Any failure of a call as an error for people. Never the error itself: it carries the signed request. */
export function albError(error: unknown, target: AlbTarget, action: AlbAction): OpsError {
  if (error instanceof OpsError) return error;
  const code = codeOf(error);
  const cause = saidOf(error, code);
  const subject = `The load balancer of route ${target.name}`;
  const become = meanings.find(([codes]) => codes.test(code))?.[1];
  if (become !== undefined) {
    const [own, what, hint, retryable = false] = become(target, action);
    return new OpsError(own, `${subject}: ${what}`, { cause, hint, retryable });
  }
  if (/^(ValidationError|InvalidArn|MalformedQueryString)/.test(code) || /NotFound(Exception)?$/.test(code)) {
    return new UsageError("E_ROUTE_RULE", `${subject}: AWS does not know what ${action} was asked for`, {
      cause,
      hint: `correct "listener-rule:" or "listener:" of "routes: ${target.name}:" in .opsrc`,
    });
  }
  if (/^\d+$/.test(code)) return notTheApi(target, `HTTP status ${code}`);
  return new OpsError("E_ALB", `${subject}: AWS refused ${action}`, {
    cause,
    hint: "see what AWS says above, and what is configured: ops doctor",
    retryable: false,
  });
}

/** What answers says nothing that the API of a load balancer would. */
export function notTheApi({ name }: AlbTarget, cause: string): OpsError {
  return new OpsError("E_ALB", `What answers for route ${name} is not the API of AWS's load balancers`, {
    cause,
    hint: `see that "endpoint:" of "routes: ${name}:" in .opsrc is that of Elastic Load Balancing, or remove it`,
    retryable: false,
  });
}

function saidOf(error: unknown, code: string): string {
  const text = causeText(error) ?? "";
  return text === "" || text === "UnknownError" ? code : text.includes(code) ? text : `${code}: ${text}`;
}
