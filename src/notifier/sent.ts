/** Of a notice for several people, those who are still to be told, and those who never will be. */
export interface Rest {
  readonly to: readonly string[];
  readonly refused: readonly string[];
}

/** What became of one attempt to tell somebody. */
export type Sent =
  | {
      readonly sent: true;
      /** What the receiver said: `202 after 31 ms`. */
      readonly answer: string;
      /** What is not as it should be although it was taken. */
      readonly remark?: string;
    }
  | {
      readonly sent: false;
      /** One clause, without secrets. */
      readonly problem: string;
      /** Milliseconds after which the receiver wants to be asked again. */
      readonly retryAfter?: number;
      /** Present where trying again cannot help. */
      readonly final?: true;
      /** Present where some have been told, and only these are to be told again. */
      readonly rest?: Rest;
    };
