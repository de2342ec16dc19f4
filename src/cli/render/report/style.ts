/** The page's own: nothing is fetched from anywhere. */
export const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1c2530; --dim: #5d6b7a; --line: #d9dfe6; --good: #1a7f4b; --bad: #c0342b; --warn: #9a6400; --c0: #1f6fb4; --c1: #d4600a; --c2: #1a7f4b; --c3: #8a4fbf; --c4: #b23a74; --c5: #5d6b7a; }
@media (prefers-color-scheme: dark) { :root { --ground: #11161c; --text: #e3e9ef; --dim: #93a1b0; --line: #2b3540; --good: #4cc38a; --bad: #ff7a70; --warn: #e0a840; --c0: #62aef0; --c1: #ff9d57; --c2: #4cc38a; --c3: #c39bf0; --c4: #f08ab8; --c5: #93a1b0; } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1.2rem; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .7rem; border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
.dim { color: var(--dim); } .done { color: var(--good); } .failed { color: var(--bad); } .warned { color: var(--warn); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { font-weight: 600; color: var(--dim); } .number { text-align: right; font-variant-numeric: tabular-nums; }
.error { border-left: 3px solid var(--bad); padding: .2rem .8rem; margin: .5rem 0; }
.bar { display: block; height: .55rem; border-radius: 3px; background: var(--c0); min-width: 3px; } .bar.failed { background: var(--bad); } .track { width: 34%; min-width: 8rem; }
figure { margin: .8rem 0 1.2rem; } figcaption { color: var(--dim); margin-bottom: .2rem; } svg { width: 100%; height: auto; display: block; }
.key { margin-left: 1rem; color: var(--text); } .key i { display: inline-block; width: .8rem; height: .25rem; vertical-align: middle; margin-right: .35rem; background: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; } .dot { fill: currentColor; } .grid { stroke: var(--line); } .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 5 4; }
.tick { fill: var(--dim); font: 11px system-ui, sans-serif; } .limit-text { fill: var(--bad); font: 11px system-ui, sans-serif; }
`;
