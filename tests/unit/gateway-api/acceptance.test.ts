import { describe, expect, it } from "vitest";
import { acceptance } from "../../../src/gateway-api/acceptance.ts";

type Status = Parameters<typeof acceptance>[1][number];
type Condition = Status["conditions"][number];

const parent = { name: "public" };
const [now, namespace] = [3, "shop"];
const condition = (
  type: string,
  status: "True" | "False" | "Unknown",
  observedGeneration = now,
): Condition => ({
  type,
  status,
  observedGeneration,
  reason: "Because",
  message: "",
});
const said = (...conditions: Condition[]): Status => ({
  parentRef: { name: "public", namespace },
  conditions,
});
const of = (...statuses: Status[]) => acceptance([parent], statuses, { generation: now, namespace });

describe("whether a generation is accepted", () => {
  const accepted = condition("Accepted", "True");
  it.each<[string, Status[], string]>([
    ["accepted and its backends found", [said(accepted, condition("ResolvedRefs", "True"))], "accepted"],
    ["accepted by a controller that writes nothing of backends", [said(accepted)], "accepted"],
    ["nothing said at all", [], "waiting"],
    ["said by another parent", [{ ...said(accepted), parentRef: { name: "internal" } }], "waiting"],
    ["said of the generation before", [said(condition("Accepted", "True", 2))], "waiting"],
    [
      "said without a generation",
      [said({ type: "Accepted", status: "True", reason: "", message: "" })],
      "waiting",
    ],
    ["refused before, not looked at yet", [said(condition("Accepted", "False", 2))], "waiting"],
    ["not known yet", [said(condition("Accepted", "Unknown"))], "waiting"],
    ["backends of the generation before", [said(accepted, condition("ResolvedRefs", "True", 2))], "waiting"],
    ["refused", [said(condition("Accepted", "False"))], "refused"],
    ["a backend that is not found", [said(accepted, condition("ResolvedRefs", "False"))], "refused"],
    ["accepted in parts", [said(accepted, condition("PartiallyInvalid", "True"))], "refused"],
    ["accepted by one of two controllers", [said(accepted), said(condition("Accepted", "False"))], "refused"],
  ])("%s", (_, statuses, kind) => {
    expect(of(...statuses).kind).toBe(kind);
  });

  it("needs every parent, and there must be one", () => {
    const other = { name: "internal", sectionName: "http" };
    expect(acceptance([parent, other], [said(accepted)], { generation: now, namespace })).toEqual({
      kind: "waiting",
      gateway: "Gateway shop/internal (http)",
    });
    expect(acceptance([], [], { generation: now, namespace }).kind).toBe("waiting");
  });
});
