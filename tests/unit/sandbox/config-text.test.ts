import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configSchema, environmentSchema, targetKinds } from "../../../src/config/schema.ts";
import { configText } from "../../../src/sandbox/config-text.ts";
import { sandboxLayout } from "../../../src/sandbox/layout.ts";

const ports = { database: 20001, web: 20002, statistics: 20003, blue: 20004, green: 20005 };

describe("the sandbox's configuration", () => {
  const text = configText(sandboxLayout("/tmp/box"), ports, `age1${"q".repeat(58)}`);
  const config = configSchema.parse(parse(text));
  const environment = environmentSchema.parse(
    Object.fromEntries(targetKinds.map((kind) => [kind, config[kind as keyof typeof config]])),
  );

  it("names every kind of target", () => {
    expect(Object.keys(environment.databases)).toEqual(["main"]);
    expect(Object.keys(environment.stores)).toEqual(["local"]);
    expect(Object.keys(environment.routes)).toEqual(["web"]);
    expect(Object.keys(environment.gates)).toEqual([
      "pre-deploy",
      "post-deploy",
      "pre-migration",
      "post-migration",
      "production-readiness",
    ]);
  });

  it("keeps the journal and the backups inside the sandbox", () => {
    expect(config["state-dir"]).toBe("state");
    expect(environment.stores.local).toMatchObject({ url: "file:backups", identity: "file:identity.txt" });
  });
});
