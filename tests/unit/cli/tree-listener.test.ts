import { execFile } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { expect, it } from "vitest";

const listener = new URL("../../../src/cli/render/tree-listener.ts", import.meta.url).href;
const screen = new URL("../../../src/run/screen.ts", import.meta.url).href;

/** A run of three steps of which the second fails and the first two are taken back. */
const program = `
import { TreeListener } from "${listener}";
import { plainScreen } from "${screen}";
const pause = () => new Promise((resolve) => setTimeout(resolve, 150));
const step = (id, inRollback) => [{ id, title: "Step " + id, inRollback }];
const tree = new TreeListener([step("look", false), step("change", true), step("break", true), step("never", true)], plainScreen);
for (const id of ["look", "change", "break"]) {
  tree.entry({ type: "step.started", step: id });
  tree.entry({ type: "step.applying", step: id });
  for (const message of ["first " + id, "then " + id]) {
    tree.progress(id, { message });
    await pause();
  }
  if (id === "break") tree.entry({ type: "step.failed", step: id, data: { error: { message: "it broke" } } });
  else {
    tree.log(id, "said by " + id);
    tree.entry({ type: "step.done", step: id });
  }
}
tree.entry({ type: "run.rollback-started", data: { reason: "it broke" } });
for (const id of ["break", "change"]) {
  await pause();
  tree.entry({ type: "step.undone", step: id, data: { undone: true, note: "back: " + id } });
}
await tree.close();
`;

it("shows on a terminal what each step said last, and then what is taken back", async () => {
  const lines = lastLines(await onTerminal(program));

  expect(lines).toEqual([
    "✔ Step look",
    "› said by look",
    "✔ Step change",
    "› said by change",
    "✖ Step break",
    "› it broke",
    "↓ Step never: not begun",
    "✔ Take back: Step break",
    "› back: break",
    "✔ Take back: Step change",
    "› back: change",
  ]);
});

/** What a program writes to a terminal, which `script` is for it. */
function onTerminal(text: string): Promise<string> {
  const command = `stty cols 90 rows 40; '${process.execPath}' --input-type=module -e "$PROGRAM"`;
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, TERM: "xterm", PROGRAM: text };
    execFile("script", ["-qec", command, "/dev/null"], { env }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(error),
    );
  });
}

/** The lines that stay: the last drawing of each of the two trees. */
function lastLines(output: string): string[] {
  const drawn = stripVTControlCharacters(output)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const forwards = drawn.findLastIndex((line) => line.endsWith("Step look"));
  const end = drawn.findIndex((line, index) => index > forwards && line.includes("Take back"));
  const backwards = drawn.findLastIndex((line) => line.endsWith("Take back: Step break"));
  return [...drawn.slice(forwards, end), ...drawn.slice(backwards)];
}
