"""A trouble in full, as text: cause, every cure with its key, and evidence, which may be long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from console.figures import age
from console.marks import ACCENT_STYLE, QUIET_STYLE, harm_style
from console.text import block, plain, safe
from fixionmail.ops.views.findings import Cure, Finding

_NO_COMMAND = re.compile(r"https?://|[A-Z][A-Z_]+(?:=|$)")
"""A place to look at, or a setting."""


def cure_lines(cures: Sequence[Cure], keys: Sequence[str]) -> list[Content]:
    """A line for each cure: its key, the command to type, or what happens by itself."""
    free = iter(keys)
    lines = []
    for cure in cures:
        key = next(free, "") if cure.action else ""
        words = Content.assemble((f"{key:>3}  ", f"bold {ACCENT_STYLE}"), plain(cure.label))
        if cure.command:
            prompt = "" if _NO_COMMAND.match(cure.command) else "$ "
            words = Content.assemble(words, (f"  {prompt}", QUIET_STYLE), plain(cure.command, "$calm"))
        if cure.automatic:
            words = Content.assemble(words, (f"  by itself: {safe(cure.automatic)}", QUIET_STYLE))
        lines.append(words)
    return lines


def finding_text(finding: Finding, moment: datetime | None, keys: Sequence[str]) -> Content:
    """All about a finding."""
    lasts = f"  for {age(finding.since, moment)}" if finding.since and moment else ""
    title = Content.assemble(plain(finding.title, f"bold {harm_style(finding.harm)}"), (lasts, QUIET_STYLE))
    evidence = [Content.assemble(("  · ", QUIET_STYLE), plain(line)) for line in finding.evidence]
    parts = [title, block(finding.cause)]
    if finding.cures:
        parts += [Content(""), Content.styled("Cures", "bold"), *cure_lines(finding.cures, keys)]
    if evidence:
        parts += [Content(""), Content.styled("Evidence", "bold"), *evidence]
    return Content("\n").join(parts)
