/** A number of bytes. */
export type Bytes = number & { readonly __unit: "bytes" };

export function bytes(value: number): Bytes {
  return value as Bytes;
}

/** For people, in binary units: `512 B`, `1.4 MiB`, `12 GiB`. */
export function formatBytes(value: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let scaled = value;
  let index = 0;
  while (scaled >= 1024 && index < names.length - 1) {
    scaled /= 1024;
    index += 1;
  }
  return `${index === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${names[index]}`;
}
