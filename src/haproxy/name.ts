/** A name goes into a command line of the runtime socket, where `;` and blanks have a meaning. */
export function isHaproxyName(word: string): boolean {
  return /^[A-Za-z0-9_.:-]+$/.test(word);
}
