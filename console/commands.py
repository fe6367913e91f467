"""The one table of what keys do: it feeds the bindings, the bar at the bottom, the palette and the help.

Lower case looks, UPPER CASE changes. A command's id is what the settings file calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.binding import Binding

VIEWS = ("overview", "jobs", "failures", "workers", "deliveries", "stuck", "processes", "health")
"""In the order of their number keys."""
CURE_KEYS = ("F", "G", "H", "J", "K")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing a key does.

    Attributes:
        id: its name in the settings file.
        key: its key unless the settings say otherwise; several are parted by commas.
        label: one or two words for the bar.
        about: a sentence for the help and the palette.
        places: views and screens where it works; everywhere when empty.
        action: the name of the operation that changes something; empty when it only looks.
        target: what the operation is meant for, where that is always the same.
        title: what its preview is called, where the operation's name says too little.
        rank: the lower, the earlier in the bar; 0 keeps it out.
        decides: states of what is chosen that only such a command gets it out of: then it comes early in the bar.
    """

    id: str
    key: str
    label: str
    about: str
    places: tuple[str, ...] = ()
    action: str = ""
    target: str = ""
    title: str = ""
    rank: int = 0
    decides: tuple[str, ...] = ()

    def works_in(self, place: str) -> bool:
        """It can be used there."""
        return not self.places or place in self.places


_TABLES = ("overview", "jobs", "failures", "workers", "deliveries", "stuck", "processes", "health")
_JOBS = ("jobs", "job")


def _views() -> Iterable[Command]:
    for number, name in enumerate(VIEWS, 1):
        yield Command(id=f"view-{name}", key=str(number), label=name, about=f"Go to {name.capitalize()}.")


def _cures() -> Iterable[Command]:
    for number, key in enumerate(CURE_KEYS, 1):
        about = (
            "Cure the worst trouble, or the chosen one in Stuck." if number == 1 else f"Use cure {number}."
        )
        places = ("finding", "job", *(_TABLES if number == 1 else ("overview",)))
        rank = 15 if number == 1 else 0
        yield Command(
            id=f"cure-{number}", key=key, label="Cure", about=about, places=places, action="cure", rank=rank
        )


COMMANDS: tuple[Command, ...] = (
    *_views(),
    Command(
        id="open",
        key="enter",
        label="open",
        about="Open what is chosen.",
        places=("overview", "jobs", "failures", "workers", "deliveries", "stuck", "processes"),
        rank=10,
    ),
    Command(id="back", key="escape", label="back", about="Go back, or clear marks and filter.", rank=90),
    Command(
        id="filter",
        key="slash",
        label="filter",
        about="Filter what is listed.",
        places=("jobs", "failures", "processes", "log"),
        rank=20,
    ),
    Command(
        id="states",
        key="f",
        label="state",
        about="Show the next state only.",
        places=("jobs",),
        rank=22,
    ),
    Command(
        id="span",
        key="h",
        label="history",
        about="Show another span of time in the curves: an hour, 6 hours, 7 days, a year.",
        places=("overview",),
        rank=45,
    ),
    Command(
        id="tab",
        key="t",
        label="next tab",
        about="Go to the next tab.",
        places=("deliveries",),
        rank=12,
    ),
    Command(
        id="mark",
        key="space",
        label="mark",
        about="Mark or unmark the row.",
        places=("jobs", "deliveries"),
        rank=50,
    ),
    Command(
        id="mark-all",
        key="asterisk",
        label="all",
        about="Mark all that match, also what is not loaded.",
        places=("jobs", "deliveries"),
        rank=51,
    ),
    *_cures(),
    Command(
        id="requeue",
        key="R",
        label="Requeue",
        about="Put the jobs back into their queues.",
        places=("jobs", "job", "failures"),
        action="requeue",
        rank=30,
    ),
    Command(
        id="cancel",
        key="C",
        label="Cancel",
        about="Take the jobs out of their queues; their records stay.",
        places=_JOBS,
        action="cancel",
        rank=31,
    ),
    Command(
        id="delete",
        key="X",
        label="Delete",
        about="Delete the jobs and their records.",
        places=("jobs", "job", "failures"),
        action="delete",
        rank=32,
    ),
    Command(
        id="stop-job",
        key="S",
        label="Stop job",
        about="Stop what runs: the job, or the jobs that the worker holds.",
        places=("jobs", "job", "workers"),
        action="stop-job",
        rank=33,
    ),
    Command(
        id="drain",
        key="D",
        label="Drain",
        about="Let the worker finish what it holds and take nothing new.",
        places=("workers",),
        action="drain-worker",
        rank=30,
    ),
    Command(
        id="stop-worker",
        key="Q",
        label="Stop worker",
        about="Ask the worker to shut down.",
        places=("workers",),
        action="stop-worker",
        rank=34,
    ),
    Command(
        id="pause-queue",
        key="P",
        label="Pause queue",
        about="Close the queue, or open it again: waiting jobs stay, nothing is taken.",
        places=("overview",),
        action="pause-queue",
        rank=40,
    ),
    Command(
        id="retry",
        key="R",
        label="Retry",
        about="Send the deliveries after all.",
        places=("deliveries", "delivery"),
        action="retry-delivery",
        rank=30,
    ),
    Command(
        id="resolve",
        key="V",
        label="Resolve",
        about="Ask the provider what became of the uncertain deliveries, and record it.",
        places=("deliveries", "delivery"),
        action="resolve-delivery",
        title="ask the provider",
        rank=31,
        decides=("uncertain",),
    ),
    Command(
        id="sent",
        key="S",
        label="Sent",
        about="Record that the uncertain delivery went out; the provider's id of the mail is asked for.",
        places=("deliveries", "delivery"),
        action="resolve-sent",
        title="record as sent",
        rank=34,
        decides=("uncertain",),
    ),
    Command(
        id="not-sent",
        key="N",
        label="Not sent",
        about="Record that the uncertain deliveries did not go out, so that they can be retried.",
        places=("deliveries", "delivery"),
        action="resolve-not-sent",
        title="record as not sent",
        rank=35,
        decides=("uncertain",),
    ),
    Command(
        id="cancel-delivery",
        key="C",
        label="Cancel",
        about="Do not send the deliveries.",
        places=("deliveries", "delivery"),
        action="cancel-delivery",
        rank=32,
    ),
    Command(
        id="suppress",
        key="U",
        label="sUppress",
        about="Mail nothing more to these subscribers.",
        places=("deliveries", "delivery"),
        action="suppress",
        rank=33,
    ),
    Command(
        id="audit",
        key="a",
        label="audit",
        about="Look at every key and row for what does not fit together; again to stop.",
        places=("stuck",),
        rank=25,
    ),
    Command(
        id="start-process",
        key="S",
        label="Start",
        about="Start the process.",
        places=("processes",),
        action="start-process",
        rank=30,
    ),
    Command(
        id="stop-process",
        key="T",
        label="sTop",
        about="Stop the process; it finishes what it has begun.",
        places=("processes",),
        action="stop-process",
        rank=31,
    ),
    Command(
        id="restart-process",
        key="R",
        label="Restart",
        about="Stop the process and start it again.",
        places=("processes",),
        action="restart-process",
        rank=32,
    ),
    Command(
        id="scale-up",
        key="plus",
        label="one more",
        about="Run one more of this kind.",
        places=("processes",),
        action="scale-up",
        rank=33,
    ),
    Command(
        id="scale-down",
        key="minus",
        label="one less",
        about="Run one less of this kind.",
        places=("processes",),
        action="scale-down",
        rank=34,
    ),
    Command(
        id="redis",
        key="L",
        label="Local Redis",
        about="Start the local Redis; queue mode takes over by itself.",
        places=("overview", "processes", "health"),
        action="start-redis",
        target="redis",
        rank=60,
    ),
    Command(
        id="follow",
        key="f",
        label="follow",
        about="Keep showing the newest lines of the log, or stop.",
        places=("processes",),
        rank=21,
    ),
    Command(
        id="why",
        key="w",
        label="why",
        about="Say why the chosen trouble is there, or the worst, with its evidence and cures.",
        places=_TABLES,
        rank=16,
    ),
    Command(id="copy-id", key="y", label="copy id", about="Copy the id of what is chosen.", rank=61),
    Command(
        id="copy-command",
        key="Y",
        label="copy command",
        about="Copy the command line that shows or does the same.",
        rank=62,
    ),
    Command(id="refresh", key="r", label="refresh", about="Look now.", rank=70),
    Command(
        id="pause",
        key="p",
        label="pause",
        about="Stop looking, or look again.",
        places=_TABLES,
        rank=71,
    ),
    Command(
        id="zoom",
        key="z",
        label="zoom",
        about="Give the panel all the room, or take it back.",
        places=_TABLES,
        rank=72,
    ),
    Command(
        id="palette",
        key="colon,ctrl+p",
        label="commands",
        about="Search everything that can be done here.",
        rank=80,
    ),
    Command(id="help", key="question_mark,f1", label="help", about="Explain this view and its keys.", rank=5),
    Command(id="quit", key="q", label="quit", about="Leave the console; what it started goes on.", rank=95),
)
BY_ID: Mapping[str, Command] = {command.id: command for command in COMMANDS}
_GLYPHS = {
    "enter": "⏎",
    "escape": "esc",
    "slash": "/",
    "asterisk": "*",
    "plus": "+",
    "minus": "-",
    "question_mark": "?",
    "colon": ":",
    "space": "spc",
}


def commands_in(place: str) -> list[Command]:
    """What can be used in a view or screen."""
    return [command for command in COMMANDS if command.works_in(place)]


def bindings() -> list[Binding]:
    """The bindings of the whole table; a screen says through ``check_action`` which are in use."""
    return [
        Binding(command.key, f"command('{command.id}')", command.label, id=command.id, show=False)
        for command in COMMANDS
    ]


def key_of(command: Command, remapped: Mapping[str, str]) -> str:
    """The key to press, as it is shown."""
    first = remapped.get(command.id, command.key).split(",")[0].strip()
    return _GLYPHS.get(first, first.replace("ctrl+", "^"))
