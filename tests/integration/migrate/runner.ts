import { flushCompileCache } from "node:module";
import { perform, testContext } from "../../support/context.ts";
import { operation } from "./project.ts";

// Now, because who is killed keeps nothing.
flushCompileCache();

/** A process of its own that a test can kill: `node runner.ts OPERATION URL FOLDER INPUT`. */
const [name = "", url = "", folder = "", input = "{}"] = process.argv.slice(2);
const context = testContext({ databases: { main: { url, migrations: folder } } });
await perform(operation(name), { ...context, runId: "run-1" }, JSON.parse(input));
