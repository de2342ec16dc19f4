import { createHmac } from "node:crypto";
import { OpsError } from "../core/errors.ts";
import { type Message, messageData } from "./message.ts";

const prefix = "whsec_";

/** The body of a generic webhook, in the form that Standard Webhooks recommends. */
export function webhookBody(message: Message, id: string): string {
  return JSON.stringify({ type: message.event, timestamp: message.at, data: messageData(message, id) });
}

/**
 * The headers that prove who sent a body, and that it is a repeat of one where its id was seen before.
 * Source: Standard Webhooks 1.0.0 (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`.
 * @param secret `whsec_` and base64, or any text, whose bytes are the key then
 * Throws `E_NOTICE` for what is no key: anybody could sign with an empty one.
 * @param timestamp of this attempt, in milliseconds since 1970
 */
export function signedHeaders(
  secret: string,
  id: string,
  timestamp: number,
  body: string,
): Record<string, string> {
  const key = keyOf(secret);
  const seconds = Math.floor(timestamp / 1000);
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${signature}`,
  };
}

function keyOf(secret: string): Buffer {
  if (!secret.startsWith(prefix)) return Buffer.from(secret);
  const encoded = secret.slice(prefix.length);
  if (!/^[A-Za-z0-9+/]{8,}={0,2}$/.test(encoded))
    throw new OpsError("E_NOTICE", "the secret is no key: whsec_ and base64, or any other text");
  return Buffer.from(encoded, "base64");
}
