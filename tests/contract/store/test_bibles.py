"""What a subscriber's stories have in common: it changes with the story that is stored, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

from uuid_utils.compat import uuid7

from fixionmail.models.stories import Brief, CastMember, Story
from fixionmail.models.verdict import Verdict
from tests.contract.store.world import TAKEN, TODAY, World

CAST = (CastMember(name="Ada", role="keeper"), CastMember(name="Ben", role="fisher"))
STORY = Story(
    title="The Lamp",
    body="It burned.",
    writer="openai",
    plot="A lamp goes out.",
    names=("Cleo",),
    cast=CAST,
    fallback_from="anthropic: 401",
)


def hand_in(world: World, job: UUID, token: int, story: Story = STORY, charge: int = 0) -> Verdict:
    return world.store.jobs.complete(
        job, token=token, story_id=uuid7(), delivery_id=uuid7(), story=story, charge=charge
    )[0]


def written(world: World, story: Story = STORY, charge: int = 0) -> UUID:
    job = world.job()
    if charge:
        world.change("update users set credits = 5")
    assert hand_in(world, job, world.claimed(job), story, charge) in TAKEN
    return job


def next_brief(world: World, job: UUID) -> Brief:
    user = world.row("story_jobs", job)["user_id"]
    brief = world.store.writing.brief(user, job_id=uuid7(), local_date=TODAY)
    assert brief is not None
    return brief


def test_a_story_adds_its_title_plot_and_names_and_sets_the_cast(world: World) -> None:
    brief = next_brief(world, written(world))
    assert (brief.past_titles, brief.past_plots, brief.past_names, brief.cast) == (
        ("The Lamp",),
        ("A lamp goes out.",),
        ("Cleo",),
        CAST,
    )


def test_a_story_without_a_cast_leaves_it_as_it_is(world: World) -> None:
    brief = next_brief(world, written(world, replace(STORY, cast=(), plot="", names=())))
    assert (brief.cast, brief.past_plots, brief.past_names) == ((), (), ())


def test_a_stale_claim_changes_nothing_of_the_bible(world: World) -> None:
    job = world.job()
    token = world.claimed(job)
    world.lapse(job)
    assert hand_in(world, job, token) is Verdict.STALE
    assert next_brief(world, job).cast == ()


def test_wishes_are_within_bounds_whatever_is_stored(world: World) -> None:
    job = world.job()
    world.change(
        'update users set story_bible = \'{"intensity": "9", "length": "1500", "language": "Klingon"}\''
    )
    brief = next_brief(world, job)
    assert (brief.intensity, brief.length, brief.language) == (3, 1_500, "English")


def test_nobody_has_no_brief(world: World) -> None:
    assert world.store.writing.brief(uuid7(), job_id=uuid7(), local_date=date(2031, 1, 1)) is None


class TestLooking:
    def test_a_story_is_found_by_its_own_id_its_jobs_and_its_deliverys(self, world: World) -> None:
        job = written(world)
        record = world.store.writing.show(job)
        assert record is not None
        assert (record.story.title, record.story.fallback_from) == ("The Lamp", "anthropic: 401")
        assert record.story.delivery_id is not None
        assert world.store.writing.show(record.story.story_id) == record
        assert world.store.writing.show(record.story.delivery_id) == record

    def test_stories_come_newest_first_in_pages_of_one_subscriber_or_of_all(self, world: World) -> None:
        jobs = [written(world) for _ in range(3)]
        listed = world.store.writing.list(user_id=None, before=None, limit=2)
        rest = world.store.writing.list(user_id=None, before=listed[-1].story_id, limit=2)
        assert [row.job_id for row in (*listed, *rest)] == jobs[::-1]
        user = world.row("story_jobs", jobs[1])["user_id"]
        assert [row.job_id for row in world.store.writing.list(user_id=user, before=None, limit=9)] == [
            jobs[1]
        ]


class TestRewriting:
    def rewrite(self, world: World, job: UUID) -> tuple[Verdict, str]:
        record = world.store.writing.show(job)
        assert record is not None
        return world.store.writing.rewrite(record.story.story_id, by="ada", host="h", reason="dull")

    def test_a_story_that_waits_is_written_anew_and_its_mail_goes_out_once(self, world: World) -> None:
        job = written(world)
        assert self.rewrite(world, job)[0] in TAKEN
        assert world.state("story_jobs", job) == "pending"
        assert world.column("select state from scheduled_deliveries") == ["missed"]
        assert hand_in(world, job, world.claimed(job, "another")) in TAKEN
        assert world.column("select state from scheduled_deliveries") == ["pending"]
        assert len(world.column("select id from stories")) == 1

    def test_is_charged_once(self, world: World) -> None:
        job = written(world, charge=1)
        self.rewrite(world, job)
        assert hand_in(world, job, world.claimed(job, "another"), charge=1) in TAKEN
        assert world.value("select credits from users") == 4

    def test_with_the_last_credit_spent_on_it_is_possible(self, world: World) -> None:
        job = written(world, charge=1)
        world.change("update users set credits = 0")
        self.rewrite(world, job)
        assert world.claim(job, "another", charge=1).verdict is Verdict.GO

    def test_a_story_in_a_mail_request_is_left_alone(self, world: World) -> None:
        world.sealed()
        job = world.value("select id from story_jobs")
        verdict, reason = self.rewrite(world, job)
        assert verdict is Verdict.REFUSED
        assert "mail request" in reason

    def test_twice_is_once(self, world: World) -> None:
        record = world.store.writing.show(written(world))
        assert record is not None
        answers = [
            world.store.writing.rewrite(record.story.story_id, by="ada", host="h", reason="dull")[0]
            for _ in range(2)
        ]
        assert answers == [Verdict.OK, Verdict.ALREADY]
        assert len(world.audit("story rewrite")) == 1
