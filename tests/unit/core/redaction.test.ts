import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  redact,
  redactJson,
  redactSourceLine,
  redactUrlPasswords,
  rememberSecret,
} from "../../../src/core/redaction.ts";

describe("a remembered secret", () => {
  it("is masked wherever it stands, also URL-encoded and inside JSON", () => {
    rememberSecret('p@ss"word/1');

    expect(redact('it is p@ss"word/1.')).toBe("it is ***.");
    expect(redact("https://x/?key=p%40ss%22word%2F1")).toBe("https://x/?key=***");
    expect(redact(JSON.stringify({ key: 'p@ss"word/1' }))).toBe('{"key":"***"}');
  });

  it("leaves nothing of a longer one that contains it", () => {
    rememberSecret("tulip");
    rememberSecret("tulip-garden");

    expect(redact("tulip-garden and tulip")).toBe("*** and ***");
  });

  it("of several lines is masked whole and line by line", () => {
    const key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nc2Vjb25kIGxpbmUgb2Yga2V5\n-----END KEY-----\n";
    rememberSecret(key);

    expect(redact(key)).toBe("***");
    expect(redact("found c2Vjb25kIGxpbmUgb2Yga2V5 here")).toBe("found *** here");
  });

  it("of fewer than four characters is not remembered: it would shred ordinary text", () => {
    rememberSecret("abc");

    expect(redact("abcdef")).toBe("abcdef");
  });

  it("is never left in any text around it", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 8, maxLength: 30 }).filter((each) => /^[^*]{8,}$/.test(each.trim())),
        fc.string(),
        fc.string(),
        (secret, before, after) => {
          rememberSecret(secret);
          expect(redact(before + secret + after)).not.toContain(secret);
        },
      ),
    );
  });
});

describe("without having been remembered", () => {
  it.each([
    ["postgresql://app:hunter2@db/x", "postgresql://app:***@db/x"],
    ["redis://:hunter2@cache:6379", "redis://:***@cache:6379"],
    ["two http://a:bb@c and http://d:ee@f", "two http://a:***@c and http://d:***@f"],
    ["postgresql://app@db:5432/x", "postgresql://app@db:5432/x"],
    ["http://host:8080/path", "http://host:8080/path"],
  ])("the password of %s is masked", (url, shown) => {
    expect(redactUrlPasswords(url)).toBe(shown);
  });

  it("an age private key is masked", () => {
    expect(redact("key AGE-SECRET-KEY-1QQQQ2345 end")).toBe("key *** end");
  });

  it("every text of a value is masked, its keys and other values are kept", () => {
    const value = { url: "http://a:secret@b", list: ["http://a:secret@b", 1, null], deep: { yes: true } };

    expect(redactJson(value)).toEqual({
      url: "http://a:***@b",
      list: ["http://a:***@b", 1, null],
      deep: { yes: true },
    });
  });
});

describe("a line of a configuration in an error", () => {
  it.each([
    ["    password: hunter2", "    password: ***"],
    ['    pasword: "hunter2"', '    pasword: "***"'],
    ['{ "identity": "AGEKEY", "url": "x" }', '{ "identity": "***", "url": "x" }'],
    ['url: "app:hunter2@db/shop"', 'url: "app:***@db/shop"'],
    ["    password: env:SHOP_PASSWORD", "    password: env:SHOP_PASSWORD"],
    ["    password:", "    password:"],
  ])("%s is shown as %s", (line, shown) => {
    expect(redactSourceLine(line)).toBe(shown);
  });
});
