"""How pages look: light and dark by what the reader's system says, on screens of any width, and on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d2129; --soft: #565d69; --line: #dcd9d1; --faint: #f2f0ea;
  --accent: #1f4e8c; --held: #8a5a00; --held-fill: #e9dcc0; --warn: #8f1d1d; --warn-fill: #fbe9e7;
  --o0: #1f5fa8; --o1: #b3540a; --o2: #0f766e; --o3: #7a3b9d; --o4: #a3254f; --o5: #4d6b12; --o6: #5b5f97;
  --o7: #7a5410;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --card: #1b1f26; --ink: #e8e6e1; --soft: #a9afba; --line: #343a44; --faint: #232831;
    --accent: #8db8f0; --held: #e0b25c; --held-fill: #4a3d22; --warn: #ff9d94; --warn-fill: #3b1f1f;
    --o0: #79b0f2; --o1: #f0a05a; --o2: #54c7ba; --o3: #c899ea; --o4: #f08aac; --o5: #a9cc62; --o6: #a9adea;
    --o7: #d9ad60;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 40px 32px 72px; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; letter-spacing: -0.01em; }
h1 { font-size: 2.1rem; margin: 0 0 6px; }
h2 { font-size: 1.5rem; margin: 56px 0 14px; padding-top: 18px; border-top: 3px solid var(--ink); }
h3 { font-size: 1.08rem; margin: 34px 0 10px; }
p { max-width: 46em; margin: 0 0 12px; }
.kicker { margin: 0 0 10px; color: var(--soft); font-size: .82rem; letter-spacing: .09em;
  text-transform: uppercase; }
.lead { font-size: 1.12rem; color: var(--soft); margin-bottom: 22px; }
.small { font-size: .86rem; color: var(--soft); }
a { color: var(--accent); text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .9em; overflow-wrap: break-word; }
pre { font-size: .86rem; line-height: 1.5; margin: 0 0 16px; padding: 14px 16px; background: var(--faint);
  border: 1px solid var(--line); border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere; }
.digest { font-size: .78rem; }
.banner { border: 1px solid var(--warn); border-left-width: 6px; background: var(--warn-fill);
  color: var(--ink); border-radius: 8px; padding: 12px 16px; margin: 18px 0; max-width: none; }
.banner strong { color: var(--warn); letter-spacing: .04em; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px 28px;
  margin: 18px 0 22px; padding: 0; }
.facts dt { font-size: .78rem; color: var(--soft); letter-spacing: .03em; }
.facts dd { margin: 2px 0 0; overflow-wrap: anywhere; }
ul { margin: 0 0 14px; padding-left: 20px; max-width: 52em; }
li { margin: 4px 0; }
.findings { list-style: none; padding: 0; max-width: none; display: grid; gap: 8px; }
.findings li { margin: 0; padding: 10px 14px; background: var(--card); border: 1px solid var(--line);
  border-left: 4px solid var(--held); border-radius: 6px; }
.bare { list-style: none; padding: 0; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: 0 0 14px; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { text-align: left; vertical-align: top; padding: 8px 14px 8px 0;
  border-bottom: 1px solid var(--line); }
thead th { font-size: .78rem; font-weight: 600; color: var(--soft); border-bottom: 1.5px solid var(--ink);
  vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody th code { white-space: nowrap; }
.numbers td { text-align: right; font-variant-numeric: tabular-nums; }
.numbers thead th:not(:first-child) { text-align: right; }
.matrix td { border-left: 1px solid var(--line); padding: 8px 10px; min-width: 84px; }
.matrix thead th:not(:first-child) { padding-left: 10px; }
.used { font-weight: 600; }
.idle, .none { color: var(--soft); }
.idle { font-style: italic; }
.mark { display: inline-block; font-size: .72rem; font-weight: 500; color: var(--soft);
  border: 1px solid var(--line); border-radius: 99px; padding: 0 8px; margin-left: 6px; }
figure { margin: 6px 0 20px; padding: 18px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
figcaption { margin-top: 12px; font-size: .88rem; color: var(--soft); max-width: 62em; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: var(--ink); }
svg .label, svg .note { font: 600 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "DejaVu Sans",
  sans-serif; }
svg .note { font-weight: 400; font-size: 11.5px; fill: var(--soft); }
svg .number { paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.wide { min-width: 860px; }
.middle { min-width: 560px; }
.box { fill: var(--card); stroke: var(--line); stroke-width: 1.25; }
.band { fill: var(--faint); }
.rule { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.edge { fill: none; stroke: var(--c, var(--soft)); stroke-width: 1.75; stroke-opacity: .8; }
.then { fill: none; stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 3 4; }
.dot, .solid { fill: var(--c, var(--soft)); }
.gate { fill: var(--held-fill); stroke: var(--held); stroke-width: 1.5; }
.limit { stroke: var(--held); stroke-width: 2; stroke-dasharray: 6 4; }
svg .limit-text { fill: var(--held); }
.held { stroke: var(--c, var(--soft)); stroke-width: 1.25; stroke-opacity: .7; }
.hatch { stroke: var(--c, var(--soft)); stroke-width: 2; stroke-opacity: .55; }
.curve { fill: none; stroke: var(--accent); stroke-width: 2.25; stroke-linejoin: round; }
.point { fill: var(--accent); }
.o0 { --c: var(--o0); } .o1 { --c: var(--o1); } .o2 { --c: var(--o2); } .o3 { --c: var(--o3); }
.o4 { --c: var(--o4); } .o5 { --c: var(--o5); } .o6 { --c: var(--o6); } .o7 { --c: var(--o7); }
.owner { display: inline-block; width: .7em; height: .7em; border-radius: 3px; background: var(--c);
  margin-right: .45em; }
footer { margin-top: 56px; padding-top: 16px; border-top: 1px solid var(--line); }
@media (max-width: 640px) {
  main { padding: 24px 16px 48px; }
  h1 { font-size: 1.6rem; }
  h2 { font-size: 1.28rem; margin-top: 44px; }
  figure { padding: 12px; margin-left: -4px; margin-right: -4px; }
  .facts { grid-template-columns: minmax(0, 1fr); }
  table:not(.matrix) thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; }
  table:not(.matrix), table:not(.matrix) tbody, table:not(.matrix) tr, table:not(.matrix) th,
  table:not(.matrix) td { display: block; border: 0; padding: 0; text-align: left; }
  table:not(.matrix) tr { padding: 10px 0; border-bottom: 1px solid var(--line); }
  table:not(.matrix) td { display: flex; gap: 12px; margin-top: 4px; }
  table:not(.matrix) td div { flex: 1; min-width: 0; }
  table:not(.matrix) td::before { content: attr(data-label); flex: 0 0 38%; color: var(--soft);
    font-size: .82rem; }
}
@media print {
  :root {
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --faint: #f4f4f4;
    --accent: #1f4e8c; --held: #7a5000; --held-fill: #f3ead6; --warn: #8f1d1d; --warn-fill: #fff;
    --o0: #1f5fa8; --o1: #b3540a; --o2: #0f766e; --o3: #7a3b9d; --o4: #a3254f; --o5: #4d6b12; --o6: #5b5f97;
    --o7: #7a5410;
  }
  @page { size: A4; margin: 16mm 15mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 20pt; } h2 { font-size: 14pt; } h3 { font-size: 11pt; }
  h1, h2, h3 { break-after: avoid; }
  figure, tr, li, .facts div { break-inside: avoid; }
  table { font-size: 8.5pt; }
  tbody th code { white-space: normal; overflow-wrap: anywhere; }
  .matrix { break-inside: avoid; }
  .scroll { overflow: visible; }
  .wide, .middle { min-width: 0; }
  .query { break-before: page; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
