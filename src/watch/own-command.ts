/** Whether a command is `ops` itself, whatever PATH says. */
export function isOps(words: readonly string[]): boolean {
  return words[0] === "ops";
}

/** The run that `ops runs rollback ID` or `ops runs resume ID` is about; undefined for any other command. */
export function runsWord(words: readonly string[]): string | undefined {
  const [, runs, verb, ...rest] = words;
  if (!isOps(words) || runs !== "runs" || (verb !== "rollback" && verb !== "resume")) return undefined;
  return rest.find((each) => !each.startsWith("-"));
}

/** What may be called again although nobody knows how far it came: both look at what is done. */
export function isRepeatable(words: readonly string[]): boolean {
  return runsWord(words) !== undefined;
}
