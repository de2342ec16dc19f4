import { z } from "zod";
import { isReference } from "./secret.ts";
import { referencedSecret, secret } from "./secret-field.ts";

/** Where notices go. */

export const webUrl = (what: string) =>
  z
    .string()
    .refine(
      (each) => isReference(each) || (/^https?:\/\//.test(each) && URL.canParse(each)),
      "must be an http: or https: URL, or a reference (env:NAME)",
    )
    .describe(`${what} (text, or a reference: env:NAME, file:PATH, cmd:COMMAND)`);

const kinds = ["slack", "webhook", "email", "pagerduty", "file", "command", "url"] as const;
export type NotificationKind = (typeof kinds)[number];

/** The keys that each kind needs, and those that it may have. */
const keysOf: Record<
  NotificationKind,
  { readonly needs: readonly string[]; readonly may: readonly string[] }
> = {
  slack: { needs: ["url"], may: [] },
  webhook: { needs: ["url", "secret"], may: ["headers"] },
  email: { needs: ["server", "from", "to"], may: ["tls", "user", "password", "ca"] },
  pagerduty: { needs: ["routing-key"], may: ["url"] },
  file: { needs: ["file"], may: [] },
  command: { needs: ["command"], may: ["variables"] },
  url: { needs: ["url"], may: ["headers"] },
};

const address = z
  .string()
  .regex(/^[^\s<>@]+@[^\s<>@]+$|^[^<>\r\n]*<[^\s<>@]+@[^\s<>@]+>$/, 'must be an address: "ada@example.com"');

export const notificationSchema = z
  .strictObject({
    kind: z
      .enum(kinds)
      .optional()
      .describe(
        "What receives it. Default: command where there is one, else url: the notice as JSON, unsigned",
      ),
    url: webUrl("Where the notice is sent (POST)").optional(),
    headers: z
      .record(z.string(), z.string())
      .optional()
      .describe("Headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
    secret: referencedSecret("The key of the signature: whsec_… or any text").optional(),
    "routing-key": referencedSecret("The integration key of a PagerDuty service").optional(),
    server: z
      .string()
      .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/]+)(:\d{1,5})?$/, 'must be a mail server: "smtp.example.com:587"')
      .optional()
      .describe("The mail server, HOST:PORT; default port: 587, with tls: tls 465"),
    tls: z
      .enum(["starttls", "tls", "none"])
      .optional()
      .describe("How the connection is secured. Default: starttls, on port 465 tls"),
    user: secret("Who logs in at the mail server").optional(),
    password: referencedSecret("The password there").optional(),
    from: address.optional().describe("The sender's address: ops <ops@example.com>"),
    to: z.array(address).min(1, "needs at least one recipient").optional().describe("The recipients"),
    ca: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("File of certificates (PEM) that it is trusted by"),
    file: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("File that gets a line of JSON for each notice"),
    command: z
      .array(z.string())
      .min(1, "needs a program")
      .optional()
      .describe("A program and its arguments; it gets the notice as JSON on its standard input"),
    variables: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable"))
      .optional()
      .describe("Names of environment variables that the program gets, beside PATH, HOME, LANG and TZ"),
  })
  .superRefine((each, context) => {
    const present = Object.entries(each).flatMap(([key, value]) =>
      value === undefined || key === "kind" ? [] : [key],
    );
    if (each.kind === undefined && each.command !== undefined && each.url !== undefined) {
      context.addIssue({
        code: "custom",
        message: 'has both "command" and "url": make two notifications of it',
      });
      return;
    }
    if (each.kind === undefined && each.command === undefined && each.url === undefined) {
      context.addIssue({
        code: "custom",
        message: `needs a "kind" (${kinds.join(", ")}), or a "command" or a "url"`,
        params: { hint: "write kind: slack and url: env:SLACK_WEBHOOK" },
      });
      return;
    }
    const kind = kindOf(each);
    const { needs, may } = keysOf[kind];
    for (const key of present.filter((key) => ![...needs, ...may].includes(key))) {
      const others = kinds.filter((other) => [...keysOf[other].needs, ...keysOf[other].may].includes(key));
      const message = `is for ${others.join(", ")}, not for ${kind}`;
      context.addIssue({
        code: "custom",
        path: [key],
        message,
        params: { hint: `write kind: ${others[0]}` },
      });
    }
    for (const key of needs.filter((key) => !present.includes(key))) {
      context.addIssue({ code: "custom", message: `of kind ${kind} needs "${key}"` });
    }
    if (each.password !== undefined && each.user === undefined)
      context.addIssue({ code: "custom", path: ["password"], message: 'needs "user"' });
    if (each.password !== undefined && each.tls === "none" && !isLoopback(each.server ?? ""))
      context.addIssue({
        code: "custom",
        path: ["tls"],
        message: "none would send the password in the clear",
        params: { hint: "write tls: starttls" },
      });
  });

type Kinded = { readonly kind?: NotificationKind | undefined; readonly command?: unknown };

export function kindOf({ kind, command }: Kinded): NotificationKind {
  return kind ?? (command === undefined ? "url" : "command");
}

function isLoopback(server: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(server);
}
