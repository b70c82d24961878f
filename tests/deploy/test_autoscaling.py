"""The way of the queue time: the server's metrics, the adapter's rule, the autoscaler, the page."""

import math
import re
from urllib.request import urlopen

import pytest
import yaml


@pytest.fixture(scope="module")
def rule(deploy):
    text = (deploy / "kubernetes" / "prometheus-adapter.yaml").read_text()
    (found,) = yaml.safe_load(text)["rules"]["custom"]
    return found


@pytest.fixture(scope="module")
def autoscaler(deploy):
    text = (deploy / "kubernetes" / "base" / "autoscaling.yaml").read_text()
    (found,) = [one for one in yaml.safe_load_all(text) if one["kind"] != "PodDisruptionBudget"]
    return found["spec"]


@pytest.fixture(scope="module")
def metrics(served, readme):
    """What the server shows after a first answer: name to the labels of its samples."""
    assert served.bash(readme.blocks("bash", "A first answer")[0]).returncode == 0
    page = f"http://127.0.0.1:{served.rest_port}/monitoring/prometheus/metrics"
    with urlopen(page) as answer:
        lines = answer.read().decode().splitlines()
    found = {}
    for line in lines:
        if match := re.match(r"([\w:]+)\{(.*)\} ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2]))
    return found


def parsed(query):
    return pytest.importorskip("promql_parser").parse(query)


def filled(rule):
    """The query as the adapter asks it for the pods of a namespace."""
    matchers = 'namespace="tfadvseg",pod=~"a|b"'
    return (
        rule["metricsQuery"].replace("<<.LabelMatchers>>", matchers).replace("<<.GroupBy>>", "pod")
    )


def test_autoscaler_reads_what_the_adapter_answers(rule, autoscaler):
    (metric,) = autoscaler["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    assert autoscaler["scaleTargetRef"]["name"] == "tfserving"
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


def test_queries_are_promql(rule, readme):
    queries = [filled(rule), rule["seriesQuery"], *readme.blocks("promql")]
    assert "<<" not in queries[0] and len(queries) == 8
    for query in queries:
        assert parsed(query)


def test_queries_name_what_the_server_shows(rule, readme, metrics):
    for query in (filled(rule), rule["seriesQuery"], *readme.blocks("promql")):
        names = set(re.findall(r":tensorflow[\w:]+", query))
        assert names and names <= set(metrics)
    assert "status" in metrics[":tensorflow:serving:request_count"]
    assert "model_name" in metrics[":tensorflow:serving:request_count"]


def test_metrics_lie_where_prometheus_looks(deploy, metrics):
    (job,) = yaml.safe_load((deploy / "prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == "/monitoring/prometheus/metrics" and metrics


def test_table_of_the_page_is_what_the_autoscaler_does(autoscaler, readme):
    target = int(autoscaler["metrics"][0]["pods"]["target"]["averageValue"])
    growth = autoscaler["behavior"]["scaleUp"]["policies"][0]["value"] / 100
    section = readme.section("Autoscaling")
    assert f"mean queue time / {target}" in section
    rows = re.findall(r"^\| (\d+) \| ([\d,]+) µs.*?\| (.*) \|$", section, re.MULTILINE)
    assert len(rows) == 4
    for pods, time, text in rows:
        pods, ratio = int(pods), int(time.replace(",", "")) / target
        wanted = pods if 0.9 <= ratio <= 1.1 else math.ceil(pods * ratio)
        held = max(min(wanted, int(pods * (1 + growth))), autoscaler["minReplicas"])
        numbers = [int(number) for number in re.findall(r"(?<![\d.])\d+(?=[,:;]|$)", text)]
        assert numbers[0] == wanted and held in numbers
