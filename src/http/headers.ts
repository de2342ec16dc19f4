import { isReference, Secret } from "../config/secret.ts";

const scheme = /^(?:(Bearer|Basic|Token) )?(.+)$/is;

/**
 * Header values with their secret references fetched: `env:NAME`, `file:PATH`, also after an authentication scheme
 * (`Bearer env:NAME`). Throws `E_SECRET` naming the reference.
 */
export async function revealHeaders(
  headers: Readonly<Record<string, string>>,
  directory: string,
): Promise<Record<string, string>> {
  const revealed = Object.entries(headers).map(async ([name, value]) => {
    const [, word, rest = ""] = scheme.exec(value) ?? [];
    if (!isReference(rest)) return [name, value] as const;
    const secret = await new Secret(rest, directory).reveal();
    return [name, word === undefined ? secret : `${word} ${secret}`] as const;
  });
  return Object.fromEntries(await Promise.all(revealed));
}
