"""Drill 23 with loops that write: the model's provider refuses the key, and the cure is the setting."""

from __future__ import annotations

from fixionmail.loops.service import hosting
from fixionmail.ops.views.findings import Harm
from fixionmail.settings import Settings
from tests.commands import until
from tests.drills.conftest import Deployment
from tests.standins.anthropic import AnthropicStandIn


def test_a_refused_key_stops_the_line_which_is_named_with_the_setting_and_nothing_is_written_meanwhile(
    deployment: Deployment,
) -> None:
    with AnthropicStandIn() as provider:
        settings = writing_by(deployment, provider.url, "sk-wr0ng")
        deployment.world.subscribe(1)
        with hosting(settings):
            until(lambda: "story-line" in deployment.findings(), "the refusal", 20)
        finding = deployment.findings()["story-line"]
        assert (finding.drill, finding.harm) == (23, Harm.LATE)
        assert "401" in finding.cause
        assert finding.cures[0].command.startswith("ANTHROPIC_API_KEY")
        assert "sk-wr0ng" not in repr(finding)
        assert deployment.world.value("select count(*) from stories") == 0


def writing_by(deployment: Deployment, url: str, key: str) -> Settings:
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
            "anthropic_base_url": url,
        }
    )
