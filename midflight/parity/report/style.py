"""The page's style sheet: light and dark by the reader's system, print, narrow screens; nothing from outside."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

CSS = """
:root {
  color-scheme: light dark;
  --paper: #f7f7f4; --card: #ffffff; --ink: #1c2128; --soft: #566070; --line: #dfe2e6;
  --track: #e8eaed; --focus: #1f5fbf;
  --pass: #1b7247; --fail: #b42318; --undecided: #8a5a00; --incomplete: #4a5a78;
  --equal: #7fb59b; --skipped: #c0dccd; --settled: #b42318;
  --hot: #d07a1f; --suspect: #dfb64f; --quarantined: #8675b3; --repaired: #4d8fb0;
  --heat-1: #fbe9e2; --heat-2: #f5cdbf; --heat-3: #e99f8b; --heat-4: #cf5f4c; --heat-5: #a3261b; --on-heat: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #13161b; --card: #1a1e25; --ink: #e5e8ed; --soft: #9ca6b4; --line: #2d333d;
    --track: #2a3039; --focus: #8ab4f8;
    --pass: #57c08c; --fail: #ff8577; --undecided: #e3b341; --incomplete: #93a7cb;
    --equal: #3f8f6b; --skipped: #2b5a45; --settled: #ee6a5f;
    --hot: #dd8d3b; --suspect: #d3b450; --quarantined: #9c8bcf; --repaired: #5fa3c4;
    --heat-1: #33231f; --heat-2: #54302a; --heat-3: #824037; --heat-4: #e27566; --heat-5: #ffa598; --on-heat: #1a0c0a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 0 1.25rem 4rem; max-width: 74rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1, h2, h3, p, ol, ul, dl, figure { margin: 0; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; }
a { color: inherit; text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; }
.soft, caption, figcaption, dt { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.3rem; }
header { padding: 2.25rem 0 .5rem; }
header .name { color: var(--soft); }
header h1 { display: flex; align-items: center; gap: .6rem; font-size: 2.1rem; line-height: 1.2; margin: .35rem 0; }
header h1 svg { width: 1.5rem; height: 1.5rem; flex: none; }
header .headline { font-size: 1.15rem; max-width: 46rem; }
.is-pass h1 { color: var(--pass); } .is-fail h1 { color: var(--fail); }
.is-undecided h1 { color: var(--undecided); } .is-incomplete h1 { color: var(--incomplete); }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 1.1rem 0; }
.facts dt { font-size: .8rem; } .facts dd { margin: 0; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none; font-size: .9rem; }
.steps ol { padding-left: 1.4rem; display: grid; gap: .5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(27rem, 100%), 1fr)); gap: 1rem; }
figure.card { display: flex; flex-direction: column; gap: .6rem; min-width: 0; }
figcaption { font-size: .9rem; } figcaption b { color: var(--ink); font-weight: 600; font-size: 1rem; display: block; }
.draw { overflow-x: auto; flex: 1; }
.chart { display: block; width: 100%; min-width: 24rem; height: auto; fill: var(--ink); font-size: 12px; }
.chart .soft { fill: var(--soft); } .chart .ground { stroke: var(--line); } .chart .track { fill: var(--track); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; font-size: .85rem; }
.legend { color: var(--soft); }
.legend svg { width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -.05rem; }
.s-equal { fill: var(--equal); } .s-skipped { fill: var(--skipped); } .s-settled { fill: var(--settled); }
.s-hot { fill: var(--hot); } .s-suspect { fill: var(--suspect); } .s-quarantined { fill: var(--quarantined); }
.s-repaired { fill: var(--repaired); }
.v-pass { fill: var(--pass); } .v-fail { fill: var(--fail); }
.v-undecided { fill: var(--undecided); } .v-incomplete { fill: var(--incomplete); }
.heat-1 { fill: var(--heat-1); } .heat-2 { fill: var(--heat-2); } .heat-3 { fill: var(--heat-3); }
.heat-4 { fill: var(--heat-4); } .heat-5 { fill: var(--heat-5); }
.on-heat-4, .on-heat-5 { fill: var(--on-heat); }
.verdict { font-weight: 600; white-space: nowrap; }
.verdict svg { width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -.05rem; }
details > summary { cursor: pointer; border-radius: 3px; }
figure details > summary, td details > summary { font-size: .85rem; color: var(--soft); }
.cause { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; margin-bottom: 1rem; }
.cause > header { padding: 0; display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .8rem; }
.group { border-top: 1px solid var(--line); padding-top: .6rem; }
.group > summary { font-weight: 600; } .group > summary .soft { font-weight: 400; }
code, pre, td.value { font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; font-size: .86rem; }
pre { margin: .5rem 0 0; white-space: pre-wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; font-size: .9rem; }
caption { text-align: left; font-size: .85rem; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
thead th { font-weight: 500; color: var(--soft); font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 600; }
tbody tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }
@media print {
  body { background: none; max-width: none; } nav, .skip { display: none; } .card { break-inside: avoid; }
}
"""

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(CSS.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the browser is told to allow: this sheet, and nothing else from anywhere."""
