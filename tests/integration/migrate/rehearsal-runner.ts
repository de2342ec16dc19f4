import { flushCompileCache } from "node:module";
import { perform, testContext } from "../../support/context.ts";
import { operation } from "./project.ts";

// Now, because who is killed keeps nothing.
flushCompileCache();

/** `migrate.test` in a process of its own that a test can kill: `node rehearsal-runner.ts FOLDER`. */
const [directory = ""] = process.argv.slice(2);
const database = { url: "postgresql://nobody@127.0.0.1:1/none", migrations: directory };
const context = testContext({ databases: { main: database } }, { directory });
process.once("SIGTERM", () => context.requestStop());
await perform(operation("migrate.test"), context, {});
