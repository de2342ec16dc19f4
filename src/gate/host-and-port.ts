import { isIP } from "node:net";
import type { z } from "zod";

/** `db.example.com`, `db.example.com:5432`, `10.0.0.1:443`, `[::1]:5432`, `::1`. */
export function hostAndPort(text: string, usual: number): { host: string; port: number } {
  if (isIP(text) === 6) return { host: text, port: usual };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  return { host: bracketed ?? plain ?? "", port: port === undefined ? usual : Number(port) };
}

export function mustBeHostAndPort(text: string, context: z.RefinementCtx): void {
  const { host, port } = hostAndPort(text, 1);
  const isAddress = isIP(host) !== 0;
  const isName = /^(?!-)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?$/.test(host);
  if ((isAddress || isName) && port > 0 && port < 65_536) return;
  context.addIssue({
    code: "custom",
    message: `"${text.slice(0, 100)}" is not a host and a port`,
    params: { hint: "write app.example.com, app.example.com:8443 or [2001:db8::1]:443" },
  });
}
