/** Colours of a dark terminal, by the number of their escape sequence. @type {Record<number, string>} */
const colors = {
  30: "#484f58",
  31: "#ff7b72",
  32: "#3fb950",
  33: "#d29922",
  34: "#58a6ff",
  35: "#bc8cff",
  36: "#39c5cf",
  37: "#b1bac4",
  90: "#6e7681",
  91: "#ffa198",
  92: "#56d364",
  93: "#e3b341",
  94: "#79c0ff",
  95: "#d2a8ff",
  96: "#56d4dd",
  97: "#ffffff",
};

/**
 * Text with the escape sequences for colour, bold and dim (ECMA-48 SGR, as tmux captures them) as HTML.
 * @param {string} text
 */
export function ansiToHtml(text) {
  /** @type {{ color?: string | undefined, bold?: boolean, dim?: boolean }} */
  let style = {};
  let html = "";
  // Every part begins with the numbers of a sequence; 0 means none.
  for (const part of `0m${text}`.split("\u001b[")) {
    const end = part.indexOf("m");
    for (const code of part.slice(0, end).split(";")) style = styled(style, Number(code));
    const rest = part.slice(end + 1);
    if (rest !== "") html += `<span style="${css(style)}">${escaped(rest)}</span>`;
  }
  return html;
}

/** @param {{ color?: string | undefined, bold?: boolean, dim?: boolean }} style @param {number} code */
function styled(style, code) {
  if (code === 0) return {};
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, color: undefined };
  return code in colors ? { ...style, color: colors[code] } : style;
}

/** @param {{ color?: string | undefined, bold?: boolean, dim?: boolean }} style */
function css({ color, bold, dim }) {
  return [
    ...(color === undefined ? [] : [`color:${color}`]),
    ...(bold === true ? ["font-weight:bold"] : []),
    ...(dim === true ? ["opacity:.6"] : []),
  ].join(";");
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
