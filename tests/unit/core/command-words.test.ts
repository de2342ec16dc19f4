import { expect, it } from "vitest";
import { commandWords } from "../../../src/core/command-words.ts";
import { UsageError } from "../../../src/core/errors.ts";

it.each([
  ["ops runs rollback 20261121-094512-k3x9", ["ops", "runs", "rollback", "20261121-094512-k3x9"]],
  ["  touch\t a  ", ["touch", "a"]],
  [`say 'two words' "and $'s not"`.replace("$", ""), ["say", "two words", "and 's not"]],
  [`a'b'"c"\\ d`, ["abc d"]],
  [`x '' ""`, ["x", "", ""]],
  ["x '$HOME | ; > *'", ["x", "$HOME | ; > *"]],
  [String.raw`x "a \"b\" \\ \n"`, ["x", String.raw`a "b" \ \n`]],
  ["x --to=a@b.example,c~d{1}", ["x", "--to=a@b.example,c~d{1}"]],
])("%s is %j", (text, words) => {
  expect(commandWords(text)).toEqual(words);
});

it.each([
  ["a | b", 3, "a pipe"],
  ["a && b", 3, "a list or a command in the background"],
  ["a; b", 2, "a second command"],
  ["a > b", 3, "a redirection"],
  ["a $(b)", 3, "a variable or a substitution"],
  ["a `b`", 3, "a variable or a substitution"],
  ['a "$b"', 4, "a variable or a substitution"],
  ["rm *", 4, "a pattern"],
  ["a\nb", 2, "a second command"],
  ["a 'b", 3, "never closed"],
  ["a \\", 3, "quotes nothing"],
  ["  ", 1, "names no program"],
  ["", 1, "names no program"],
])("%j is refused at character %i", (text, at, why) => {
  const parse = () => commandWords(text);

  expect(parse).toThrow(UsageError);
  expect(parse).toThrow(why);
  expect(parse).toThrow(`character ${at}:`);
});
