import type { KMSClient, KMSClientConfig } from "@aws-sdk/client-kms";
import type { KmsSettings } from "../config/encryption-schema.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { dataKeySize, type WrappedKey } from "./data-key.ts";

/**
 * Wraps data keys by AWS KMS, whose key never leaves it. Credentials are found as the AWS SDK finds them (environment,
 * profile, instance role). Throws `E_KMS` where KMS does not answer or refuses, `E_IDENTITY` where it cannot open a
 * key.
 */
export class KmsWrapping {
  private readonly settings: KmsSettings;
  private client: Promise<KMSClient> | undefined;

  constructor(settings: KmsSettings) {
    this.settings = settings;
  }

  /** A new data key, in the clear and wrapped. */
  async newDataKey(): Promise<{ readonly dataKey: Buffer; readonly wrapped: WrappedKey }> {
    const { GenerateDataKeyCommand } = await import("@aws-sdk/client-kms");
    const client = await this.connect();
    const command = new GenerateDataKeyCommand({ KeyId: this.settings.key, NumberOfBytes: dataKeySize });
    const answer = await this.attempt("make a data key", () => client.send(command));
    const { KeyId = this.settings.key, Plaintext = [], CiphertextBlob = [] } = answer;
    const dataKey = Buffer.from(Plaintext);
    if (dataKey.length !== dataKeySize || CiphertextBlob.length === 0) throw this.broken();
    return { dataKey, wrapped: { kind: "aws-kms", key: KeyId, wrapped: Buffer.from(CiphertextBlob) } };
  }

  /** A data key that there is already. */
  async wrap(dataKey: Uint8Array): Promise<WrappedKey> {
    const { EncryptCommand } = await import("@aws-sdk/client-kms");
    const client = await this.connect();
    const command = new EncryptCommand({ KeyId: this.settings.key, Plaintext: dataKey });
    const answer = await this.attempt("wrap a data key", () => client.send(command));
    const { KeyId = this.settings.key, CiphertextBlob = [] } = answer;
    if (CiphertextBlob.length === 0) throw this.broken();
    return { kind: "aws-kms", key: KeyId, wrapped: Buffer.from(CiphertextBlob) };
  }

  /** The key that the header names decides, so that a backup of before a change of keys opens too. */
  async unwrap({ key, wrapped }: WrappedKey): Promise<Buffer> {
    const { DecryptCommand } = await import("@aws-sdk/client-kms");
    const client = await this.connect();
    const command = new DecryptCommand({ KeyId: key, CiphertextBlob: wrapped });
    const answer = await this.attempt("open a data key", () => client.send(command));
    const dataKey = Buffer.from(answer.Plaintext ?? []);
    if (dataKey.length !== dataKeySize) throw this.broken();
    return dataKey;
  }

  private connect(): Promise<KMSClient> {
    this.client ??= this.newClient();
    return this.client;
  }

  private async newClient(): Promise<KMSClient> {
    const [{ KMSClient }, { NodeHttpHandler }] = await Promise.all([
      import("@aws-sdk/client-kms"),
      import("@smithy/node-http-handler"),
    ]);
    const { key, endpoint, profile } = this.settings;
    const region = this.settings.region ?? /^arn:[\w-]+:kms:([\w-]+):/.exec(key)?.[1];
    // The SDK takes an undefined region for a region.
    const given: KMSClientConfig = Object.fromEntries(
      Object.entries({ region, endpoint, profile }).filter(([, value]) => value !== undefined),
    );
    return new KMSClient({
      ...given,
      requestHandler: new NodeHttpHandler({ connectionTimeout: 5_000, requestTimeout: 30_000 }),
    });
  }

  private async attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      if (["InvalidCiphertextException", "IncorrectKeyException"].includes(name)) {
        throw new UsageError("E_IDENTITY", "AWS KMS does not open this: it was wrapped by another key", {
          cause: error,
          hint: 'see which keys the backups need with: ops backup keys list; name one under "kms:" of the store',
        });
      }
      throw new OpsError("E_KMS", `AWS KMS could not ${what} with ${this.settings.key}`, {
        cause: error,
        hint:
          "see that the key exists and that these credentials may use it " +
          "(kms:GenerateDataKey, kms:Encrypt, kms:Decrypt): aws kms describe-key --key-id KEY",
      });
    }
  }

  private broken(): OpsError {
    return new OpsError("E_KMS", `What AWS KMS answered for ${this.settings.key} is not a data key`, {
      hint: 'see that "endpoint:" under "kms:" of the store is that of AWS KMS',
    });
  }
}
