import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { OpsError } from "../core/errors.ts";

/**
 * Below the range from which Linux and macOS take the ports of outgoing connections, so that between asking for a
 * port and using it only another server could take it.
 */
const lowest = 15_000;
const highest = 32_000;

/** A TCP port on 127.0.0.1 that nobody listens on now. The caller tries again with another where that changes. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(lowest, highest);
    if (await isFree(port)) return port;
  }
  throw new OpsError("E_NO_FREE_PORT", `No free port was found between ${lowest} and ${highest}`, {
    hint: "see what listens with: ss -ltn",
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" || error.code === "EACCES" ? resolve(false) : reject(error),
    );
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
