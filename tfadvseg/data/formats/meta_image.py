"""Whether a MetaImage (.mha, .mhd) holds what its header announces.

Its library talks to the terminal about a damaged header, so it never gets to see one.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

from tfadvseg.data.formats.soundness import CHUNK, Unsound, check_bytes

_META_BYTES = {
    **{"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "FLOAT": 4},
    **{"LONG": 4, "ULONG": 4, "LONG_LONG": 8, "ULONG_LONG": 8, "DOUBLE": 8},
}


def check_meta_image(path: Path) -> None:
    """Reads a MetaImage's header as its library would, and measures the voxels."""
    header, start = _meta_header(path)
    try:
        sides = [int(n) for n in header["DimSize"].split()]
        if len(sides) != int(header["NDims"]):
            raise Unsound(f"DimSize has {len(sides)} numbers, NDims is {header['NDims']}")
        voxel = _META_BYTES[header["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")]
        announced = math.prod(sides) * voxel * int(header.get("ElementNumberOfChannels", 1))
        voxels = header["ElementDataFile"]
    except (KeyError, ValueError) as error:
        raise Unsound(f"its header is damaged ({error})") from error
    check_bytes(announced)
    if voxels.split()[0] == "LIST" or "%" in voxels:
        return
    file = path if voxels.upper() == "LOCAL" else path.parent / voxels
    if not file.is_file():
        raise Unsound(f"its voxels should lie in {voxels}, which is not there")
    if header.get("CompressedData", "").lower() == "true":
        held = _inflated_length(file, start if file == path else 0)
    else:
        held = file.stat().st_size - (start if file == path else 0)
    if announced > held:
        raise Unsound(f"its header announces {announced:,} bytes of voxels, it holds {held:,}")


def _meta_header(path: Path) -> tuple[dict[str, str], int]:
    """The header of a MetaImage, and where it ends."""
    header, start = {}, 0
    with path.open("rb") as stream:
        for line in stream:
            start += len(line)
            name, equals, value = line.decode("latin-1").partition("=")
            if not equals or start > CHUNK:
                break
            header[name.strip()] = value.strip()
            if name.strip() == "ElementDataFile" and value.strip():
                return header, start
    raise Unsound("its header is damaged: there is no ElementDataFile")


def _inflated_length(path: Path, start: int) -> int:
    """Bytes of the zlib stream that begins at a place of a file."""
    unpacker, length = zlib.decompressobj(), 0
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            for chunk in iter(lambda: stream.read(CHUNK), b""):
                length += len(unpacker.decompress(chunk))
        length += len(unpacker.flush())
    except zlib.error as error:
        raise Unsound(f"truncated or damaged ({error})") from error
    return length
