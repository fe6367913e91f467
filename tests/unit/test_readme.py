"""What the manual promises."""

from __future__ import annotations

from tests.readme import PAGE, with_table


def test_the_settings_table_is_that_of_the_settings() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert with_table(text) == text, "write it anew with: python -m tests.readme"
