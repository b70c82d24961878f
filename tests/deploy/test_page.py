"""The page of instructions: what it names exists, and what can be run here runs."""

import re

import cv2


def test_files_of_the_table_are_those_that_are_there(readme, deploy):
    rows = re.findall(r"^\| (`.*?`) \|", readme.section("What is here"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert all((deploy / name).exists() for name in named)
    files = [path.relative_to(deploy) for path in deploy.rglob("*") if path.is_file()]
    for file in files:
        covered = {str(file), *(f"{parent}/" for parent in file.parents)}
        assert file.name == "README.md" or covered & named, file


def test_paths_of_the_page_exist(readme, deploy):
    paths = set(re.findall(r"(?:config|kubernetes)/[\w./-]*\w", readme.text))
    assert paths
    for path in paths:
        assert (deploy / path).exists(), path


def test_variables_of_the_sidecar_are_its_own(readme, deploy):
    folder = deploy / "kubernetes" / "components" / "object-store"
    rows = re.findall(
        r"^\| `(\w+)` \| `?([^`|]+?)`? \|", readme.section("Models in an object store"), re.M
    )
    text = (folder / "sync.yaml").read_text()
    assert len(rows) == 4
    for name, value in rows:
        assert re.search(rf'name: {name}, value: "?{re.escape(value)}"?}}', text), name
        assert name in (folder / "sync-models.sh").read_text()


def test_no_host_of_a_registry_is_named(deploy):
    for path in deploy.rglob("*"):
        if path.is_file():
            for image in re.findall(r"image: (\S+)", path.read_text()):
                assert "." not in image.split("/")[0].split(":")[0], path


def test_commands_lead_to_a_first_answer(readme, served):
    done = served.bash(readme.blocks("bash", "A first answer")[0])
    assert done.returncode == 0, done.stderr
    assert '"AVAILABLE"' in done.stdout
    mask = cv2.imread(str(served.folder / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (40, 52)
