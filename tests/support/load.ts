import { Agent, get } from "node:http";

export interface Load {
  /** Ends the load after the requests on their way; resolves with what all of them met. */
  stop(): Promise<LoadResult>;
}

export interface LoadResult {
  readonly sent: number;
  readonly ok: number;
  /** Answers outside 200–299, broken connections and timeouts. */
  readonly failed: number;
}

const tickMs = 10;
const timeoutMs = 5000;

/** Keeps connections, but idle ones not as long as balancers do: none of them ends one that is just used again. */
export function keepingAgent(maxSockets: number): Agent {
  return new Agent({ keepAlive: true, maxSockets, timeout: 5000 });
}

/** Evenly spaced requests over kept connections, so that even a bake of a fraction of a second sees traffic. */
export function startLoad(url: string, requestsPerSecond = 200): Load {
  const agent = keepingAgent(32);
  const underway = new Set<Promise<boolean>>();
  let sent = 0;
  let ok = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) / 1000) * requestsPerSecond);
    // After a pause of the process the backlog is not sent in one burst.
    for (let burst = 0; sent < due && burst < 10; burst += 1) {
      sent += 1;
      const request = answered(url, agent).then((fine) => {
        if (fine) ok += 1;
        underway.delete(request);
        return fine;
      });
      underway.add(request);
    }
  }, tickMs);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(underway);
      agent.destroy();
      return { sent, ok, failed: sent - ok };
    },
  };
}

function answered(url: string, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(url, { agent, timeout: timeoutMs }, (response) => {
      response.resume();
      response.once("error", () => resolve(false));
      response.once("end", () =>
        resolve(response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 300),
      );
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
  });
}
