"""Writes the seeds of fuzz_codec from the golden bytes: seeds_codec.py PROJECT_ROOT

Run it after golden.txt or the set of messages has changed, and commit what it wrote. A seed is the
three bytes that fuzz_codec.c reads first, and a message; a request is also there as a whole frame.
"""

import os
import re
import sys

WAY_REQUEST, WAY_RESPONSE, WAY_RECORD, WAY_FRAME, WAY_TYPED, WAY_KEYED = range(6)


def goldens(path):
    """Name, version and bytes of each."""
    name, hexadecimal = None, ""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#") or not line.strip():
                continue
            if line.startswith("="):
                yield name, version, bytes.fromhex(hexadecimal)
                name, hexadecimal = None, ""
            elif name is None:
                name, version = line.split()[0], int(line.split()[1])
            else:
                hexadecimal += line.split("|")[0]


def frame_of(api, version, body):
    head = api.key.to_bytes(2, "big") + version.to_bytes(2, "big") + b"\0\0\0\x01\0\x01c"
    return head + (b"\0" if version in api.request.flexible else b"") + body


def seeds(files, name, version, body):
    """Name of the file and bytes of each seed that the golden message gives."""
    apis = [api for file in files for api in file.apis]
    others = [m for file in files for m in file.messages if m.kind not in ("request", "response")]
    for api in apis:
        for way, message in ((WAY_REQUEST, api.request), (WAY_RESPONSE, api.response)):
            if message.name == name:
                yield name, bytes([way, api.key, version - message.valid.low]) + body
        if api.request.name == name:
            yield name + "-frame", bytes([WAY_FRAME, 0, 0]) + frame_of(api, version, body)
    for number, message in enumerate(others):
        if message.name != name:
            continue
        yield name, bytes([WAY_RECORD, number, version - message.valid.low]) + body
        if message.kind == "record":
            frame = bytes([WAY_TYPED, 0, 0, 1, message.type, version])
            yield name + "-framed", frame + body
        elif message.kind == "key":
            yield name + "-versioned", bytes([WAY_KEYED, 0, 0, 0, version]) + body


def main():
    root = sys.argv[1]
    sys.path.insert(0, os.path.join(root, "tools/gen"))
    import msgschema  # beside the generator, which reads the same files

    files = msgschema.load(os.path.join(root, "schema"))
    folder = os.path.join(root, "test/fuzz/corpus/wire/codec")
    os.makedirs(folder, exist_ok=True)
    written = set()
    for name, version, body in goldens(os.path.join(root, "test/unit/wire/golden.txt")):
        for label, seed in seeds(files, name, version, body):
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", label).lower()
            file_name = f"golden-{words}-{version}"
            while file_name in written:
                file_name += "-again"
            written.add(file_name)
            with open(os.path.join(folder, file_name), "wb") as out:
                out.write(seed)


main()
