"""One delivery in full: what it is, what happened to it from the plan to the provider's word, what may be done."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from console.marks import BAD_STYLE, QUIET_STYLE, WARN, WARN_STYLE, state
from console.screens.base import console_of, keys_of
from console.screens.detail import DetailScreen, pairs, timeline
from console.text import plain
from console.widgets.heading import Heading
from console.widgets.keybar import KeyBar
from console.widgets.masthead import Masthead
from fixionmail.ops.views.deliveries import DeliveryDetail


def facts(delivery: DeliveryDetail) -> Content:
    """What it is."""
    return pairs([(name, plain(value)) for name, value in delivery.facts.items() if name != "delivery"])


def advice(delivery: DeliveryDetail) -> Content:
    """What may be done about it; first of all why nobody is certain."""
    lines = [Content.assemble((f"{WARN} ", WARN_STYLE), plain(line)) for line in delivery.evidence]
    if delivery.advice:
        lines.append(plain(delivery.advice, QUIET_STYLE))
    return Content("\n").join(lines)


class DeliveryScreen(DetailScreen):
    """A delivery."""

    place = "delivery"
    command = "fixionmail deliveries show"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(delivery_id)
        self.delivery: DeliveryDetail | None = None

    def compose(self) -> ComposeResult:
        """What to do, what it is, what happened."""
        yield Masthead()
        yield Heading("Delivery", id="head-delivery")
        with VerticalScroll(id="delivery-body"):
            yield Static("", id="delivery-advice", markup=False)
            with Vertical(id="delivery-parts"):
                yield Heading("What it is")
                yield Static(Content("looking …"), id="delivery-facts", markup=False)
                yield Heading("What happened")
                yield Static("", id="delivery-timeline", markup=False)
        yield KeyBar(keys_of(self))

    def ask(self) -> None:
        """Look at it, by one call."""
        app = console_of(self)
        app.ask("delivery", lambda: app.deck.delivery(self.subject), self._show, self._show_error)

    def targets(self, action: str) -> tuple[str, ...]:
        """Its subscriber, where the subscriber is meant."""
        if action == "suppress":
            return (self.delivery.subscriber,) if self.delivery else ()
        return (self.subject,)

    def _show(self, delivery: DeliveryDetail) -> None:
        self.delivery = delivery
        if self.is_mounted:
            self.query_one("#head-delivery", Heading).note = Content.assemble(
                state(delivery.state), " ", plain(delivery.delivery_id, "bold")
            )
        self.fill("#delivery-advice", advice(delivery))
        self.fill("#delivery-facts", facts(delivery))
        self.fill("#delivery-timeline", timeline(delivery.timeline, self.now))

    def _show_error(self, words: str) -> None:
        self.fill("#delivery-facts", plain(words, BAD_STYLE))
