import { resolve } from "node:path";
import { kindOf } from "./notification-schema.ts";
import type { NotificationSettings } from "./schema.ts";
import { Secret } from "./secret.ts";

interface Common {
  readonly name: string;
  /** What relative paths and `file:` references begin at. */
  readonly directory: string;
}

export interface EmailTarget extends Common {
  readonly kind: "email";
  readonly host: string;
  readonly port: number;
  readonly tls: "starttls" | "tls" | "none";
  readonly user: Secret | undefined;
  readonly password: Secret | undefined;
  readonly from: string;
  readonly to: readonly string[];
  /** Absolute path of a file of certificates. */
  readonly ca: string | undefined;
}

/** Somebody who can be told. */
export type NotificationTarget =
  | (Common & { readonly kind: "slack"; readonly url: Secret })
  | (Common & {
      readonly kind: "webhook";
      readonly url: Secret;
      readonly secret: Secret;
      readonly headers: Readonly<Record<string, string>>;
    })
  | (Common & {
      readonly kind: "url";
      readonly url: Secret;
      readonly headers: Readonly<Record<string, string>>;
    })
  | (Common & { readonly kind: "pagerduty"; readonly url: Secret; readonly routingKey: Secret })
  | EmailTarget
  | (Common & { readonly kind: "file" /** Absolute path. */; readonly file: string })
  | (Common & {
      readonly kind: "command";
      readonly command: readonly string[];
      readonly variables: readonly string[];
    });

const pagerDuty = "https://events.pagerduty.com/v2/enqueue";

/** The schema has seen to it that what a kind needs is there. */
export function notificationTarget(
  name: string,
  settings: NotificationSettings,
  directory: string,
): NotificationTarget {
  const common = { name, directory };
  const kind = kindOf(settings);
  const secretOf = (text: string | undefined) => new Secret(text ?? "", directory);
  const { headers = {} } = settings;
  switch (kind) {
    case "slack":
      return { ...common, kind, url: secretOf(settings.url) };
    case "webhook":
      return { ...common, kind, url: secretOf(settings.url), secret: secretOf(settings.secret), headers };
    case "url":
      return { ...common, kind, url: secretOf(settings.url), headers };
    case "pagerduty":
      return {
        ...common,
        kind,
        url: secretOf(settings.url ?? pagerDuty),
        routingKey: secretOf(settings["routing-key"]),
      };
    case "email":
      return emailTarget(common, settings);
    case "file":
      return { ...common, kind, file: resolve(directory, settings.file ?? "") };
    case "command":
      return { ...common, kind, command: settings.command ?? [], variables: settings.variables ?? [] };
  }
}

function emailTarget(common: Common, settings: NotificationSettings): EmailTarget {
  const { directory } = common;
  const [, host = "", written] = /^(.+?)(?::(\d+))?$/.exec(settings.server ?? "") ?? [];
  const tls = settings.tls ?? (written === "465" ? "tls" : "starttls");
  const optional = (text: string | undefined) =>
    text === undefined ? undefined : new Secret(text, directory);
  return {
    ...common,
    kind: "email",
    host: host.replace(/^\[|\]$/g, ""),
    port: written === undefined ? (tls === "tls" ? 465 : 587) : Number(written),
    tls,
    user: optional(settings.user),
    password: optional(settings.password),
    from: settings.from ?? "",
    to: settings.to ?? [],
    ca: settings.ca === undefined ? undefined : resolve(directory, settings.ca),
  };
}
