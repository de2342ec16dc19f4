import { expect, test } from "vitest";
import { parseHttpUrl, showUrl } from "../../../src/http/client.ts";

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
