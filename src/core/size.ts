import { UsageError } from "./errors.ts";

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

const units: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** `512B`, `16MiB`, `1.5 GiB`, `10MB`. Throws `E_SIZE` on anything else, zero and a bare number included. */
export function parseSize(text: string): Bytes {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?([KMGT]i?B|B)$/.exec(text.trim()) ?? [];
  const value = Math.round(Number(number) * (units[unit ?? ""] ?? Number.NaN));
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError("E_SIZE", `"${text}" is not a size`, {
      hint: "write a number with a unit: 512KiB, 16MiB, 1.5GiB",
    });
  }
  return bytes(value);
}

/** `50MiB/s` as bytes for each second. Throws `E_SIZE`. */
export function parseRate(text: string): Bytes {
  const size = /^(.*)\/s$/.exec(text.trim())?.[1];
  if (size === undefined) {
    throw new UsageError("E_SIZE", `"${text}" is not a rate`, {
      hint: "write a size for each second: 50MiB/s",
    });
  }
  return parseSize(size);
}
