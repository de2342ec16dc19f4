import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { projectRoot } from "../../support/ops.ts";
import { Site, shell, until } from "./site.ts";

/**
 * cron's own folders, private to one process and its children (unshare(1), a mount namespace): the machine's crontabs
 * are neither seen nor changed, its cron may run, and nothing is left behind.
 */
const privateCron = `
set -e
mount --make-rprivate /
mkdir spool empty.d; touch empty.crontab
chgrp crontab spool; chmod 1730 spool
mount --bind spool /var/spool/cron/crontabs
mount --bind empty.d /etc/cron.d
mount --bind empty.crontab /etc/crontab
mount -t tmpfs none /run
`;

let site: Site;
let shellChild: ChildProcess | undefined;
beforeEach(() => {
  site = new Site();
});
afterEach(async () => {
  if (shellChild?.pid !== undefined && shellChild.exitCode === null && shellChild.signalCode === null) {
    const gone = once(shellChild, "exit");
    process.kill(-shellChild.pid, "SIGKILL");
    await gone;
  }
  site.remove();
});

/** A script as root, with cron's folders to itself. */
function inPrivate(script: string): ChildProcess {
  const prefix = process.getuid?.() === 0 ? [] : ["sudo", "-n", "--preserve-env=PATH"];
  const [program = "", ...args] = [...prefix, "unshare", "-m", "sh", "-c", `${privateCron}\n${script}`];
  return spawn(program, args, { cwd: site.folder, stdio: ["ignore", "pipe", "pipe"], detached: true });
}

it("a real cron calls run-due from the lines that were installed, and no more once they are taken out", async () => {
  const program = ["/usr/sbin/cron", "/usr/bin/cron"].find(existsSync);
  if (program === undefined) throw new Error("there is no cron: npm run setup");
  const ops = `${process.execPath} ${join(projectRoot, "bin/ops")} schedule`;
  // A variable that cron does not have, a percent sign, and a folder with a space.
  writeFileSync(site.path("variables"), "GREETING=100% of it\n");
  site.configure({
    schedules: {
      job: shell('printf "%s\\n" "$GREETING" >> out', {
        with: { command: ["sh", "-c", 'printf "%s\\n" "$GREETING" >> out'], variables: ["GREETING"] },
      }),
    },
  });
  shellChild = inPrivate(`
echo '# mine' | crontab -
${ops} install --cron --variables-file variables --yes
crontab -l > installed
${program} -f &
cron=$!
while [ ! -e out ]; do sleep 0.2; done
${ops} uninstall --cron --yes
crontab -l > uninstalled
while [ ! -e enough ]; do sleep 0.2; done
kill $cron
`);
  let said = "";
  for (const stream of [shellChild.stdout, shellChild.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  const ended = once(shellChild, "exit") as Promise<[number | null]>;

  await until(
    () => shellChild?.exitCode !== null || site.read("uninstalled") !== "",
    `cron ran it\n${said}`,
    90_000,
  );
  await until(async () => (await site.outcome()) === "done", `it is done\n${said}`);
  writeFileSync(site.path("enough"), "");

  expect(await ended, said).toEqual([0, null]);
  expect(site.read("out")).toBe("100% of it\n");
  expect(site.read("installed").split("\n")).toHaveLength(6);
  expect(site.read("uninstalled")).toBe("# mine\n");
  expect(await site.list()).toMatchObject({ ticking: true, schedules: [{ last: { outcome: "done" } }] });
}, 150_000);
