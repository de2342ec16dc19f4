import murmurhash from "murmurhash";

/**
 * Where a user stands in a flag's `fractional`: at least 0, below 100. MurmurHash3 (x86, 32 bits, seed 0) over the
 * UTF-8 bytes of flag and targeting key one behind the other, scaled: `n / 2^32 * 100`. This is what flagd and most
 * SDKs compute. The library of the JavaScript SDK (`imurmurhash`) takes UTF-16 units for bytes, and differs for
 * targeting keys that are not ASCII.
 */
export function bucket(flag: string, targetingKey: string): number {
  return (murmurhash.v3(`${flag}${targetingKey}`, 0) / 2 ** 32) * 100;
}

/** Whether flagd and the JavaScript library agree about its bucket. */
export function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  return /^[\x00-\x7f]*$/.test(text);
}
