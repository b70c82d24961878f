"""The Compose files by their specification, against the files that they name, and at work."""

import re
import subprocess
import sys

import pytest
import yaml

FILES = ("compose.yaml", "compose.gpu.yaml")


@pytest.fixture(scope="module")
def serving(compose):
    return compose["services"]["serving"]


@pytest.mark.parametrize("file", FILES)
def test_files_follow_the_specification(file, deploy):
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(deploy / file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_docker_compose_understands_both(tool, deploy):
    docker = [tool("docker"), "compose"]
    if subprocess.run([*docker, "version"], capture_output=True).returncode:
        pytest.skip("docker has no compose")
    for files in (FILES[:1], FILES):
        options = [option for file in files for option in ("--file", str(deploy / file))]
        done = subprocess.run([*docker, *options, "config", "--quiet"], capture_output=True)
        assert done.returncode == 0, done.stderr


def test_promtool_understands_the_configuration_of_prometheus(tool, deploy):
    command = [tool("promtool"), "check", "config", str(deploy / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mounted_files_exist_and_cannot_be_written(compose, serving, deploy):
    mounts = {mount["target"]: mount for mount in serving["volumes"]}
    assert set(mounts) == {"/models", "/config"}
    assert all(mount["read_only"] is True for mount in mounts.values())
    default = re.fullmatch(r"\$\{MODELS:-(.+)\}", mounts["/models"]["source"])[1]
    for source in (default, mounts["/config"]["source"]):
        assert (deploy / source).is_dir()
    configuration = compose["services"]["prometheus"]["volumes"][0]
    assert (deploy / configuration.split(":")[0]).is_file()
    assert f"--config.file={configuration.split(':')[1]}" in str(compose["services"]["prometheus"])


def test_prometheus_scrapes_the_server(compose, deploy):
    (job,) = yaml.safe_load((deploy / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    service, port = target.split(":")
    assert f"--rest_api_port={port}" in compose["services"][service]["command"]
    assert job["metrics_path"] == "/monitoring/prometheus/metrics"


def test_ports_are_published_on_this_machine_only(compose):
    published = [port for one in compose["services"].values() for port in one["ports"]]
    assert published and all(port.startswith("127.0.0.1:") for port in published)


def test_servers_have_few_rights(compose):
    for service in compose["services"].values():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["deploy"]["resources"]["limits"]["memory"]


def test_gpu_file_changes_the_image_to_that_of_the_same_release(serving, deploy):
    gpu = yaml.safe_load((deploy / "compose.gpu.yaml").read_text())["services"]["serving"]
    assert gpu["image"] == serving["image"] + "-gpu"
    assert gpu["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"


def test_variables_of_the_page_are_those_of_the_file(readme, deploy):
    text = (deploy / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{(\w+):-([^}]+)\}", text))
    rows = re.findall(r"\| `(\w+)` \| `([^`]+)` \|", readme.section("One machine"))
    assert used == set(rows)


@pytest.mark.parametrize(("model", "healthy"), [("heart", True), ("lung", False)])
def test_health_check_at_work(model, healthy, serving, served):
    program, option, script = serving["healthcheck"]["test"][1:]
    assert (program, option) == ("bash", "-c")
    script = script.replace("${MODEL:-heart}", model).replace("$$", "$")
    assert "${" not in script
    assert (served.bash(script).returncode == 0) == healthy


def test_health_check_without_a_server(serving, site):
    script = serving["healthcheck"]["test"][3].replace("${MODEL:-heart}", "heart")
    assert site.bash(script.replace("$$", "$").replace("8501", "1")).returncode != 0
