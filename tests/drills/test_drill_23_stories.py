"""Drill 23 with loops that write: an overloaded provider, or a refused key, is named, and gone on with by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixionmail.loops.service import hosting
from fixionmail.ops.views.findings import Finding, Harm
from fixionmail.settings import Settings
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.model_api import ModelFault


@pytest.fixture
def provider() -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn(api_key="sk-g00d") as running:
        yield running


def test_an_overloaded_provider_is_named_and_asked_again_by_itself_until_the_story_is_written(
    deployment: Deployment, provider: AnthropicStandIn
) -> None:
    provider.faults.add(ModelFault.OVERLOADED, times=None)  # type: ignore[arg-type]
    deployment.world.subscribe(1)
    with hosting(writing_by(deployment, provider, "sk-g00d")):
        finding = standing_line(deployment)
        assert (finding.drill, finding.harm) == (23, Harm.COST)
        assert "529" in finding.cause
        assert [bool(cure.automatic) for cure in finding.cures] == [True]
        assert written(deployment) == 0
        provider.faults.clear()
        goes_on_by_itself(deployment)


def test_a_refused_key_stops_the_line_which_is_named_with_the_setting_and_goes_on_when_the_key_is_good_again(
    deployment: Deployment, provider: AnthropicStandIn
) -> None:
    provider.api_key = "sk-an0ther"
    deployment.world.subscribe(1)
    with hosting(writing_by(deployment, provider, "sk-g00d")):
        finding = standing_line(deployment)
        assert (finding.drill, finding.harm) == (23, Harm.LATE)
        assert "401" in finding.cause
        assert finding.cures[0].command.startswith("ANTHROPIC_API_KEY")
        assert "sk-g00d" not in repr(finding)
        assert written(deployment) == 0
        provider.api_key = "sk-g00d"
        goes_on_by_itself(deployment)


def test_a_key_that_is_good_again_is_used_at_once_when_the_line_is_opened(
    deployment: Deployment, provider: AnthropicStandIn
) -> None:
    provider.api_key = "sk-an0ther"
    deployment.world.subscribe(1)
    with hosting(writing_by(deployment, provider, "sk-g00d")):
        finding = standing_line(deployment)
        until(
            lambda: deployment.world.column("select error from story_jobs where attempt = 0") != [None],
            "it",
        )
        provider.api_key = "sk-g00d"
        assert deployment.cure(finding, "open-line") == {"ok": 1}
        until(lambda: written(deployment) == 1, "the story")


def test_a_wrong_key_is_mended_by_the_setting_that_is_named(
    deployment: Deployment, provider: AnthropicStandIn
) -> None:
    deployment.world.subscribe(1)
    with hosting(writing_by(deployment, provider, "sk-wr0ng")):
        assert "sk-wr0ng" not in repr(standing_line(deployment))
    with hosting(writing_by(deployment, provider, "sk-g00d")):
        goes_on_by_itself(deployment)


def test_a_model_that_declines_is_named_and_asked_again_until_it_writes(
    deployment: Deployment, provider: AnthropicStandIn
) -> None:
    provider.faults.add(ModelFault.REFUSAL, times=None)  # type: ignore[arg-type]
    deployment.world.subscribe(1)
    with hosting(writing_by(deployment, provider, "sk-g00d")):
        finding = refusal(deployment, "story-provider")
        assert (finding.drill, finding.harm, finding.count) == (23, Harm.COST, 1)
        assert "declined" in finding.cause
        provider.faults.clear()
        goes_on_by_itself(deployment)


def standing_line(deployment: Deployment) -> Finding:
    return refusal(deployment, "story-line")


def refusal(deployment: Deployment, kind: str) -> Finding:
    """That finding, as soon as there is one; the pause that it tells of may be over at the next look."""
    finding: Finding = until(lambda: deployment.findings().get(kind), "the refusal")
    return finding


def written(deployment: Deployment) -> int:
    return int(deployment.world.value("select count(*) from stories"))


def goes_on_by_itself(deployment: Deployment) -> None:
    """What waits and every pause grows older by minutes, and nobody does anything else."""

    def is_written() -> bool:
        ago = "- interval '5 minutes'"
        deployment.world.change(
            f"update send_lines set paused_until = paused_until {ago}, next_slot_at = next_slot_at {ago}"
        )
        deployment.world.change(
            f"update story_jobs set run_after = run_after {ago}, ring_at = ring_at {ago} where state = 'pending'"
        )
        return bool(written(deployment))

    until(is_written, "the story")
    assert not {"story-line", "story-provider"} & deployment.findings().keys()


def writing_by(deployment: Deployment, provider: AnthropicStandIn, key: str) -> Settings:
    """Settings of loops that write by that provider themselves."""
    assert deployment.settings.database_url is not None
    return Settings.model_validate(
        {
            "redis_url": None,
            "enable_redis_queue": False,
            "database_url": deployment.settings.database_url.get_secret_value(),
            "fixionmail_home": deployment.settings.home,
            "check_interval_seconds": 1,
            "story_provider": "anthropic",
            "anthropic_api_key": key,
            "anthropic_base_url": provider.url,
        }
    )
