import { resolve } from "node:path";
import { type Duration, parseDuration } from "../core/duration.ts";
import { type Bytes, parseRate, parseSize } from "../core/size.ts";
import { type StoreKeys, storeKeys } from "./encryption-schema.ts";
import { Secret } from "./secret.ts";
import { type StoreSettings, s3Url } from "./store-schema.ts";

interface StoreTargetFields extends StoreKeys {
  /** As configured: `file:…`, `s3://…`. */
  readonly url: string;
  /** Bytes for each second, in each direction; undefined: no limit. */
  readonly bandwidth: Bytes | undefined;
  /** What `backup prune` keeps; `within` in milliseconds. Undefined: everything. */
  readonly retention:
    | (Omit<NonNullable<StoreSettings["retention"]>, "within"> & { readonly within: Duration | undefined })
    | undefined;
  readonly expect: {
    /** The newest whole backup is overdue when it is older. */
    readonly maxAge: Duration;
    /** Databases that must have a backup here; undefined: those that have one. */
    readonly databases: readonly string[] | undefined;
  };
}

export interface FileStoreTarget extends StoreTargetFields {
  readonly kind: "file";
  /** Absolute path. */
  readonly directory: string;
}

export type S3Credentials =
  /** As the SDK finds them: environment variables, `~/.aws`, the machine's role. */
  | { readonly kind: "default" }
  | { readonly kind: "profile"; readonly profile: string }
  | {
      readonly kind: "keys";
      readonly accessKey: Secret;
      readonly secretKey: Secret;
      readonly sessionToken: Secret | undefined;
    };

export interface S3StoreTarget extends StoreTargetFields {
  readonly kind: "s3";
  readonly bucket: string;
  /** Empty, or without slashes at its ends. */
  readonly prefix: string;
  /** Undefined: AWS. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  /** Absolute path of a PEM file. */
  readonly caFile: string | undefined;
  readonly credentials: S3Credentials;
  readonly encryption:
    | { readonly algorithm: "AES256" | "aws:kms"; readonly kmsKey: string | undefined }
    | undefined;
  readonly storageClass: string | undefined;
  readonly objectLock: { readonly mode: "governance" | "compliance"; readonly for: Duration } | undefined;
  readonly partSize: Bytes | undefined;
}

/** Where backups live. */
export type StoreTarget = FileStoreTarget | S3StoreTarget;

/** @param directory what relative paths begin at */
export function storeTarget(name: string, settings: StoreSettings, directory: string): StoreTarget {
  const secret = (text: string | undefined) => (text === undefined ? undefined : new Secret(text, directory));
  const { url } = settings;
  const common = {
    ...storeKeys(name, settings, directory),
    url,
    bandwidth: settings.bandwidth === undefined ? undefined : parseRate(settings.bandwidth),
    retention:
      settings.retention === undefined
        ? undefined
        : { ...settings.retention, within: optionalDuration(settings.retention.within) },
    expect: { maxAge: parseDuration(settings.expect["max-age"]), databases: settings.expect.databases },
  };
  const [, bucket, prefix = ""] = s3Url.exec(url) ?? [];
  if (bucket === undefined) {
    return { ...common, kind: "file", directory: resolve(directory, url.replace(/^file:(\/\/(?=\/))?/, "")) };
  }
  const s3 = settings.s3 ?? {};
  const lock = s3["object-lock"];
  const accessKey = secret(s3["access-key"]);
  const secretKey = secret(s3["secret-key"]);
  const credentials: S3Credentials =
    accessKey !== undefined && secretKey !== undefined
      ? { kind: "keys", accessKey, secretKey, sessionToken: secret(s3["session-token"]) }
      : s3.profile === undefined
        ? { kind: "default" }
        : { kind: "profile", profile: s3.profile };
  return {
    ...common,
    kind: "s3",
    bucket,
    prefix,
    endpoint: s3.endpoint,
    region: s3.region,
    pathStyle: s3["path-style"] ?? s3.endpoint !== undefined,
    caFile: s3["ca-file"] === undefined ? undefined : resolve(directory, s3["ca-file"]),
    credentials,
    encryption: s3.sse === undefined ? undefined : { algorithm: s3.sse, kmsKey: s3["kms-key"] },
    storageClass: s3["storage-class"],
    objectLock: lock === undefined ? undefined : { mode: lock.mode, for: parseDuration(lock.for) },
    partSize: s3["part-size"] === undefined ? undefined : parseSize(s3["part-size"]),
  };
}

function optionalDuration(text: string | undefined): Duration | undefined {
  return text === undefined ? undefined : parseDuration(text);
}

/** The folder, or the bucket and the server that has it. */
export function placeOfStore(target: StoreTarget): string {
  if (target.kind === "file") return target.directory;
  const server = target.endpoint ?? `AWS${target.region === undefined ? "" : ` ${target.region}`}`;
  return `s3://${[target.bucket, target.prefix].filter((each) => each !== "").join("/")} at ${server}`;
}
