"""XMP packets: how IPTC's ``digitalSourceType`` and the ``AIGC`` field travel in mp4 files and PNG pictures.

An mp4 carries its packet in a ``uuid`` box (Adobe XMP specification, part 3, section 1.1.4), which is
appended: nothing that is already in the file moves.
"""

import re
import struct
from pathlib import Path

from echomimic.provenance.marks import AIGC, SOURCE_TYPE, Marks

PNG_KEYWORD = "XML:com.adobe.xmp"
"""Where a PNG keeps its packet (XMP specification, part 3, section 1.1.5)."""

_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
# Packets are a few kilobytes; a box that claims more is not one of ours.
_LARGEST = 1 << 20


_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _escaped(text: str) -> str:
    """``text`` as XML has it. Python's own function would load its whole web client at every start."""
    return text.translate(_TEXT)


def _quoted(text: str) -> str:
    """The same as the value of an attribute, in quotes of the kind that it does not contain."""
    safe = _escaped(text)
    if '"' in safe and "'" not in safe:
        return f"'{safe}'"
    return '"' + safe.replace('"', "&quot;") + '"'


def xmp_packet(marks: Marks) -> bytes:
    """The packet as UTF-8."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/"
    Iptc4xmpExt:DigitalSourceType={_quoted(marks.source_type)}
    TC260:AIGC={_quoted(marks.aigc)}>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{_escaped(marks.title)}</rdf:li></rdf:Alt></dc:title>
   <dc:description>
    <rdf:Alt><rdf:li xml:lang="x-default">{_escaped(marks.comment)}</rdf:li></rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()


def append_xmp(path: Path, packet: bytes) -> None:
    """Puts ``packet`` at the end of the mp4 file ``path``."""
    with path.open("ab") as file:
        file.write(struct.pack(">I4s16s", 24 + len(packet), b"uuid", _UUID) + packet)


def read_xmp(path: Path) -> str | None:
    """The packet of an mp4 file, None when it has none (or is no mp4 file)."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            body = size - 8
            if size == 1:
                body = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))[0] - 16
            if kind == b"uuid" and 16 < body < _LARGEST:
                data = file.read(body)
                if data[:16] == _UUID:
                    return data[16:].decode(errors="replace")
                continue
            if size == 0 or body < 0:
                return None
            file.seek(body, 1)
    return None


def marks_in_xmp(packet: str) -> dict[str, str]:
    """The two fields that a program reads, as far as the packet has them."""
    from html import unescape

    names = {SOURCE_TYPE: "Iptc4xmpExt:DigitalSourceType", AIGC: "TC260:AIGC"}
    found = {name: re.search(rf"{tag}=(\"([^\"]*)\"|'([^']*)')", packet) for name, tag in names.items()}
    return {name: unescape(hit[2] or hit[3] or "") for name, hit in found.items() if hit}
