"""Install free fonts for artificial pictures, beside those of Debian: the npm packages in web_fonts.txt.

    python tools/weights/web_fonts.py [~/.local/share/fonts/web]

Installs the packages with npm, and writes the Latin letters of each family, regular and bold, as TrueType files into
one folder for each kind, where `detector synth` finds them. All are under the SIL Open Font License 1.1.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from fontTools.ttLib import TTFont

LISTED = Path(__file__).with_suffix(".txt")
WEIGHTS = (400, 700)
BATCH = 100  # packages in one call of npm


def packages() -> list[tuple[str, str]]:
    """Read (kind, package) of each line of the list."""
    kinds_and_names = (line.split() for line in LISTED.read_text(encoding="utf-8").splitlines())
    return [(kind, name) for kind, name in kinds_and_names]


def files_of(package: Path) -> list[Path]:
    """List a package's upright Latin files, regular and bold; or the first one if it has neither."""
    upright = sorted((package / "files").glob("*-latin-[0-9]00-normal.woff"))
    regular_and_bold = [path for path in upright if int(path.stem.split("-")[-2]) in WEIGHTS]
    return regular_and_bold or upright[:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path.home() / ".local/share/fonts/web")
    args = parser.parse_args()
    all_packages, file_count = packages(), 0
    for start in range(0, len(all_packages), BATCH):
        batch = all_packages[start : start + BATCH]
        with tempfile.TemporaryDirectory() as folder:
            names = [name for _, name in batch]
            subprocess.run(
                ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", *names],
                cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            for kind, name in batch:
                (args.out / kind).mkdir(parents=True, exist_ok=True)
                for path in files_of(Path(folder) / "node_modules" / name):
                    font = TTFont(path)
                    font.flavor = None  # from WOFF to plain TrueType or OpenType
                    font.save(args.out / kind / f"{path.stem}.ttf")
                    file_count += 1
        print(f"{start + len(batch)}/{len(all_packages)} packages, {file_count} files", flush=True)


if __name__ == "__main__":
    main()
