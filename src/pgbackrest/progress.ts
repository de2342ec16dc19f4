/** How much of a backup or a restore is done, from a line of pgBackRest's log: `… (672KB, 12.30%) checksum …`. */
export function percentOf(line: string): number | undefined {
  const text = /^P\d+ DETAIL: (?:backup|restore) file .* \([^()]*, (\d+(?:\.\d+)?)%\)/.exec(line)?.[1];
  return text === undefined ? undefined : Number(text);
}
