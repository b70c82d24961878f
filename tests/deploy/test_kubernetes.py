"""The manifests as kustomize builds them: by Kubernetes's schemas, and against one another."""

import shutil
import subprocess
from urllib.request import urlopen

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

SOURCES = ("volume", "object-store")


@pytest.fixture(scope="module")
def build(tool, deploy, tmp_path_factory):
    """Builds an overlay with a source of models; its objects by kind and name."""
    built = {}

    def once(overlay, source):
        folder = tmp_path_factory.mktemp("kustomize") / "tensorflow-serving"
        shutil.copytree(deploy, folder)
        file = folder / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
        line = f"- ../../components/{source} # or"
        monitor = f"- ../../components/{source}\n  - ../../components/pod-monitor #"
        text = file.read_text().replace("components/volume", f"components/{source}", 1)
        assert line in text
        file.write_text(text.replace(line, monitor))
        command = [tool("kubectl"), "kustomize", str(file.parent)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    def one(overlay, source):
        if (overlay, source) not in built:
            built[overlay, source] = once(overlay, source)
        return built[overlay, source]

    return one


@pytest.fixture(params=[(o, s) for o in ("cpu", "gpu") for s in SOURCES], ids="-".join)
def objects(request, build):
    return build(*request.param)


@pytest.fixture
def pod(objects):
    return only(objects, "Deployment")["spec"]["template"]


@pytest.fixture
def server(pod):
    (container,) = pod["spec"]["containers"]
    return container


def only(objects, kind):
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


def check(document, version):
    validate = pytest.importorskip("kubernetes_validate").validate
    assert validate(document, version, strict=True) == version


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_objects_follow_the_schemas(version, objects, deploy):
    loader = yaml.safe_load((deploy / "kubernetes" / "loader.yaml").read_text())
    for document in [*objects, loader]:
        if document["kind"] != "PodMonitor":  # of the operator, whose schema no package ships
            check(document, version)


def test_everything_is_in_the_namespace_of_the_page(objects, readme):
    assert {one["metadata"]["namespace"] for one in objects} == {"tfadvseg"}
    assert "kubectl create namespace tfadvseg" in readme.text


def test_selectors_select_the_pods(objects, pod):
    labels = pod["metadata"]["labels"].items()
    for one in objects:
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if selector is not None:
            selector = selector.get("matchLabels", selector)
            assert selector and selector.items() <= labels, one["kind"]
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels


def test_ports_agree(objects, pod, server):
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert [f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}"] == server["args"][:2]
    for service in [one for one in objects if one["kind"] == "Service"]:
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    rules = only(objects, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == set(ports)
    assert server["livenessProbe"]["grpc"]["port"] == ports["grpc"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["rest"])


def test_scrapes_ask_where_the_metrics_are(objects, pod):
    (endpoint,) = only(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    path = pod["metadata"]["annotations"]["prometheus.io/path"]
    assert endpoint["path"] == path == "/monitoring/prometheus/metrics"
    assert endpoint["port"] == "rest"


def test_mounts_and_volumes_agree(objects, pod):
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    used = {mount["name"] for one in containers for mount in one["volumeMounts"]}
    assert used == set(volumes)
    maps = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ConfigMap"}
    for volume in volumes.values():
        assert volume.get("configMap", {}).get("name") in {None, *maps}
    files = maps[volumes["config"]["configMap"]["name"]]["data"]
    assert set(files) == {"models.config", "batching.config", "monitoring.config"}
    if claim := volumes["models"].get("persistentVolumeClaim"):
        name = only(objects, "PersistentVolumeClaim")["metadata"]["name"]
        assert claim == {"claimName": name, "readOnly": True}


def test_server_reads_the_models_and_writes_to_tmp_alone(server):
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in server["volumeMounts"]}
    assert mounts == {"/models": True, "/config": True, "/tmp": False}


def test_pods_fulfil_the_restricted_standard(pod, deploy):
    loader = yaml.safe_load((deploy / "kubernetes" / "loader.yaml").read_text())
    for spec in (pod["spec"], loader["spec"]):
        context = spec["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec["automountServiceAccountToken"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_ending_pods_outlive_their_clients(pod, server):
    """The sleep covers a connection's age with its jitter of a tenth, and a request behind it."""
    program, seconds = server["lifecycle"]["preStop"]["exec"]["command"]
    (text,) = [line for line in server["args"] if "grpc.max_connection_age_ms" in line]
    options = dict(option.split("=") for option in text.partition("=")[2].split(","))
    age, grace = (int(options[f"grpc.max_connection_age_{name}ms"]) for name in ("", "grace_"))
    (rest,) = [line for line in server["args"] if "rest_api_timeout_in_ms" in line]
    assert int(rest.split("=")[1]) <= grace
    assert program == "sleep" and int(seconds) * 1000 >= 1.1 * age + grace
    assert pod["spec"]["terminationGracePeriodSeconds"] > int(seconds)


def test_threads_are_those_of_the_limit(server):
    (cpus,) = [one for one in server["env"] if one["name"] == "CPUS"]
    source = cpus["valueFrom"]["resourceFieldRef"]
    assert source == {"containerName": server["name"], "resource": "limits.cpu"}
    assert server["resources"]["limits"]["cpu"]
    assert sum("$(CPUS)" in line for line in server["args"]) == 2


def test_images_are_those_of_compose(build, compose):
    for overlay, end in (("cpu", ""), ("gpu", "-gpu")):
        pod = only(build(overlay, "volume"), "Deployment")["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == compose["services"]["serving"]["image"] + end


def test_gpu_pods_get_a_gpu(build):
    pod = only(build("gpu", "volume"), "Deployment")["spec"]["template"]["spec"]
    limits = pod["containers"][0]["resources"]["limits"]
    (server, *_) = pod["containers"]
    assert {"name": "NVIDIA_TF32_OVERRIDE", "value": "0"} in server["env"]
    assert limits["nvidia.com/gpu"] == 1 and limits["cpu"]
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize("source", SOURCES)
def test_pods_open_connections_to_a_store_only(source, build):
    spec = only(build("cpu", source), "NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert bool(spec.get("egress")) == (source == "object-store")


def test_sidecar_writes_where_the_server_reads(build):
    pod = only(build("cpu", "object-store"), "Deployment")["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    environment = {one["name"]: one["value"] for one in sidecar["env"]}
    assert sidecar["restartPolicy"] == "Always"
    assert environment["MODEL_FOLDER"] == "/models/heart"
    marker = sidecar["startupProbe"]["exec"]["command"][-1]
    assert marker == environment["MODEL_FOLDER"] + "/.synced"
    folder, name = sidecar["command"][-1].rsplit("/", 1)
    mounts = {one["mountPath"]: one["name"] for one in sidecar["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    config_map = volumes[mounts[folder]]["configMap"]["name"]
    names = {one["metadata"]["name"]: one for one in build("cpu", "object-store")}
    assert name in names[config_map]["data"]


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe"])
def test_probes_pass_when_the_model_is_served(probe, build, served):
    pod = only(build("cpu", "volume"), "Deployment")["spec"]["template"]["spec"]
    path = pod["containers"][0][probe]["httpGet"]["path"]
    with urlopen(f"http://127.0.0.1:{served.rest_port}{path}") as answer:
        assert answer.status == 200


def test_liveness_passes_when_the_server_lives(build, served):
    pod = only(build("cpu", "volume"), "Deployment")["spec"]["template"]["spec"]
    probe = pod["containers"][0]["livenessProbe"]["grpc"]
    request = health_pb2.HealthCheckRequest(service=probe.get("service", ""))
    with grpc.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, 60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
