"""Refusals by the group are reported, then retried after a pause; the brokers are fakes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from settings import load
from streaming.errors import StaleAssignmentError
from streaming.kafka import group_coordinator as module
from streaming.kafka.group_coordinator import Coordinator
from streaming.kafka.group_refusals import (
    FENCED_INSTANCE,
    INCONSISTENT_PROTOCOL,
    INVALID_GROUP_ID,
    INVALID_SESSION_TIMEOUT,
    NOT_AUTHORIZED,
    UNKNOWN,
    UNREADABLE_ASSIGNMENT,
    GroupRefusedError,
    Refusals,
    is_refusal,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping


NAME = "worker-a"
OWN_ID = f"{NAME}-0b9e6d61-6fd4-4d3b-9a0c-2f9b8c8a7d10"
REBALANCING, UNKNOWN_MEMBER = 27, 25


def join(name: str | None = None) -> JoinGroupRequest:
    return JoinGroupRequest("group", 1000, 1000, "", name, "consumer", [])


@pytest_asyncio.fixture
async def make_coordinator(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Callable[..., Awaitable[Coordinator]]]:
    """Make group members whose brokers give the test's answers, by request type."""
    made: list[Coordinator] = []

    async def make(answers: Mapping[str, SimpleNamespace], name: str | None = None) -> Coordinator:
        async def answer(_: object, request: object) -> SimpleNamespace:
            return answers[type(request).__name__]

        async def known(_: object) -> None:
            pass

        monkeypatch.setattr(GroupCoordinator, "_send_req", answer)
        monkeypatch.setattr(GroupCoordinator, "ensure_coordinator_known", known)
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
        client, subscriptions = AIOKafkaClient(), SubscriptionState()
        made.append(Coordinator(client, subscriptions, group_id="group", group_instance_id=name))
        subscriptions.subscribe({"topic"})
        return made[-1]

    yield make
    for each in made:
        await each.close()
        await each._client.close()


class Listener:
    """Records the refusals; the last expected one is final."""

    def __init__(self, expected: int) -> None:
        self.codes: list[int] = []
        self.pauses: list[float] = []
        self.expected = expected
        self.done = asyncio.Event()

    def refused(self, exc: GroupRefusedError, pause: float, *, has_joined: bool) -> bool:
        assert not has_joined
        self.codes.append(exc.code)
        self.pauses.append(pause)
        if len(self.codes) == self.expected:
            self.done.set()
        return len(self.codes) < self.expected

    def joined(self) -> None:
        raise AssertionError


async def test_a_refusal_is_asked_again_with_growing_pauses_until_it_is_final(
    make_coordinator: Callable[..., Awaitable[Coordinator]],
) -> None:
    answers = {"JoinGroupRequest": SimpleNamespace(error_code=INCONSISTENT_PROTOCOL)}
    listener = Listener(4)
    coordinator = await make_coordinator(answers)
    coordinator.hears(cast("Refusals", listener), cast("Any", pytest.fail))
    await asyncio.wait_for(listener.done.wait(), 20)
    assert listener.codes == [INCONSISTENT_PROTOCOL] * 4
    assert listener.pauses == [0.001, 0.002, 0.004, 0.008]
    await asyncio.sleep(0.02)
    assert len(listener.codes) == 4


@pytest.mark.parametrize("request_", [join(), HeartbeatRequest("group", 1, "a")])
async def test_a_code_that_aiokafka_does_not_know_is_told_by_its_number(
    make_coordinator: Callable[..., Awaitable[Coordinator]],
    request_: JoinGroupRequest | HeartbeatRequest,
) -> None:
    answers = {type(request_).__name__: SimpleNamespace(error_code=FENCED_INSTANCE)}
    coordinator = await make_coordinator(answers)
    with pytest.raises(GroupRefusedError) as refused:
        await coordinator._send_req(request_)
    assert refused.value.code == FENCED_INSTANCE


@pytest.mark.parametrize("code", [0, REBALANCING, UNKNOWN_MEMBER])
async def test_what_a_rebalance_brings_along_is_aiokafkas_to_handle(
    make_coordinator: Callable[..., Awaitable[Coordinator]], code: int
) -> None:
    answer = SimpleNamespace(error_code=code)
    coordinator = await make_coordinator({"HeartbeatRequest": answer})
    assert await coordinator._send_req(HeartbeatRequest("group", 1, "a")) is answer
    assert not is_refusal(code)


@pytest.mark.parametrize(
    ("exc", "code"),
    [(GroupAuthorizationFailedError("group"), NOT_AUTHORIZED), (ValueError("x"), UNKNOWN)],
)
async def test_an_error_of_aiokafkas_own_is_a_refusal_too(
    make_coordinator: Callable[..., Awaitable[Coordinator]], exc: BaseException, code: int
) -> None:
    coordinator = await make_coordinator({})
    listener = Listener(2)
    coordinator.hears(cast("Refusals", listener), cast("Any", pytest.fail))
    await coordinator._push_error_to_user(exc)
    assert listener.codes[:1] == [code]


class TestNamedMembers:
    async def lose_membership(
        self, make_coordinator: Callable[..., Awaitable[Coordinator]], *member_ids: str
    ) -> Coordinator:
        members = [(each, "client", "/127.0.0.1", b"", b"") for each in member_ids]
        groups = [(0, "group", "Stable", "consumer", "faust", members)]
        coordinator = await make_coordinator(
            {"DescribeGroupsRequest": SimpleNamespace(groups=groups)}, NAME
        )
        coordinator._has_joined, coordinator.member_id = True, OWN_ID
        coordinator.reset_generation()
        return coordinator

    async def test_one_whose_name_another_has_taken_is_fenced(
        self, make_coordinator: Callable[..., Awaitable[Coordinator]]
    ) -> None:
        taken = f"{NAME}-430e0da7-4924-41c6-a600-b211bc3626f2"
        coordinator = await self.lose_membership(make_coordinator, "other", taken)
        with pytest.raises(GroupRefusedError) as refused:
            await coordinator._check_instance()
        assert refused.value.code == FENCED_INSTANCE

    async def test_one_that_only_was_away_joins_again(
        self, make_coordinator: Callable[..., Awaitable[Coordinator]]
    ) -> None:
        longer = f"{NAME}-2-430e0da7-4924-41c6-a600-b211bc3626f2"
        coordinator = await self.lose_membership(make_coordinator, longer, OWN_ID)
        await coordinator._check_instance()

    async def test_one_that_has_just_joined_again_is_not_taken_for_another(
        self,
        make_coordinator: Callable[..., Awaitable[Coordinator]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The response to its own join may have been lost."""
        coordinator = await self.lose_membership(make_coordinator)
        await coordinator._check_instance()
        monkeypatch.delattr(GroupCoordinator, "_send_req")
        await coordinator._check_instance()


async def test_what_was_assigned_at_another_address_is_asked_for_again_at_once(
    make_coordinator: Callable[..., Awaitable[Coordinator]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rejoins with its member id, or it would get the same assignment; later retries pause."""
    joined: list[str] = []

    async def stale(self: Coordinator, *_: object) -> None:
        joined.append(self.member_id)
        raise GroupRefusedError(UNREADABLE_ASSIGNMENT) from StaleAssignmentError("elsewhere")

    monkeypatch.setattr(GroupCoordinator, "ensure_active_group", stale)
    coordinator = await make_coordinator({})
    listener = Listener(3)
    coordinator.hears(cast("Refusals", listener), cast("Any", pytest.fail))
    coordinator.member_id = OWN_ID
    await asyncio.wait_for(listener.done.wait(), 20)
    assert listener.pauses == [0.001, 0.002, 0.004]
    assert joined == [OWN_ID] * 4


class TestRefusals:
    """Each refusal is one line that names the setting."""

    def refusals(self, **environ: str) -> tuple[Refusals, list[BaseException]]:
        ended: list[BaseException] = []
        environ = {"REELS_APP_ID": "app", "CONSUMER_GROUP_INSTANCE_ID": NAME, **environ}
        return Refusals(load(environ), ended.append), ended

    @pytest.mark.parametrize(
        ("code", "has_joined", "ends", "setting"),
        [
            (INCONSISTENT_PROTOCOL, False, False, "REELS_APP_ID"),
            (NOT_AUTHORIZED, False, True, "group app"),
            (NOT_AUTHORIZED, True, False, "group app"),
            (INVALID_SESSION_TIMEOUT, False, True, "BROKER_SESSION_TIMEOUT = 10:"),
            (INVALID_GROUP_ID, False, True, "REELS_APP_ID = app"),
            (FENCED_INSTANCE, True, True, f"CONSUMER_GROUP_INSTANCE_ID = {NAME}"),
            (UNKNOWN, True, False, "group app"),
            (9999, True, False, "error code 9999"),
        ],
    )
    def test_what_can_pass_is_waited_for_and_the_rest_ends_the_worker(
        self,
        caplog: pytest.LogCaptureFixture,
        code: int,
        has_joined: bool,
        ends: bool,
        setting: str,
    ) -> None:
        refusals, ended = self.refusals()
        again = refusals.refused(GroupRefusedError(code), 2.0, has_joined=has_joined)
        assert again is not ends
        assert len(ended) == ends
        assert refusals.reason is not None
        assert setting in refusals.reason
        assert "\n" not in refusals.reason
        assert [each.getMessage() for each in caplog.records] == (
            [] if ends else [f"{refusals.reason}; again in 2 s"]
        )
        refusals.joined()
        assert refusals.reason is None
