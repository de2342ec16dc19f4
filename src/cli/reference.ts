import { renderReference } from "./render/reference.ts";
import { processTerminal } from "./terminal.ts";

/* A program of its own, behind `npm run docs`: docs/reference.md on standard output. */

process.stdout.write(await renderReference(processTerminal()));
