"""The style sheet of the health page. Pure."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #5b6168; --line: #d5d8dc;
  --tint: #f4f5f7; --link: #0550ae; --A: #1a7f37; --B: #4d7c0f; --C: #9a6700; --D: #bc4c00; --E: #c41e3a;
  --on: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #14171a; --fg: #e6e8ea; --soft: #a2a9b0; --line: #3a4046; --tint: #1e2226; --link: #79b8ff;
    --A: #4cc36b; --B: #a3c644; --C: #e3b341; --D: #f59e56; --E: #ff8080; --on: #14171a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 78rem; background: var(--bg); color: var(--fg);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.4rem; margin: 0 0 .5rem; }
h3 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
a { color: var(--link); } code { font-family: ui-monospace, monospace; font-size: .9em; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
ul, ol { padding-left: 1.3rem; margin: .4rem 0; } li { margin: .3rem 0; }
.soft, .unknown, caption { color: var(--soft); } .unknown { font-style: italic; }
.grade { display: inline-block; min-width: 1.6em; padding: 0 .4em; border-radius: .3em; text-align: center;
  font-weight: 700; color: var(--on); white-space: nowrap; }
.gA { background: var(--A); fill: var(--A); } .gB { background: var(--B); fill: var(--B); }
.gC { background: var(--C); fill: var(--C); } .gD { background: var(--D); fill: var(--D); }
.gE { background: var(--E); fill: var(--E); }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem .45rem 0;
  border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 600; }
td small, th small { display: block; color: var(--soft); font-weight: 400; font-size: .95em; }
details { margin: .8rem 0; } summary { cursor: pointer; padding: .3rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .6rem; background: var(--tint); border-radius: .4rem; }
figcaption { font-size: .88rem; color: var(--soft); } figcaption b { color: var(--fg); }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--soft); }
svg .end { text-anchor: end; } svg .letter { fill: var(--on); text-anchor: middle; font-weight: 700; }
svg .axis { stroke: var(--line); } svg circle { fill: var(--link); }
svg .trend { fill: none; stroke: var(--link); stroke-width: 1.8; stroke-linejoin: round; }
@media (max-width: 50rem) {
  body { padding: .9rem; }
  table, tbody, caption { display: block; } thead { display: none; }
  tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  th, td { display: flex; gap: .6rem; padding: .12rem 0; border: 0; }
  td::before { content: attr(data-name); flex: 0 0 6.5rem; color: var(--soft); }
  td > span { flex: 1; min-width: 0; } tbody th { font-size: 1.05rem; }
}
"""
