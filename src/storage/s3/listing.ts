import type { Connection } from "./connection.ts";

export interface ListedKey {
  readonly key: string;
  readonly bytes: number;
  readonly modified: Date;
}

/** All keys that begin with the prefix, in their order, page by page (a page has at most 1,000). */
export async function* keysOf(connection: Connection, prefix: string): AsyncGenerator<ListedKey> {
  let next: { ContinuationToken?: string } | undefined = {};
  while (next !== undefined) {
    const from: { ContinuationToken?: string } = next;
    const page = await connection.request("", (s3, options) =>
      s3.listObjectsV2({ Bucket: connection.target.bucket, Prefix: prefix, ...from }, options),
    );
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      if (Key !== undefined) yield { key: Key, bytes: Size ?? 0, modified: LastModified ?? new Date(0) };
    }
    const token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    next = token === undefined ? undefined : { ContinuationToken: token };
  }
}
