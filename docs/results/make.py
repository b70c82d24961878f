"""Writes pages of docs/, and table and chart of the README, from the raw files beside this script.

Usage: python docs/results/make.py [--check] [results] [semi_supervised] [rank]
Without names it writes all pages whose raw files are there. --check writes nothing, and ends with
exit status 1 if a page says other things than the files.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # a script's own folder is on the path, the checkout is not

import comparison  # noqa: E402
import ranking  # noqa: E402
import sweeps_and_runs  # noqa: E402

PAGES = {
    "results": (ROOT / "docs" / "results.md", sweeps_and_runs),
    "semi_supervised": (ROOT / "docs" / "semi_supervised.md", comparison),
    "rank": (ROOT / "docs" / "rank_results.md", ranking),
}
README, PICTURES = ROOT / "README.md", ROOT / "docs" / "pictures"
BLOCK = re.compile("(<!-- written by docs/results/make.py -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Writes or checks."""
    names = sys.argv[1:]
    check, names = "--check" in names, [name for name in names if name != "--check"]
    missing = {name: page.missing() for name, (_, page) in PAGES.items()}
    for name in names:
        if missing[name]:
            sys.exit(f"{name}: {missing[name]}; make it with run.sh first")
    for file, text in _texts(names or [name for name, gap in missing.items() if not gap]):
        if not check:
            file.write_text(text)
            print(file)
        elif file.read_text() != text:
            sys.exit(f"{file} is not what the raw files say; write it: python docs/results/make.py")


def _texts(names: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """The files of some pages and what shall stand in them."""
    for name in names:
        file, page = PAGES[name]
        yield file, "\n".join(part for part in page.parts() if part).rstrip() + "\n"
        if page is comparison:
            yield README, BLOCK.sub(rf"\1{comparison.summary()}\2", README.read_text())
            for name, chart in comparison.charts().items():
                yield PICTURES / f"{name}.svg", chart


if __name__ == "__main__":
    main()
