import { describe, expect, test } from "vitest";
import type { BackendState, ServerState } from "../../../src/haproxy/backend-state.ts";
import { changedServers } from "../../../src/haproxy/reload.ts";
import { parseRuntimeChanges } from "../../../src/haproxy/runtime-state.ts";
import { commandsFor } from "../../../src/haproxy/set-servers.ts";

const server = (name: string, state: Partial<ServerState>) =>
  ({ name, admin: "ready", weight: 100, checked: true, ...state }) as ServerState;
const backend = (...servers: ServerState[]) => ({ servers }) as unknown as BackendState;

describe("the commands that change servers", () => {
  test("give first and take afterwards", () => {
    const present = backend(server("a", { weight: 100 }), server("b", { weight: 0 }));

    expect(commandsFor("web", present, { a: { weight: 0 }, b: { weight: 100 } })).toEqual({
      gives: ["set weight web/b 100"],
      takes: ["set weight web/a 0"],
    });
  });

  test("set the weight of a server before it takes requests, and begin its checks from down", () => {
    const present = backend(server("a", { admin: "maint" }));

    expect(commandsFor("web", present, { a: { admin: "ready", weight: 5 } }).gives).toEqual([
      "set weight web/a 5",
      "set server web/a state drain",
      "set server web/a health down",
      "set server web/a state ready",
    ]);
  });

  test("are none where all is as wanted", () => {
    expect(commandsFor("web", backend(server("a", {})), { a: { admin: "ready", weight: 100 } })).toEqual({
      gives: [],
      takes: [],
    });
  });
});

test("what a reload would lose is known from the state of the servers", () => {
  const answer = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
3 web 1 a 127.0.0.1 2 0 100 100
3 web 2 b 127.0.0.1 2 8 10 50
3 web 3 c 127.0.0.1 0 5 1 1
4 api 1 d 127.0.0.1 2 4 1 1
`;

  expect(changedServers(answer).match(/^\d \w+ \d \w/gm)).toEqual(["3 web 2 b", "3 web 3 c", "4 api 1 d"]);
  expect(parseRuntimeChanges(answer)).toEqual([
    {
      server: "web/b",
      shown: "weight 10 instead of 50, draining",
      commands: ["set weight web/b 10", "set server web/b state drain"],
    },
    { server: "api/d", shown: "taken out of maintenance", commands: ["set server api/d state ready"] },
  ]);
});
