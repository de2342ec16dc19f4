import { expect, test } from "vitest";
import { formatExpectedStatus, isExpectedStatus } from "../../../src/http/status.ts";

test.each([
  [204, undefined, true, "200-299"],
  [302, undefined, false, "200-299"],
  [404, 404, true, "404"],
  [200, [201, 204], false, "201 or 204"],
])("status %i against %o", (status, expected, success, shown) => {
  expect(isExpectedStatus(status, expected, [200, 299])).toBe(success);
  expect(formatExpectedStatus(expected, [200, 299])).toBe(shown);
});
