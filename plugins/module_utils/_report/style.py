# Copyright (c) 2026, day2.ops maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page's style sheet: system fonts, light and dark, phone, desk and paper. Nothing is fetched."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #1a1f26; --soft: #59636f; --line: #e1e5ea; --faint: #f0f2f5;
  --ok: #1b7a48; --ok-bg: #e3f4ea; --deferred: #3f5bb8; --deferred-bg: #e7ecfa;
  --warn: #8a5a00; --warn-bg: #fdf1d3; --crit: #b3261e; --crit-bg: #fce8e6;
  --quiet: #59636f; --quiet-bg: #eceff2; --task: #cfd6de;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161b; --card: #1a2027; --ink: #e6eaef; --soft: #9aa6b2; --line: #2b333d; --faint: #222932;
    --ok: #6bd49a; --ok-bg: #17362a; --deferred: #9db3f5; --deferred-bg: #222d4d;
    --warn: #f0c060; --warn-bg: #3a2f14; --crit: #ff9c92; --crit-bg: #45201d;
    --quiet: #9aa6b2; --quiet-bg: #2a323b; --task: #3d4752;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans",
    sans-serif;
  overflow-wrap: anywhere;
}
main { max-width: 1080px; margin: 0 auto; padding: 0 24px 64px; }
h1, h2, h3, h4, p, ul, dl, dd { margin: 0; padding: 0; }
ul { list-style: none; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px; }
a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--deferred); outline-offset: 3px; border-radius: 4px;
}
code, .name {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em;
}
.soft { color: var(--soft); }
.small { font-size: 13px; }
.num { font-variant-numeric: tabular-nums; }
.nowrap { white-space: nowrap; }

body { border-top: 6px solid var(--tone); }
.top { padding: 40px 0 28px; }
.kicker { color: var(--soft); font-size: 14px; display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center; }
.kicker strong { color: var(--ink); font-weight: 600; }
h1 {
  font-size: 40px; line-height: 1.15; letter-spacing: -.022em; font-weight: 700; margin: 18px 0 10px;
  text-wrap: balance;
}
.tally { font-size: 21px; line-height: 1.4; text-wrap: pretty; }
.exit {
  margin-top: 16px; display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; font-size: 14px;
  color: var(--soft);
}
.rehearsal {
  margin-top: 20px; padding: 12px 16px; border-radius: 10px; background: var(--deferred-bg); color: var(--deferred);
  font-weight: 600;
}

.chip {
  display: inline-flex; align-items: center; gap: 6px; padding: 1px 10px 1px 8px; border-radius: 99px; font-size: 13px;
  font-weight: 600; line-height: 22px; white-space: nowrap; color: var(--tone); background: var(--tone-bg);
}
.chip i { font-style: normal; font-size: 11px; line-height: 1; }
.ok, .done { --tone: var(--ok); --tone-bg: var(--ok-bg); }
.deferred, .planned { --tone: var(--deferred); --tone-bg: var(--deferred-bg); }
.findings, .warn { --tone: var(--warn); --tone-bg: var(--warn-bg); }
.refused, .stopped, .failed, .crit { --tone: var(--crit); --tone-bg: var(--crit-bg); }
.skipped, .unknown { --tone: var(--quiet); --tone-bg: var(--quiet-bg); }

.health {
  border-left: 5px solid var(--tone); background: var(--tone-bg); border-radius: 10px; padding: 14px 20px 15px;
}
.health h2 { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; font-size: 16px; }
.health .big { font-size: 22px; color: var(--tone); font-weight: 700; }
.health .soft { color: var(--ink); font-weight: 400; letter-spacing: 0; }
.cells { display: flex; flex-wrap: wrap; gap: 3px; margin-top: 10px; }
.cells i { width: 14px; height: 14px; border-radius: 3px; background: var(--tone); }
.strip {
  display: grid; grid-template-columns: minmax(110px, 190px) minmax(0, 1fr); gap: 2px 16px; align-items: center;
  padding: 5px 0;
}
.strip .cells { margin: 0; }
.tallies { display: flex; flex-wrap: wrap; gap: 6px 26px; margin: -4px 0 8px; color: var(--soft); }
.tallies b { font-size: 24px; font-weight: 700; color: var(--tone); margin-right: 3px; letter-spacing: -.01em; }
.items.tight > li { padding: 9px 0; }
.compared { margin-top: 10px; }
h2 + .compared { margin-top: -8px; }

.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 30px 40px; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { margin-bottom: 6px; }
figcaption .name { color: var(--soft); margin-left: 6px; }
.chart svg { width: 100%; height: auto; overflow: visible; }
.chart text { fill: var(--soft); font-size: 12px; stroke: none; }
.chart .axis.y text { text-anchor: end; }
.chart .axis.x text { text-anchor: middle; }
.chart .guides path { stroke: var(--line); stroke-width: 1; fill: none; }
.chart .axis > .line { stroke: var(--line); fill: none; }
.chart .series .line { fill: none; stroke: var(--k); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .series .dot { fill: var(--card); stroke: var(--k); stroke-width: 2; }
.chart .series rect { fill: var(--k); stroke: none; }
.look-before, .look-room { --k: var(--task); }
.look-after { --k: var(--ok); }
.look-data { --k: var(--deferred); }
.look-limit-warn { --k: var(--warn); }
.look-limit-crit { --k: var(--crit); }
.chart .look-limit-warn .line, .chart .look-limit-crit .line { stroke-dasharray: 4 4; stroke-width: 1.5; }
.spark { width: 120px; height: 24px; margin-top: 6px; }
.spark polyline { fill: none; stroke: var(--soft); stroke-width: 1.5; stroke-linejoin: round; }

.card {
  background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 24px 28px;
  margin-top: 20px;
}
h2 { font-size: 20px; line-height: 1.3; letter-spacing: -.01em; font-weight: 650; }
.card > h2 { margin-bottom: 14px; }
h3 { font-size: 15px; font-weight: 650; margin: 28px 0 6px; }
h3 .soft { font-weight: 400; margin-left: 6px; }

.items > li {
  padding: 13px 0; border-top: 1px solid var(--line); display: grid;
  grid-template-columns: 104px minmax(0, 1fr); gap: 2px 16px;
}
.items > li:first-child { border-top: 0; }
.items > li > :first-child { justify-self: start; align-self: start; }
.items p + p { margin-top: 3px; }
.head { font-weight: 600; }
.head .name { font-weight: 500; }
.measures { display: flex; flex-wrap: wrap; gap: 2px 22px; margin-top: 4px; font-size: 14px; }
.measures span { white-space: normal; }
.measures b { font-weight: 600; }
.advice { padding-left: 14px; border-left: 2px solid var(--tone, var(--line)); margin-top: 6px !important; }
.error { color: var(--crit); }
.tag {
  font-size: 12px; color: var(--soft); border: 1px solid var(--line); border-radius: 5px; padding: 0 6px;
  margin-left: 6px; white-space: nowrap; font-weight: 400;
}

table { border-collapse: collapse; width: 100%; }
th {
  text-align: left; font-weight: 500; font-size: 13px; color: var(--soft); padding: 4px 16px 8px 0;
  border-bottom: 1px solid var(--line);
}
td { padding: 11px 16px 11px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th:last-child, td:last-child { padding-right: 0; }
td.right, th.right { text-align: right; white-space: nowrap; }

.time { position: relative; }
.row {
  display: grid; grid-template-columns: minmax(90px, 190px) minmax(0, 1fr); gap: 0 16px; align-items: center;
  padding: 5px 0;
}
.row > .who { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; font-size: 14px; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; }
.lane { fill: var(--faint); }
.bar-task { fill: var(--task); }
rect.bar-failed[height="22"], rect.bar-stopped[height="22"], rect.bar-refused[height="22"] {
  fill: var(--crit-bg); stroke: var(--crit);
}
rect.bar-deferred[height="22"] { fill: var(--deferred-bg); stroke: var(--deferred); }
.bar-done { fill: var(--ok); }
.bar-failed, .bar-stopped, .bar-refused { fill: var(--crit); }
.bar-deferred { fill: var(--deferred); }
.bar-skipped, .bar-planned { fill: var(--quiet); }
.limit { stroke: var(--warn); stroke-width: 2; stroke-dasharray: 3 3; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 12px; font-size: 13px; color: var(--soft); }
.key span::before {
  content: ""; display: inline-block; width: 18px; height: 8px; border-radius: 2px; margin-right: 7px;
  background: var(--k);
}
.key .limit-key::before {
  width: 0; height: 12px; border-left: 2px dashed var(--warn); border-radius: 0; background: none;
  vertical-align: -2px;
}

.scale { margin: 6px 0 2px; max-width: 340px; overflow: visible; }
.zone-ok, .zone-warn, .zone-crit { fill-opacity: .28; }
.zone-ok { fill: var(--ok); } .zone-warn { fill: var(--warn); } .zone-crit { fill: var(--crit); }
.way { stroke: var(--soft); stroke-width: 1.5; }
.was { fill: var(--card); stroke: var(--soft); stroke-width: 1.5; }
.now-ok { fill: var(--ok); }
.now-warn { fill: var(--warn); }
.now-crit { fill: var(--crit); }
.now-unknown { fill: var(--quiet); }
th.wide, td.wide { width: 32%; padding-left: 20px; padding-right: 28px; }
td.wide .scale { margin: 4px 0 0; }
.was-key::before, .now-key::before {
  content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; border: 1.5px solid var(--soft);
  margin-right: 5px;
}
.now-key { margin-left: 12px; }
.now-key::before { background: var(--soft); }

details > summary { cursor: pointer; list-style: none; }
details > summary::-webkit-details-marker { display: none; }
details.card { padding: 0; }
details.card > summary { padding: 20px 28px; display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; }
details.card > summary h2 { margin-right: auto; }
details.card > summary::after, .more > summary::after {
  content: "+"; color: var(--soft); font-size: 18px; line-height: 1; width: 12px; text-align: center;
}
details.card[open] > summary::after, .more[open] > summary::after { content: "–"; }
details.card > .inside { padding: 0 28px 26px; }
.inside > h3:first-child, .inside > .items:first-child { margin-top: 0; }
.more { margin-top: 14px; border-top: 1px solid var(--line); padding-top: 12px; }
.more > summary { color: var(--soft); font-size: 14px; display: flex; gap: 10px; align-items: center; }

.facts { display: grid; grid-template-columns: 150px minmax(0, 1fr); gap: 8px 16px; }
.facts dt { color: var(--soft); }
.plain li { padding: 3px 0; }
footer { margin-top: 28px; color: var(--soft); font-size: 13px; }

@media (max-width: 640px) {
  main { padding: 0 14px 40px; }
  .top { padding: 26px 4px 20px; }
  h1 { font-size: 29px; margin-top: 14px; }
  .tally { font-size: 18px; }
  .card { padding: 18px 18px; margin-top: 14px; border-radius: 12px; }
  details.card > summary { padding: 16px 18px; }
  details.card > .inside { padding: 0 18px 20px; }
  .items > li { grid-template-columns: minmax(0, 1fr); gap: 7px; }
  .row { grid-template-columns: minmax(0, 1fr); gap: 3px; padding: 7px 0; }
  .row.axis .who { display: none; }
  .strip { grid-template-columns: minmax(0, 1fr); }
  .chart text { font-size: 14px; }
  .charts { gap: 24px; }
  .facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .facts dd { margin-bottom: 10px; }
  table, tbody, td { display: block; width: 100%; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr {
    padding: 12px 0; border-top: 1px solid var(--line); display: grid; gap: 2px 12px;
    grid-template-columns: minmax(0, 1fr) auto;
  }
  tbody tr:first-child { border-top: 0; }
  td, tr:last-child td, td.wide { padding: 0; border: 0; width: auto; grid-column: 1 / -1; }
  tbody td.lead { grid-column: 1; grid-row: 1; padding-bottom: 4px; }
  tbody td.state { grid-column: 2; grid-row: 1; }
  td.right { text-align: left; white-space: normal; }
  td[data-label] { display: grid; grid-template-columns: 84px minmax(0, 1fr); }
  td[data-label]::before { content: attr(data-label); color: var(--soft); font-size: 13px; }
  td.wide .scale { margin: 4px 0; max-width: none; }
}
@media print {
  :root {
    --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --faint: #f2f2f2;
    --ok: #14603a; --ok-bg: #fff; --deferred: #2f4797; --deferred-bg: #fff; --warn: #6e4800; --warn-bg: #fff;
    --crit: #9b1c15; --crit-bg: #fff; --quiet: #444; --quiet-bg: #fff; --task: #bbb;
  }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .top { padding: 12px 0; }
  h1 { font-size: 22pt; }
  .tally { font-size: 13pt; }
  .card, details.card > summary, details.card > .inside { border: 0; padding-left: 0; padding-right: 0; }
  .card { border-top: 1px solid var(--line); border-radius: 0; }
  .items > li, tr, .row { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  .chip { border: 1px solid var(--tone); }
  .charts { grid-template-columns: 1fr 1fr; gap: 18px 26px; }
  .health { background: none; border: 1px solid var(--tone); border-left-width: 5px; }
  .cells i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .time { break-inside: avoid; break-after: avoid; }
  svg *, .key span::before, .now-key::before { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary::after { content: "" !important; }
}
"""
