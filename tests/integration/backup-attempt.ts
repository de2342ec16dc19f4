/**
 * One attempt at an operation in a process of its own, to be killed or measured from outside. Arguments come as
 * JSON on standard input; the result and the peak of resident memory (KiB) go to standard output as JSON.
 */
import { text } from "node:stream/consumers";
import { RecordingReport, testContext } from "../support/context.ts";
import { operation } from "./backup-setting.ts";

const { name, settings, input, before } = JSON.parse(await text(process.stdin));
const chosen = operation(name);
const parsed = chosen.input.parse(input);
const output = await chosen.apply(testContext(settings), parsed, before, new RecordingReport());
process.stdout.write(JSON.stringify({ output, maxRss: process.resourceUsage().maxRSS }));
