"""The flags of tensorflow_model_server, which passes over those that it does not know."""

import re

import pytest
import yaml

# tensorflow_serving/model_servers/main.cc, releases 2.17.1 to 2.20.0; those that may be of use.
FLAGS = """
    allow_version_labels_for_unavailable_models batching_parameters_file enable_batching
    enable_grpc_healthcheck_service enable_model_warmup enable_per_model_batching_parameters
    enable_profiler file_system_poll_wait_seconds flush_filesystem_caches grpc_channel_arguments
    grpc_max_threads load_retry_interval_micros max_num_load_retries model_base_path
    model_config_file model_config_file_poll_wait_seconds model_name monitoring_config_file
    num_load_threads num_request_iterations_for_warmup num_unload_threads
    per_process_gpu_memory_fraction platform_config_file port rest_api_num_threads rest_api_port
    rest_api_timeout_in_ms saved_model_tags ssl_config_file tensorflow_inter_op_parallelism
    tensorflow_intra_op_parallelism tensorflow_session_parallelism version
""".split()
FILES = {"batching_parameters_file", "model_config_file", "monitoring_config_file"}


@pytest.fixture(params=["compose", "kubernetes"])
def arguments(request, compose, deploy):
    """The command line of the server: flag to value."""
    if request.param == "compose":
        lines = compose["services"]["serving"]["command"]
    else:
        file = deploy / "kubernetes" / "base" / "deployment.yaml"
        pod = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]
        lines = pod["containers"][0]["args"]
    found = [re.fullmatch(r"--(\w+)=(.+)", line).groups() for line in lines]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_flags_exist(arguments):
    assert set(arguments) <= set(FLAGS)


def test_files_are_those_of_the_configuration(arguments, deploy):
    for flag in FILES:
        folder, name = arguments[flag].rsplit("/", 1)
        assert folder == "/config" and (deploy / "config" / name).is_file()
    assert arguments["enable_batching"] == "true"


def test_ports_are_those_of_the_protocol(arguments):
    assert (arguments["port"], arguments["rest_api_port"]) == ("8500", "8501")


def test_flags_of_the_page_exist(readme):
    named = set(re.findall(r"`--(\w+_\w+)(?:=\S+)?`", readme.text))
    assert named and named <= set(FLAGS)
