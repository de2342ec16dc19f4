import { Readable } from "node:stream";
import { NodeHttpHandler } from "@smithy/node-http-handler";

export { S3 } from "@aws-sdk/client-s3";

const sliceBytes = 128 * 1024;

/**
 * Sends a body slice by slice as the network takes it. Given as one buffer, Node would encrypt all of it at once, and
 * hold a second copy of every part that is on its way.
 */
export class SlicingHandler extends NodeHttpHandler {
  override handle(
    ...[request, options]: Parameters<NodeHttpHandler["handle"]>
  ): ReturnType<NodeHttpHandler["handle"]> {
    const body: unknown = request.body;
    if (body instanceof Uint8Array && body.length > sliceBytes)
      request.body = Readable.from(slices(body), { highWaterMark: 1 });
    return super.handle(request, options);
  }
}

function* slices(body: Uint8Array): Generator<Uint8Array> {
  for (let offset = 0; offset < body.length; offset += sliceBytes)
    yield body.subarray(offset, offset + sliceBytes);
}
