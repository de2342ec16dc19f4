import { expect, test } from "vitest";
import { parseHttpUrl, sendRequest, showUrl } from "../../../src/http/client.ts";

test.each([
  ["https://api.example.com/hooks/deploy", "https://api.example.com/hooks/deploy"],
  ["https://user:hunter22@api.example.com/x", "https://api.example.com/x"],
  ["https://api.example.com/x?token=hunter22#part", "https://api.example.com/x?…"],
])("%s is shown without what may be secret", (url, shown) => {
  expect(showUrl(url)).toBe(shown);
});

test.each(["localhost:8080/health", "ftp://host/file", "", "/health"])('"%s" is refused', (url) => {
  expect(() => parseHttpUrl(url)).toThrow(
    expect.objectContaining({ code: "E_HTTP_URL", exitCode: 2, hint: "write it as https://host/path" }),
  );
});

test("a port that HTTP clients never ask is told as what it is, not as a broken connection", async () => {
  await expect(
    sendRequest({
      method: "GET",
      url: "http://127.0.0.1:6000/health",
      headers: {},
      timeout: 1000,
      signal: undefined,
      bodyLimit: 10,
    }),
  ).rejects.toMatchObject({
    code: "E_HTTP_URL",
    message: "GET http://127.0.0.1:6000/health: port 6000 belongs to another protocol",
  });
});
