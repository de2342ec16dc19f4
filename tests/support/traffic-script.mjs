#!/usr/bin/env node
/* A team's own script, as a route with `driver: exec` calls it: it moves the weights of a HAProxy. */
import { existsSync, readFileSync } from "node:fs";
import { connect } from "node:net";

const { versions, weights } = JSON.parse(readFileSync(0, "utf8"));
const { BALANCER_SOCKET: socket = "", BALANCER_FREEZE: freeze = "" } = process.env;

/** @param {string} command @returns {Promise<string>} */
const ask = (command) =>
  new Promise((resolve, reject) => {
    let text = "";
    const connection = connect(socket, () => connection.write(`${command}\n`));
    connection.on("data", (chunk) => (text += String(chunk)));
    connection.on("end", () => resolve(text.trim()));
    connection.on("error", reject);
  });

/** @param {unknown} error */
const fail = (error) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
};

try {
  if (process.argv[2] === "set") {
    if (existsSync(freeze)) fail("there is a change freeze");
    const commands = Object.entries(versions).map(
      ([version, server]) => `set weight web/${server} ${weights[version]}`,
    );
    const answer = await ask(commands.join("; "));
    if (answer !== "") fail(answer);
  } else {
    const found = await Promise.all(
      Object.entries(versions).map(async ([version, server]) => [
        version,
        Number.parseInt(await ask(`get weight web/${server}`), 10),
      ]),
    );
    console.log(JSON.stringify({ weights: Object.fromEntries(found) }));
  }
} catch (error) {
  fail(error);
}
