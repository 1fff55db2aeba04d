"""A real broker with ACLs: a login may do only what it was granted."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from embedded import EmbeddedKafka
from embedded.probe import HOST
from tests.ports import reserve_ports
from tests.worker import TIMEOUT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.cluster import Cluster

USER, PASSWORD = "reels", "a-password"
LISTENER = "SASL_PLAINTEXT"

#: Kind and name of a resource, and an operation; a name that ends with * is a prefix.
Grant = tuple[str, str, str]


@dataclass(frozen=True)
class AuthorizedBroker:
    """A broker with two listeners: one for the program's login, and one without restrictions."""

    kafka: EmbeddedKafka
    port: int
    admin: AdminClient

    @property
    def bootstrap(self) -> str:
        """The address of the unrestricted listener."""
        return self.kafka.bootstrap

    @property
    def environment(self) -> dict[str, str]:
        """The program's settings for the login."""
        return {
            "BROKER_URL": f"kafka://{HOST}:{self.port}",
            "REELS_SECURITY_PROTOCOL": LISTENER,
            "REELS_SASL_MECHANISM": "PLAIN",
            "REELS_SASL_USERNAME": USER,
            "REELS_SASL_PASSWORD": PASSWORD,
        }

    def grant(self, *grants: Grant) -> None:
        """Grant rights to the program's login."""
        futures = self.admin.create_acls([_binding(*grant) for grant in grants])
        for future in futures.values():
            future.result(TIMEOUT)
        wait_until(lambda: all(self._has(grant) for grant in grants), "rights are granted")

    def revoke(self, *grants: Grant) -> None:
        """Revoke rights of the program's login."""
        futures = self.admin.delete_acls([_filter(*grant) for grant in grants])
        for future in futures.values():
            assert len(future.result(TIMEOUT)) == 1
        wait_until(lambda: not any(self._has(grant) for grant in grants), "rights are gone")

    def _has(self, grant: Grant) -> bool:
        return bool(self.admin.describe_acls(_filter(*grant)).result(TIMEOUT))


def _place(kind: str, name: str) -> tuple[ResourceType, str, ResourcePatternType]:
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    return ResourceType[kind], name.removesuffix("*"), pattern


def _binding(kind: str, name: str, operation: str) -> AclBinding:
    who = f"User:{USER}", "*", AclOperation[operation], AclPermissionType.ALLOW
    return AclBinding(*_place(kind, name), *who)


def _filter(kind: str, name: str, operation: str) -> AclBindingFilter:
    who = f"User:{USER}", "*", AclOperation[operation], AclPermissionType.ALLOW
    return AclBindingFilter(*_place(kind, name), *who)


def rights_of_a_worker(cluster: Cluster) -> list[Grant]:
    """Return the rights that a worker needs if its topics exist."""
    both: Iterable[str] = (
        *(cluster.deltas, cluster.repartition, cluster.viral),
        *(cluster.creator_deltas, cluster.creator_changelog),
        *(cluster.user_changelog, cluster.video_changelog),
    )
    return [
        ("TOPIC", cluster.events, "READ"),
        ("TOPIC", cluster.dead_letters, "WRITE"),
        ("TOPIC", cluster.order, "WRITE"),
        *(("TOPIC", name, "READ") for name in both),
        *(("TOPIC", name, "WRITE") for name in both),
        ("GROUP", cluster.app_id, "READ"),
        ("TRANSACTIONAL_ID", f"{cluster.app_id}-*", "WRITE"),
    ]


@contextmanager
def authorized_broker(**properties: str) -> Iterator[AuthorizedBroker]:
    """Run a broker; ``properties`` are its settings, with underscores for dots."""
    names = ("BROKER", "CONTROLLER", LISTENER)
    ports = dict(zip(names, reserve_ports(len(names)), strict=True))
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(
            f"{name}:{LISTENER if name == LISTENER else 'PLAINTEXT'}" for name in names
        ),
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
            f'{login} user_{USER}="{PASSWORD}";'
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        **{name.replace("_", "."): text for name, text in properties.items()},
    }
    with EmbeddedKafka(ports["BROKER"], properties=settings) as kafka:
        yield AuthorizedBroker(
            kafka, ports[LISTENER], AdminClient({"bootstrap.servers": kafka.bootstrap})
        )
