import { StringDecoder } from "node:string_decoder";

/** Keeps the end of a stream in bounded memory and hands its lines on as they are complete. */
export class OutputTail {
  private readonly decoder = new StringDecoder("utf8");
  private readonly limit: number;
  private readonly onLine: (line: string) => void;
  private readonly parts: string[] = [];
  private length = 0;
  private unfinishedLine = "";

  /** @param limit in UTF-16 units; a little more than this is kept */
  constructor(limit: number, onLine: (line: string) => void = () => undefined) {
    this.limit = limit;
    this.onLine = onLine;
  }

  write(chunk: Buffer): void {
    this.append(this.decoder.write(chunk));
  }

  /** The end of the output, without its last line break. */
  finish(): string {
    this.append(this.decoder.end());
    if (this.unfinishedLine !== "") this.onLine(this.unfinishedLine);
    this.unfinishedLine = "";
    return this.parts.join("").replace(/\r?\n$/, "");
  }

  private append(text: string): void {
    this.parts.push(text);
    this.length += text.length;
    while (this.length - (this.parts[0]?.length ?? 0) >= this.limit) {
      this.length -= this.parts.shift()?.length ?? 0;
    }
    const lines = (this.unfinishedLine + text).split(/\r?\n/);
    // A line without an end would otherwise grow without one.
    this.unfinishedLine = (lines.pop() ?? "").slice(-this.limit);
    for (const line of lines) this.onLine(line);
  }
}
