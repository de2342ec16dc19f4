import { expect, test } from "vitest";
import { placeOfSocket } from "../../../src/config/pool-target.ts";
import { runtimeCommand } from "../../../src/haproxy/runtime-socket.ts";

test("an address with its port is one, also of IPv6; everything else is a path", async () => {
  const places = ["lb.example.com:9999", "10.0.0.1:9999", "[fd00::2]:9999", "[::1]", "admin.sock"];

  expect(places.map((each) => placeOfSocket(each, "/srv"))).toEqual([
    ...places.slice(0, 3),
    "/srv/[::1]",
    "/srv/admin.sock",
  ]);
  // Nothing listens at port 1; a path would be said not to be there.
  await expect(runtimeCommand("[::1]:1", "show info")).rejects.toMatchObject({
    code: "E_HAPROXY_SOCKET",
    message: expect.not.stringContaining("there is no such socket"),
  });
});
