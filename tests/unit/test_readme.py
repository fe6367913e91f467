"""What the README promises."""

from __future__ import annotations

from tests.readme import README, with_table


def test_the_settings_table_is_that_of_the_settings() -> None:
    text = README.read_text(encoding="utf-8")

    assert with_table(text) == text, "write it anew with: python -m tests.readme"
