/**
 * Counts rows and sums up a hash of each, so that two tables with the same rows have the same checksum in whatever
 * order the rows come. A row is its line in COPY's text format, with the line feed.
 *
 * A row's hash is 64 bits, two lanes of 32: it finds accidents (a lost, doubled or changed row), not forgeries;
 * against those stands the encryption. The algorithm is written down in docs/formats/backup-manifest.md.
 */
export class RowChecksum {
  rows = 0;
  private ended = false;
  private first = 0;
  private second = 0;

  /** One whole row: `data` from `start` up to, but without, `end`. */
  add(data: Uint8Array, start: number, end: number): void {
    // pg_dump closes the rows with `\\.` and two empty lines; in a row a backslash is written twice.
    if (this.ended || (data[start] === 0x5c && data[start + 1] === 0x2e)) {
      this.ended = true;
      return;
    }
    let a = (end - start) | 0;
    let b = 0x9e3779b9 | 0;
    let at = start;
    for (const words = end - 3; at < words; at += 4) {
      const word =
        (data[at] as number) |
        ((data[at + 1] as number) << 8) |
        ((data[at + 2] as number) << 16) |
        ((data[at + 3] as number) << 24);
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a = (a << 15) | (a >>> 17);
      b = Math.imul(b + word, 0x1b873593) ^ a;
    }
    for (; at < end; at += 1) {
      const byte = data[at] as number;
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b + byte, 0x85ebca6b) ^ a;
    }
    this.rows += 1;
    this.first = (this.first + mixed(a)) | 0;
    this.second = (this.second + mixed(b ^ a)) | 0;
  }

  /** 16 hexadecimal digits. */
  text(): string {
    return hex(this.first) + hex(this.second);
  }
}

function mixed(value: number): number {
  let mix = value ^ (value >>> 16);
  mix = Math.imul(mix, 0x85ebca6b);
  mix ^= mix >>> 13;
  mix = Math.imul(mix, 0xc2b2ae35);
  return mix ^ (mix >>> 16);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
