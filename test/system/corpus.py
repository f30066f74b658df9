"""A corpus of what people really write: all files below FOLDERS, licenses and documentation, line by
line. Many are compressed, so lines of letters stand beside lines of any bytes.

A machine with little documentation (containers are often without) has less than SIZE_MIN: then the
compressed files go in unpacked as well, and if that is not enough, all of it again.
"""

import gzip
import itertools
import os
import zlib

FOLDERS = ["/usr/share/common-licenses", "/usr/share/doc"]
SIZE_MIN = 100_000_000


def paths():
    found = []
    for folder in FOLDERS:
        for place, _, names in os.walk(folder):
            found += [os.path.join(place, name) for name in names]
    return sorted(path for path in found if os.path.isfile(path) and not os.path.islink(path))


def texts(files):
    """The files; then those that are compressed, unpacked; then from the beginning."""
    for turn in itertools.count():
        for path in files:
            with open(path, "rb") as file:
                data = file.read()
            if turn % 2 == 0:
                yield data
            elif path.endswith(".gz"):
                try:
                    yield gzip.decompress(data)
                except (OSError, EOFError, zlib.error):
                    pass  # whatever it is, it has been there as it is


def lines():
    """The lines, without their ends. Files go in whole as long as there are any: the first turn is all
    of them, however large."""
    files = paths()
    found, size = [], 0
    for index, data in enumerate(texts(files)):
        if index >= len(files) and size >= SIZE_MIN:
            return found
        found += data.removesuffix(b"\n").split(b"\n")
        size += len(data)
