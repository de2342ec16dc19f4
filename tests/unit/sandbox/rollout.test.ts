import { describe, expect, it } from "vitest";
import { bucket } from "../../../src/flag/bucket.ts";
import { inRollout } from "../../../src/sandbox/rollout.ts";

describe("the sample application's reading of a flag's rollout", () => {
  it("agrees with the product about every user", () => {
    for (let n = 0; n < 2000; n += 1) {
      const user = `visitor-${n}`;
      const place = bucket("session-pooling", user);

      expect(inRollout("session-pooling", user, place)).toBe(false);
      expect(inRollout("session-pooling", user, place + 0.01)).toBe(true);
    }
  });

  it("has nobody at 0% and everybody at 100%", () => {
    const users = Array.from({ length: 500 }, (_, n) => `user-${n}`);

    expect(users.some((user) => inRollout("session-pooling", user, 0))).toBe(false);
    expect(users.every((user) => inRollout("session-pooling", user, 100))).toBe(true);
  });
});
