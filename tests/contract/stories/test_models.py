"""Asking a language model through its SDK: whole answers, and every way in which there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from fixionmail import deadline
from fixionmail.errors import DeadlineExceededError
from fixionmail.models.stories import Usage
from fixionmail.stories.model import NOTHING_BILLED, Answer, Failure, ModelError, Prompt
from fixionmail.stories.prompts import plan_prompt
from fixionmail.stories.providers.reading import MOST_CHARACTERS
from fixionmail.stories.writer import Limits
from tests.contract.stories.endpoints import KEY, Endpoint
from tests.standins.model_api import ModelFault, tokens
from tests.unit.stories.briefs import brief

PLAN = plan_prompt(brief("mystery"), Limits.around(900, "English"), [])
STORY = Prompt(
    name="draft", rules="Be brief.", material='<story_plan>{"title": "The Lamp"}</story_plan>', max_tokens=900
)


def ask(endpoint: Endpoint, prompt: Prompt = STORY, **options: object) -> Answer:
    return endpoint.model(**options).ask(prompt, lambda piece: None)


def failed(endpoint: Endpoint, fault: ModelFault, *, seconds: float = 0.0, **options: object) -> ModelError:
    endpoint.server.faults.add(fault, seconds=seconds)  # type: ignore[arg-type]
    with pytest.raises(ModelError) as caught:
        ask(endpoint, **options)
    return caught.value


def test_an_answer_is_whole_heard_piece_by_piece_and_counted(endpoint: Endpoint) -> None:
    pieces: list[str] = []
    answer = endpoint.model().ask(STORY, pieces.append)
    assert len(pieces) > 5
    assert "".join(pieces) == answer.text
    (entry,) = endpoint.server.entries()
    assert answer.usage == Usage(
        input_tokens=tokens(STORY.rules + STORY.material), output_tokens=entry.output_tokens
    )


def test_a_strict_server_accepts_every_prompt_that_we_send(endpoint: Endpoint) -> None:
    ask(endpoint, PLAN)
    ask(endpoint)
    assert endpoint.server.refused == []
    assert [entry.step for entry in endpoint.server.entries()] == ["plan", "draft"]


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (ModelFault.UNAUTHORIZED, Failure.UNAUTHORIZED),
        (ModelFault.RATE_LIMITED, Failure.RATE_LIMITED),
        (ModelFault.OVERLOADED, Failure.OVERLOADED),
        (ModelFault.OUTAGE, Failure.OUTAGE),
    ],
)
def test_an_error_status_is_told_apart_and_costs_nothing(
    endpoint: Endpoint, fault: ModelFault, failure: Failure
) -> None:
    error = failed(endpoint, fault)
    assert (error.failure, error.usage) == (failure, NOTHING_BILLED)


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (ModelFault.CUT, Failure.CUT),
        (ModelFault.CUT_BEFORE_END, Failure.CUT),
        (ModelFault.ERROR_MIDWAY, Failure.OVERLOADED),
        (ModelFault.HUGE, Failure.BAD_ANSWER),
    ],
)
def test_an_answer_that_is_not_whole_is_no_answer_and_its_cost_is_unknown(
    endpoint: Endpoint, fault: ModelFault, failure: Failure
) -> None:
    error = failed(endpoint, fault)
    assert (error.failure, error.usage) == (failure, None)


@pytest.mark.parametrize(
    ("fault", "failure"),
    [(ModelFault.REFUSAL, Failure.REFUSED), (ModelFault.TRUNCATED, Failure.TRUNCATED)],
)
def test_a_refusal_and_a_text_cut_by_its_limit_are_no_answers_and_are_paid(
    endpoint: Endpoint, fault: ModelFault, failure: Failure
) -> None:
    error = failed(endpoint, fault)
    (entry,) = endpoint.server.entries()
    assert error.failure is failure
    assert error.usage == Usage(input_tokens=entry.input_tokens, output_tokens=entry.output_tokens)


def test_what_the_provider_asks_us_to_wait_is_known(endpoint: Endpoint) -> None:
    assert failed(endpoint, ModelFault.RATE_LIMITED, seconds=17).wait_seconds == 17


def test_a_model_that_does_not_stop_is_stopped(endpoint: Endpoint) -> None:
    endpoint.server.pace = 0.002  # else all of it is on its way before we can stop it
    failed(endpoint, ModelFault.HUGE)
    (entry,) = endpoint.server.entries()
    assert entry.output_tokens * 4 < 3 * MOST_CHARACTERS


def test_no_failure_is_tried_again_behind_our_back(endpoint: Endpoint) -> None:
    failed(endpoint, ModelFault.OUTAGE)
    failed(endpoint, ModelFault.RATE_LIMITED)
    assert len(endpoint.server.entries()) == 2


def test_a_server_that_falls_silent_is_given_up_after_the_idle_time(endpoint: Endpoint) -> None:
    error = failed(endpoint, ModelFault.SLOW, seconds=30, idle_seconds=0.3)
    assert error.failure is Failure.TIMED_OUT


def test_a_lively_answer_that_takes_too_long_is_given_up_all_the_same(endpoint: Endpoint) -> None:
    endpoint.server.pace = 0.1
    begun = time.monotonic()
    with pytest.raises(ModelError) as caught:
        ask(endpoint, total_seconds=0.5)
    assert caught.value.failure is Failure.TIMED_OUT
    assert time.monotonic() - begun < 5


def test_no_request_outlives_the_work_that_it_belongs_to(endpoint: Endpoint) -> None:
    endpoint.server.pace = 0.1
    begun = time.monotonic()
    with deadline.limit(0.5), pytest.raises((ModelError, DeadlineExceededError)):
        ask(endpoint)
    assert time.monotonic() - begun < 5


def test_work_whose_time_is_over_asks_nobody(endpoint: Endpoint) -> None:
    with deadline.limit(10) as limit:
        limit.cancel()
        with pytest.raises(DeadlineExceededError):
            ask(endpoint)
    assert endpoint.server.entries() == []


def test_nobody_at_the_address_is_told_as_such_and_costs_nothing(endpoint: Endpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ModelError) as caught:
            ask(endpoint, url=url)
    assert (caught.value.failure, caught.value.usage) == (Failure.UNREACHABLE, NOTHING_BILLED)


def test_an_unknown_model_is_named(endpoint: Endpoint) -> None:
    with pytest.raises(ModelError, match="gpt-zero") as caught:
        ask(endpoint, model="gpt-zero")
    assert caught.value.failure is Failure.NOT_FOUND


def test_our_key_is_in_no_error_even_when_the_server_repeats_it(endpoint: Endpoint) -> None:
    assert KEY not in str(failed(endpoint, ModelFault.UNAUTHORIZED))


def test_a_wrong_key_is_unauthorized(endpoint: Endpoint) -> None:
    with pytest.raises(ModelError) as caught:
        ask(endpoint, api_key="sk-another")
    assert caught.value.failure is Failure.UNAUTHORIZED


def test_one_client_serves_many_threads(endpoint: Endpoint) -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = endpoint.model()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: model.ask(STORY, lambda piece: None), range(20)))
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_the_sdk_is_not_loaded_before_it_is_needed(provider: str) -> None:
    code = (
        "import sys; from fixionmail.settings import Settings; from fixionmail.stories import writer_for;"
        "from pydantic import SecretStr; key = SecretStr('k');"
        f"writer_for(Settings.model_construct(story_provider='{provider}', {provider}_api_key=key));"
        f"sys.exit('{provider}' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
