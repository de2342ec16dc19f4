/**
 * The script that k6 runs, the same for every load: the plan is in the environment, so that neither the script nor its
 * arguments hold a secret. Redirects are answers, as they are for autocannon; each step is known by its number, which
 * is the name that its points are tagged with.
 */
export const k6Script = `
import http from "k6/http";
import { sleep } from "k6";

const plan = JSON.parse(__ENV.OPS_LOAD);
const count = plan.rampUpMs === 0 ? 1 : Math.min(plan.users, 10);
const stages = [];
for (let step = 1; step <= count; step += 1) {
  const target = Math.ceil((step * plan.users) / count);
  stages.push({ duration: "0s", target }, { duration: Math.round(plan.rampUpMs / count) + "ms", target });
}
stages.push({ duration: Math.round(plan.durationMs - plan.rampUpMs) + "ms", target: plan.users });

export const options = {
  scenarios: {
    users: { executor: "ramping-vus", startVUs: 0, stages, gracefulRampDown: "0s", gracefulStop: "0s" },
  },
  maxRedirects: 0,
  discardResponseBodies: true,
  systemTags: ["status", "error_code", "name", "expected_response"],
};

export default function () {
  plan.steps.forEach((step, index) => {
    http.request(step.method, plan.origin + step.path, step.body === undefined ? null : step.body, {
      headers: step.headers,
      timeout: plan.timeoutMs + "ms",
      tags: { name: String(index) },
    });
    if (step.thinkMs > 0) sleep(step.thinkMs / 1000);
  });
}
`;
