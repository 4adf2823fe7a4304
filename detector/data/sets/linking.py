"""Pictures of a set are links to their sources where a disk has links."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from detector.data.images import read_file
from detector.data.packs.shard_rows import shard_of


def link_or_copy(source: Path, target: Path) -> bool:
    """Hard-link a file, or copy it where links are impossible, as from a shard; return whether it was linked."""
    if not os.path.isdir(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A link to a symlink, say a relative one, would be broken here.
        os.link(os.path.realpath(source) if os.path.islink(source) else source, target)
        return True
    except FileExistsError:  # a copy could overwrite the picture that an existing link points to
        raise
    except OSError:
        if shard_of(source) is None:
            shutil.copyfile(source, target)
        else:
            target.write_bytes(read_file(source))
        return False
