import { describe, expect, it } from "vitest";
import { diagnose, type Finding } from "../../../src/doctor/diagnose.ts";
import { cephClient, newBucket, s3Settings } from "../../support/ceph.ts";
import { testContext } from "../../support/context.ts";

async function found(store: object): Promise<Finding | undefined> {
  const { environment } = testContext({ stores: { offsite: store } });
  return (await diagnose({ environment })).find((each) => each.subject === "store offsite");
}

describe("ops doctor and a store on S3", () => {
  it("tries everything that backups need, and leaves nothing behind", async () => {
    const bucket = await newBucket();

    expect(await found(await s3Settings(bucket))).toMatchObject({
      status: "ok",
      message: expect.stringMatching(
        /^s3:\/\/ops-\w+\/shop at http:.* can be written, listed, read and deleted in$/,
      ),
    });

    expect((await (await cephClient()).listObjectsV2({ Bucket: bucket })).Contents).toBeUndefined();
  });

  it("writes nothing to a bucket that would keep it", async () => {
    const bucket = await newBucket({ objectLock: true });

    const finding = await found(
      await s3Settings(bucket, { "object-lock": { mode: "governance", for: "1d" } }),
    );

    expect(finding).toMatchObject({ status: "ok", message: expect.stringContaining("can be listed") });
    expect((await (await cephClient()).listObjectVersions({ Bucket: bucket })).Versions).toBeUndefined();
  });

  it("says what is wrong, and what mends it", async () => {
    expect(await found(await s3Settings("not-there-at-all"))).toMatchObject({
      status: "missing",
      message: expect.stringContaining('no bucket "not-there-at-all"'),
      mend: expect.stringContaining('"stores: offsite:"'),
    });
    expect(await found(await s3Settings("any-bucket", { endpoint: "http://127.0.0.1:9" }))).toMatchObject({
      status: "missing",
      message: expect.stringContaining("cannot be reached"),
    });
  });
});
