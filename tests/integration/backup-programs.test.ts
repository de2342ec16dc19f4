import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { findProgram, findPrograms, RunningProgram } from "../../src/postgres/programs.ts";

it("finds PostgreSQL's programs with their versions", async () => {
  const [oldest] = await findPrograms("pg_dump");

  expect(oldest?.version).toMatch(/^\d+\.\d+/);
  expect(await findProgram("pg_dump", oldest?.major ?? 0)).toEqual(oldest);
});

it("says which version is needed where a server is newer than every pg_dump", async () => {
  await expect(findProgram("pg_dump", 999)).rejects.toMatchObject({
    code: "E_PROGRAM_VERSION",
    message: expect.stringMatching(/^pg_dump must be version 999 or later; the newest here is \d+/),
    hint: expect.stringContaining("999"),
  });
});

it("a program that fails after it wrote everything fails the one who reads it", async () => {
  const shell = { path: "/bin/sh", version: "0", major: 0 };
  const program = new RunningProgram(
    shell,
    ["-c", "echo all; echo no >&2; exit 3"],
    {},
    AbortSignal.timeout(5000),
  );
  const parts: string[] = [];

  const reading = (async () => {
    for await (const part of program.output()) parts.push(String(part));
  })();

  await expect(reading).rejects.toMatchObject({
    code: "E_PROGRAM_FAILED",
    details: { result: 3, stderr: "no" },
  });
  expect(parts).toEqual(["all\n"]);
});

it("a program that has ended before anybody reads loses nothing of what it wrote", async () => {
  const shell = { path: "/bin/sh", version: "0", major: 0 };
  const program = new RunningProgram(shell, ["-c", "echo all"], {}, AbortSignal.timeout(5000));
  await program.success();
  await delay(50);
  const parts: string[] = [];

  for await (const part of program.output()) parts.push(String(part));

  expect(parts).toEqual(["all\n"]);
});
