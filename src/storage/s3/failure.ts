import type { S3StoreTarget } from "../../config/environment.ts";
import { causeText, OpsError } from "../../core/errors.ts";

/** Of an answer that has no body to name it, by its HTTP status. */
const codesOfStatus: Readonly<Record<number, string>> = {
  301: "PermanentRedirect",
  403: "AccessDenied",
  404: "NoSuchKey",
  409: "ConditionalRequestConflict",
  412: "PreconditionFailed",
  416: "InvalidRange",
};

/** The server's name for what went wrong (`NoSuchBucket`), the system's (`ECONNREFUSED`), or the empty text. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const status = statusOf(error);
  if (status !== undefined && /^(Error|Unknown|UnknownError|\d+|NotFound|Forbidden|)$/.test(error.name)) {
    return codesOfStatus[status] ?? String(status);
  }
  if (status === undefined) {
    const own = error instanceof AggregateError ? error.errors[0] : error;
    const code = own instanceof Error && "code" in own ? own.code : undefined;
    if (typeof code === "string") return code;
    if (error.name === "Error" && error.cause !== undefined) return codeOf(error.cause);
  }
  return error.name;
}

/** The HTTP status of the server's answer; undefined where there was none. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("$metadata" in error)) return undefined;
  return (error.$metadata as { readonly httpStatusCode?: number } | undefined)?.httpStatusCode;
}

const transientCodes = new Set(
  (
    "SlowDown ServiceUnavailable InternalError RequestTimeout Throttling ThrottlingException TooManyRequests " +
    // The body was damaged or cut on its way.
    "BadDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch IncompleteBody " +
    "OperationAborted ConditionalRequestConflict TimeoutError " +
    "ECONNRESET ECONNABORTED ECONNREFUSED EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EAI_AGAIN ERR_STREAM_PREMATURE_CLOSE"
  ).split(" "),
);

/** Whether the same request may go well a little later. */
export function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined && (status === 429 || (status >= 500 && status !== 501))) return true;
  return transientCodes.has(codeOf(error)) || (error instanceof Error && error.message === "aborted");
}

/** What was wrong, for a person: the server's name for it, its sentence, and nothing of the request. */
function saidOf(error: unknown): string {
  const code = codeOf(error);
  const text = causeText(error) ?? "";
  return text === "" || text === "UnknownError" ? code : text.includes(code) ? text : `${code}: ${text}`;
}

interface Meaning {
  readonly codes: RegExp;
  readonly become: (
    target: S3StoreTarget,
    name: string,
  ) => readonly [code: `E_${string}`, what: string, hint: string];
  readonly retryable?: true;
}

const meanings: readonly Meaning[] = [
  {
    codes: /^NoSuchBucket$/,
    become: ({ name, bucket }) => [
      "E_STORE_BUCKET",
      `there is no bucket "${bucket}"`,
      `make it, or correct "url:" of "stores: ${name}:" in .opsrc`,
    ],
  },
  {
    codes: /^CredentialsProviderError$/,
    become: ({ name, credentials }) => [
      "E_STORE_KEYS",
      "no keys can be had",
      credentials.kind === "profile"
        ? `look at the profile ${credentials.profile} in ~/.aws/config and ~/.aws/credentials`
        : `name a profile, or access-key and secret-key, under "stores: ${name}: s3:" in .opsrc`,
    ],
  },
  {
    codes:
      /^(SignatureDoesNotMatch|InvalidAccessKeyId|ExpiredToken|InvalidToken|TokenRefreshRequired|AuthFailure)$/,
    become: ({ name, credentials }) => [
      "E_STORE_KEYS",
      "the server does not take these keys",
      credentials.kind === "keys"
        ? `compare access-key and secret-key of "stores: ${name}: s3:" in .opsrc with the server's, and where they are read from`
        : credentials.kind === "profile"
          ? `look at the profile ${credentials.profile} in ~/.aws/config and ~/.aws/credentials`
          : `name a profile, or access-key and secret-key, under "stores: ${name}: s3:" in .opsrc`,
    ],
  },
  {
    codes: /^RequestTimeTooSkewed$/,
    become: () => [
      "E_STORE_CLOCK",
      "this machine's clock and the server's are too far apart",
      "set this machine's clock (timedatectl set-ntp true), then run it again",
    ],
  },
  {
    codes:
      /^(PermanentRedirect|Redirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException|InvalidRegion)$/,
    become: ({ name, bucket, region }) => [
      "E_STORE_REGION",
      `the bucket "${bucket}" is not in the region ${region ?? "that was assumed"}`,
      `write the bucket's region as "region:" of "stores: ${name}: s3:" in .opsrc`,
    ],
  },
  {
    codes: /^(AccessDenied|AllAccessDisabled|AccountProblem|KMS\.\w+)$/,
    become: ({ name, bucket }) => [
      "E_STORE_DENIED",
      "the server refuses this to these keys",
      `let them list, read, write and delete in ${bucket} (docs/stores.md has the policy), or use others in "stores: ${name}: s3:"`,
    ],
  },
  {
    codes: /^(ObjectLockConfigurationNotFoundError|InvalidRetentionPeriod)$/,
    become: ({ name }) => [
      "E_OBJECT_LOCK",
      "the bucket has no Object Lock",
      `make a bucket that has it (only a new one can), or remove "object-lock:" of "stores: ${name}: s3:" in .opsrc`,
    ],
  },
  {
    codes: /^(QuotaExceeded|StorageFull|XMinioStorageFull|InsufficientStorage|507)$/,
    become: () => [
      "E_STORE_FULL",
      "there is no space left",
      "free some space or raise the quota, then run it again",
    ],
  },
  {
    codes: /CERT|SELF_SIGNED|UNABLE_TO_|^EPROTO$|^ERR_TLS|^ERR_SSL/,
    become: ({ name, endpoint = "AWS" }) => [
      "E_STORE_TLS",
      `no secure connection to ${endpoint}`,
      `name the authority that signed its certificate as "ca-file:" of "stores: ${name}: s3:" in .opsrc; see that the endpoint speaks https`,
    ],
  },
  {
    codes: /^(ENOTFOUND|EAI_AGAIN|EAI_FAIL|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/,
    become: ({ name, endpoint = "AWS" }) => [
      "E_STORE_UNREACHABLE",
      `${endpoint} cannot be reached`,
      `correct "endpoint:" of "stores: ${name}: s3:" in .opsrc, or see that the server is running`,
    ],
    retryable: true,
  },
  {
    codes: /^(TimeoutError|ETIMEDOUT|ECONNRESET|ECONNABORTED|EPIPE|ERR_STREAM_PREMATURE_CLOSE)$|^aborted$/,
    become: ({ endpoint = "AWS" }) => [
      "E_STORE_UNREACHABLE",
      `${endpoint} does not answer, or the connection breaks`,
      "look at the network and the server, then run it again: nothing half done counts",
    ],
    retryable: true,
  },
  {
    codes:
      /^(SlowDown|ServiceUnavailable|InternalError|Throttling|ThrottlingException|TooManyRequests|RequestTimeout|429|5\d\d)$/,
    become: () => [
      "E_STORE_BUSY",
      "the server is overloaded or out of order",
      'run it again later; a lower "bandwidth:" of the store in .opsrc may help',
    ],
    retryable: true,
  },
];

/** Any failure of a request as an error for people. `name`: the object that was meant; empty where there was none. */
export function storeError(error: unknown, target: S3StoreTarget, location: string, name: string): OpsError {
  if (error instanceof OpsError) return error;
  const code = codeOf(error);
  if (name !== "" && /^(NoSuchKey|NotFound)$/.test(code)) {
    return new OpsError("E_OBJECT_MISSING", `${location} has no object "${name}"`, { retryable: false });
  }
  // Never the error itself: it carries the signed request.
  const cause = saidOf(error);
  const found = lockMistake(code, cause) ?? meanings.find((each) => each.codes.test(code));
  if (found === undefined) {
    return new OpsError("E_STORE", `${location} cannot be used`, {
      cause,
      hint: "see what the server said above, and what is configured: ops doctor",
    });
  }
  const [become, what, hint] = found.become(target, name);
  return new OpsError(become, `${location}: ${what}`, { cause, hint, retryable: found.retryable === true });
}

/** Servers say this with their general word for a bad request. */
function lockMistake(code: string, said: string): Meaning | undefined {
  if (!/^(InvalidRequest|InvalidArgument)$/.test(code) || !/object.?lock/i.test(said)) return undefined;
  return meanings.find((each) => each.codes.test("ObjectLockConfigurationNotFoundError"));
}
