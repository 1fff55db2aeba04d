"""The files for deployment are well-formed, and agree with the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from typing import Any

import kubernetes_validate
import pytest
import yaml

from embedded.distribution import KAFKA_VERSION
from settings import VARIABLES, load
from sizing.demand import Assumptions
from tests.monitoring.queries import ROOT
from views.server import KNOWN_TOKENS

SETTINGS = {variable.name for variable in VARIABLES}
ROUTES = re.findall(r'web\.get\("([^"]+)"', (ROOT / "views" / "application.py").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OBJECTS = {
    (each["kind"], each["metadata"]["name"]): each
    for path in sorted((ROOT / "deploy" / "k8s").glob("*.yaml"))
    for each in yaml.safe_load_all(path.read_text())
}
#: KEDA's resource is not in Kubernetes' schemas; a test below compares it with the code.
KUBERNETES_OWN = [name for name in OBJECTS if name[0] != "ScaledObject"]


@pytest.mark.parametrize("name", KUBERNETES_OWN, ids="/".join)
def test_each_manifest_is_what_kubernetes_takes(name: tuple[str, str]) -> None:
    kubernetes_validate.validate(OBJECTS[name], "1.31", strict=True)


def test_a_mistake_in_a_manifest_is_noticed() -> None:
    spec = {"serviceName": "a", "replica": 2}
    wrong = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {}, "spec": spec}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.31", strict=True)


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = OBJECTS["StatefulSet", "reels-worker"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def environment(pod: dict[str, Any]) -> dict[str, str]:
    """The environment of the first worker."""
    data: dict[str, str] = (
        OBJECTS["ConfigMap", "reels"]["data"] | OBJECTS["Secret", "reels"]["stringData"]
    )
    (container,) = pod["containers"]
    for entry in container["env"]:
        assert "value" in entry or entry["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
        text = entry.get("value", "reels-worker-0")
        data[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda found: data[found[1]], text)
    return data


def test_the_pods_settings_are_settings_and_valid(environment: dict[str, str]) -> None:
    assert environment.keys() <= SETTINGS
    settings = load(environment)
    assert settings.group_instance_id == "reels-worker-0"
    service = OBJECTS["StatefulSet", "reels-worker"]["spec"]["serviceName"]
    assert OBJECTS["Service", service]["spec"]["clusterIP"] == "None"
    port = settings.web_port
    assert environment["NODE_CANONICAL_URL"] == f"http://reels-worker-0.{service}:{port}"


def test_probes_and_services_ask_where_the_worker_answers(
    pod: dict[str, Any], environment: dict[str, str]
) -> None:
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": load(environment).web_port}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"
        assert container[probe]["httpGet"]["path"] in ROUTES
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for (kind, _), each in OBJECTS.items():
        if kind == "Service":
            assert [p["targetPort"] for p in each["spec"]["ports"]] == ["http"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["data"] == environment["APP_DATADIR"]


def test_the_autoscaler_looks_at_the_group_and_the_topic_of_the_program(
    environment: dict[str, str],
) -> None:
    spec = OBJECTS["ScaledObject", "reels-worker"]["spec"]
    assert ("StatefulSet", spec["scaleTargetRef"]["name"]) in OBJECTS
    settings = load(environment)
    asked = next(each["metadata"] for each in spec["triggers"] if each["type"] == "kafka")
    assert asked["consumerGroup"] == settings.app_id
    assert asked["topic"] == settings.events_topic
    assert [asked["bootstrapServers"]] == settings.bootstrap_servers
    assert spec["maxReplicaCount"] <= settings.partitions


def test_the_autoscaler_keeps_the_share_of_a_core_that_workers_are_sized_for(
    pod: dict[str, Any],
) -> None:
    """By lag alone, workers that keep up would be removed whatever they do."""
    spec = OBJECTS["ScaledObject", "reels-worker"]["spec"]
    (cpu,) = (each for each in spec["triggers"] if each["type"] == "cpu")
    assert cpu["metricType"] == "Utilization", "of the containers' requests"
    assert [each["resources"]["requests"]["cpu"] for each in pod["containers"]] == ["1"]
    assert float(cpu["metadata"]["value"]) == pytest.approx(100 * Assumptions().used_share)


def test_what_autoscaling_needs_to_know_of_the_set_is_told() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    told = page.partition("## Autoscaling\n")[2].partition("\n## ")[0]
    name = OBJECTS["ScaledObject", "reels-worker"]["spec"]["scaleTargetRef"]["name"]
    assert f"statefulset/{name}" in told
    (container,) = OBJECTS["StatefulSet", name]["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert f"{values['BROKER_SESSION_TIMEOUT']} s in `workers.yaml`" in told
    assert f"back to {OBJECTS['StatefulSet', name]['spec']['replicas']}." in told


def test_the_label_that_lets_prometheus_in_is_told() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (rule,) = OBJECTS["NetworkPolicy", "reels-worker"]["spec"]["ingress"]
    (labels,) = (
        each["podSelector"]["matchLabels"] for each in rule["from"] if "namespaceSelector" in each
    )
    ((label, value),) = labels.items()
    assert f'`{label}: "{value}"`' in page


def test_compose_brings_two_workers_and_the_load_and_monitors_them() -> None:
    services = COMPOSE["services"]
    assert services["worker"]["scale"] == 2
    always = {name for name, each in services.items() if "profiles" not in each}
    assert always == {"kafka", "topics", "worker", "generator"}
    assert {name for name in services if services[name].get("profiles") == ["monitoring"]} == {
        "prometheus",
        "grafana",
    }
    # This makes a plain `docker compose up` start these two as well.
    assert "COMPOSE_PROFILES=monitoring" in (ROOT / ".env").read_text().splitlines()


def test_each_token_in_the_files_is_one_that_a_worker_warns_of() -> None:
    files = [ROOT / "docker-compose.yml", *(ROOT / "deploy" / "k8s").glob("*.yaml")]
    found = set()
    for path in files:
        found |= set(re.findall(r"REELS_HTTP_TOKEN: (?:\$\{\w+:-)?([^\s}$]+)", path.read_text()))
    assert found == KNOWN_TOKENS


#: Files that name images; OWN are the images built from this repository.
NAMING_IMAGES = "Dockerfile", "docker-compose.yml", "deploy/k8s/*.yaml", ".github/workflows/*.yml"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
OWN = {"reels-analytics", f"reels-analytics:{VERSION}", "base"}


def images_of_others() -> list[str]:
    """Return the images of others, each as often as files name it."""
    texts = [path.read_text() for name in NAMING_IMAGES for path in ROOT.glob(name)]
    named = re.compile(r"^(?:FROM|\s*(?:- )?(?:image|container):) +(\S+)", re.MULTILINE)
    return [image for text in texts for image in named.findall(text) if image not in OWN]


def test_each_image_of_others_is_named_once_and_pinned_by_its_digest() -> None:
    pinned = re.compile(r"([\w./-]+):[\w.-]+@sha256:[0-9a-f]{64}")
    images = images_of_others()
    assert [each for each in images if not pinned.fullmatch(each)] == []
    names = [found[1] for each in images if (found := pinned.fullmatch(each))]
    assert sorted(names) == ["apache/kafka", "grafana/grafana", "prom/prometheus", "python"]
    assert len({each.partition("@")[2] for each in images}) == len(images)


def test_images_have_the_versions_that_the_tests_run_with(pod: dict[str, Any]) -> None:
    tags = dict(each.partition("@")[0].split(":") for each in images_of_others())
    assert tags["apache/kafka"] == KAFKA_VERSION
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tags["python"].removesuffix("-slim") in tested
    assert [each["image"] for each in pod["containers"]] == [f"reels-analytics:{VERSION}"]


def test_only_workers_are_asked_for_their_health_by_the_image() -> None:
    image = (ROOT / "Dockerfile").read_text()
    assert "/healthz" in image
    for name, each in COMPOSE["services"].items():
        if each.get("image") == "reels-analytics":
            is_asked = not each.get("healthcheck", {}).get("disable")
            assert is_asked == (each["command"][0] == "worker"), name


def test_compose_sets_what_can_be_set_and_mounts_what_is_there() -> None:
    services = COMPOSE["services"]
    for name in ("topics", "worker", "generator"):
        assert services[name]["environment"].keys() <= SETTINGS
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source


def test_prometheus_scrapes_the_workers_of_the_compose_file() -> None:
    (job,) = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert all(name in COMPOSE["services"] for name in found["names"])
    assert found["port"] == load({}).web_port
    assert job["job_name"] == "reels", "the alerts go by it"
    told = " ".join(COMPOSE["services"]["prometheus"]["entrypoint"])
    assert job["authorization"]["credentials_file"] in told
    assert "/metrics" in ROUTES


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
def test_docker_compose_resolves_the_file() -> None:
    done = subprocess.run(
        ["docker-compose", "config", "--services"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == COMPOSE["services"].keys()
    assert {"kafka", "topics", "worker"} <= COMPOSE["services"].keys()
