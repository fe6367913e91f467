"""Letters and mails for the tests of ``fixionmail.mail``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID, uuid5

from hypothesis import strategies as st

from fixionmail.mail.render import Mail, Sender, render
from fixionmail.models.mail import Letter

SENDER = Sender(address="FixionMail <stories@example.com>", base_url="https://fixion.example.com")
BODY = (
    "The lamp on the pier had been dark for eleven winters.\n\n“You’ll burn your fingers,” he said.\n\n"
    + (
        "She trimmed the wick level, let it drink, and did not whistle, for the almanac was firm about that. "
        * 8
    )
)

_ADVERSE = (
    "\r\n",
    "\n\n",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\u2066",
    "\u200d",
    "\ud800",
    "\ufeff",
    "\u2029",
    "🦊",
)
_MARKUP = (
    "<script>",
    "</td>",
    "&lt;",
    '" onload="',
    "{{ 7*7 }}",
    "{% raw %}",
    "=?utf-8?q?x?=",
    "Bcc: x@y.z",
    ".",
)
hostile_text = st.lists(st.sampled_from(_ADVERSE + _MARKUP) | st.text(max_size=30), max_size=12).map("".join)


def letter(
    number: int = 1,
    *,
    address: str = "reader@example.com",
    title: str = "The Lamplighter’s Last Winter",
    body: str = BODY,
    token: str = "tok-1",
) -> Letter:
    """The ``number``-th letter; all differ in their ids."""
    return Letter(
        delivery_id=uuid5(UUID(int=1), str(number)),
        user_id=uuid5(UUID(int=2), str(number)),
        address=address,
        local_date=date(2026, 11, 24),
        title=title,
        body=body,
        unsubscribe_token=token,
    )


def mails(count: int) -> Sequence[Mail]:
    """As many mails to as many readers."""
    return [render(letter(n, address=f"reader{n}@example.com"), SENDER) for n in range(count)]
