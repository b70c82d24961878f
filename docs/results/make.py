"""Writes pages of docs/, and table and chart of the README, from the raw files beside this one."""

import argparse
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
    parser = argparse.ArgumentParser(description=__doc__)
    words = f"page to write ({', '.join(PAGES)}); without any, those whose raw files are there"
    parser.add_argument("names", nargs="*", metavar="PAGE", help=words)
    words = "write nothing; exit status 1 if a page says other things than the files"
    parser.add_argument("--check", action="store_true", help=words)
    args = parser.parse_args()
    missing = {name: page.missing() for name, (_, page) in PAGES.items()}
    for name in args.names:
        if name not in missing:
            parser.error(f"PAGE: expected {', '.join(PAGES)}, received {name}")
        if missing[name]:
            parser.error(f"{name}: {missing[name]}; make it with run.sh first")
    for file, text in _texts(args.names or [name for name, gap in missing.items() if not gap]):
        if not args.check:
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
