"""The manual's table of settings, made from the settings themselves: ``python -m tests.readme`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import PydanticUndefined

from fixionmail.settings import Settings, masked

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
START, END = "<!-- settings -->\n", "<!-- /settings -->"


def settings_table() -> str:
    """A row for each setting: name, default, meaning."""
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is PydanticUndefined else masked(field.default)
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {meaning} |")
    return "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    """The text of the page with the table as it should be."""
    before, _, rest = page.partition(START)
    return before + START + settings_table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
