import { causeText, OpsError, UsageError } from "../core/errors.ts";
import type { ClusterAccess } from "./kubeconfig.ts";

export interface ApiRequest {
  readonly method: "GET" | "PATCH" | "POST";
  /** With its query; never a secret. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** As RBAC names it: `patch httproutes.gateway.networking.k8s.io in the namespace shop`. */
  readonly permission: string;
}

/** What the API server said instead of doing it. */
export interface Refusal {
  readonly status: number;
  /** `NotFound`, `Forbidden`, `Invalid`, or empty. */
  readonly reason: string;
  readonly message: string;
  /** Of the object that was not found; undefined where the server does not know the kind itself. */
  readonly kind: string | undefined;
}

/** An answer that nobody asked for, as an error for people. */
export function refused(access: ClusterAccess, request: ApiRequest, refusal: Refusal): OpsError {
  const { status, message } = refusal;
  const subject = `The API server ${access.server}`;
  const cause = message === "" ? `HTTP status ${status}` : message;
  if (status === 401) {
    return new OpsError(
      "E_KUBERNETES_CREDENTIALS",
      `${subject} does not take the credentials of ${access.origin}`,
      {
        cause,
        hint: "log in again; see who you are with: kubectl auth whoami",
        retryable: false,
      },
    );
  }
  if (status === 403) {
    return new OpsError("E_KUBERNETES_DENIED", `${subject} refuses this to ${access.origin}`, {
      cause,
      hint: `allow: ${request.permission} (docs/balancers.md has the whole role)`,
      retryable: false,
    });
  }
  if (status === 429 || status >= 500) {
    return new OpsError(
      "E_KUBERNETES_BUSY",
      `${subject} is overloaded or out of order, also after several tries`,
      {
        cause,
        hint: "run it again later; see how it is: kubectl get --raw /readyz",
      },
    );
  }
  return new OpsError("E_KUBERNETES", `${subject} refused to ${request.permission}`, {
    cause,
    hint: "see what it says above, and what is configured: ops doctor",
    retryable: false,
  });
}

/** Where there was no answer. Certificates and names are mistakes that trying again does not mend. */
export function unreachable(access: ClusterAccess, request: ApiRequest, error: unknown): OpsError {
  const own = error instanceof AggregateError ? error.errors[0] : error;
  const code = own instanceof Error && "code" in own ? String(own.code) : "";
  const where = `${access.server} (${access.origin})`;
  const cause = causeText(error) ?? code;
  if (code === "ERR_INVALID_URL") {
    return new UsageError("E_KUBERNETES_CONFIG", `${where} is not the URL of an API server`, {
      hint: "see what is configured: kubectl config view --minify",
    });
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|^ERR_SSL|^ERR_TLS|^ERR_OSSL|^EPROTO$/.test(code)) {
    return new OpsError("E_KUBERNETES_TLS", `There is no secure connection to ${where}`, {
      cause,
      hint: "see the certificates of the kubeconfig: kubectl config view --minify; have it written anew by your provider's tool",
      retryable: false,
    });
  }
  return new OpsError("E_KUBERNETES_UNREACHABLE", `The API server ${where} cannot be reached`, {
    cause,
    hint: `see whether kubectl reaches it: kubectl get --raw /readyz (${request.method} was asked for)`,
  });
}
