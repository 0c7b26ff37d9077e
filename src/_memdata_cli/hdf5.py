"""Names, kinds and shapes in an HDF5 file, from its structures.

A reader of as much of the file format (version 3.0 of its specification) as a list of names needs,
without NumPy and the HDF5 library: importing these takes longer than all the rest.

```
 superblock ──> root's object header
 object header: messages. A dataspace: a dataset, this is its shape. A type alone: a named type.
     symbol table ──> B-tree (version 1) ──> nodes of names and headers    groups of old
     link messages                                                         small groups of new
     link info ──> B-tree (version 2) ──> fractal heap with link messages  large ones
```

It reads and never writes; addresses that lead out of the file end in an error. What it does not
know, or what is rare (other widths of addresses, shared dataspaces, filtered heaps ...), is
`Unusual`: then HDF5 is asked. So every answer is one that HDF5 would give, too.
"""

from __future__ import annotations

import struct

from _memdata_cli.lookup3 import lookup3

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing these takes as long as reading a thousand shapes
    from collections.abc import Iterator
    from typing import Any, TypeAlias

__all__ = ["DATASET", "EXTERNAL", "GROUP", "LINK", "TYPE", "Structure", "Unusual"]

DATASET, GROUP, TYPE, LINK, EXTERNAL = "dataset", "group", "type", "link", "external"

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 0xFFFFFFFFFFFFFFFF

# Messages of object headers.
_SPACE, _LINK_INFO, _DTYPE, _LINK, _CONTINUATION, _TABLE = 0x01, 0x02, 0x03, 0x06, 0x10, 0x11
_SHARED = 0x02

#: Blocks of one object header, nodes of one tree, blocks of one heap; more is damage, or an attack.
_MOST_BLOCKS = 1000
_MOST_NODES = 100_000

#: Bytes that are compared with checksums; above that the library is faster.
_MOST_CHECKED = 8 << 20

_two = struct.Struct("<QQ").unpack_from
_one = struct.Struct("<Q").unpack_from
_header1 = struct.Struct("<BxHII4x").unpack_from
_message1 = struct.Struct("<HHB3x").unpack_from
_message2 = struct.Struct("<BHB").unpack_from
_entry = struct.Struct("<QQI4xI12x").unpack_from
_short = struct.Struct("<H").unpack_from


_int = struct.Struct("<I").unpack_from

if TYPE_CHECKING:
    #: Name, address of the header or None, and of a link where it leads.
    Member: TypeAlias = tuple[bytes, int | None, Any]


class Unusual(Exception):  # noqa: N818 - no error: somebody else answers
    """Something that only the library knows."""


class _Checked:
    """Compares structures of newer files with their checksums; the older ones have none."""

    def __init__(self, view: Any) -> None:
        self._view = view
        self._left = _MOST_CHECKED

    def __call__(self, start: int, size: int, hole: int | None = None) -> None:
        """Compare `size` bytes with the checksum behind them, or at `hole` among them."""
        self._left -= size
        if size <= 0 or self._left < 0:
            raise Unusual("a damaged structure, or very many")
        content, told = self._view[start : start + size], start + size
        if hole is not None:
            content, told = content[:hole] + bytes(4) + content[hole + 4 :], start + hole
        if lookup3(content) != _int(self._view, told)[0]:
            raise Unusual("a damaged structure")


class Structure:
    """An HDF5 file.

    Parameters
    ----------
    view : mmap.mmap or bytes
        All of it.

    Attributes
    ----------
    root : int
        Where the object header of the root is.
    """

    def __init__(self, view: Any) -> None:
        self._view = view
        self._shapes: dict[bytes, str] = {}
        self._check = _Checked(view)
        if view[:8] != _SIGNATURE:
            raise Unusual("a user block, or no HDF5")
        version = view[8]
        if version == 0:
            sizes, base, place = view[13:15], 24, 24
            end, self.root = _one(view, place + 16)[0], _one(view, place + 40)[0]
        elif version in {2, 3}:
            sizes, base = view[9:11], 12
            if view[11]:
                raise Unusual("a file that is open, or was not closed")
            self._check(0, 44)
            end, self.root = _two(view, 28)
        else:
            raise Unusual("another superblock")
        if sizes != b"\x08\x08" or _one(view, base)[0] or end > len(view):
            raise Unusual("other widths, a base address, or a file that is cut off")

    # -- object headers ----------------------------------------------------------------------------

    def _messages(self, address: int) -> Iterator[tuple[int, int, int, int]]:
        """Kind, flags, place and size of the messages of an object header."""
        view = self._view
        if view[address] == 1:
            _version, count, _references, size = _header1(view, address)
            blocks, at = [(address + 16, size)], 0
            while at < len(blocks):
                place, size = blocks[at]
                at += 1
                end = place + size
                while place + 8 <= end and count:
                    count -= 1
                    kind, size, flags = _message1(view, place)
                    place += 8
                    if kind == _CONTINUATION:
                        blocks.append(_two(view, place))
                        if at > _MOST_BLOCKS:
                            raise Unusual("too many blocks")
                    else:
                        yield kind, flags, place, size
                    place += size
        elif view[address : address + 5] == b"OHDR\x02":
            yield from self._messages2(address)
        else:
            raise Unusual("another object header")

    def _messages2(self, address: int) -> Iterator[tuple[int, int, int, int]]:
        """The same of headers of version 2."""
        view = self._view
        flags = view[address + 5]
        place = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(view[place : place + width], "little")
        head = 6 if flags & 4 else 4
        self._check(address, place + width + size - address)
        blocks, at = [(place + width, size)], 0
        while at < len(blocks):
            place, size = blocks[at]
            at += 1
            end = place + size
            while place + head <= end:
                kind, length, bits = _message2(view, place)
                place += head
                if kind == _CONTINUATION:
                    where, size = _two(view, place)
                    if view[where : where + 4] != b"OCHK" or at > _MOST_BLOCKS:
                        raise Unusual("a damaged header")
                    self._check(where, size - 4)
                    blocks.append((where + 4, size - 8))
                else:
                    yield kind, bits, place, length
                place += length

    def described(self, address: int) -> tuple[str, str]:
        """What an object is, and of a dataset the shape in h5ls's words."""
        view = self._view
        if view[address : address + 2] == b"\1\0":  # most datasets: the dataspace comes first
            kind, size, flags = _message1(view, address + 16)
            if kind == _SPACE and not flags & _SHARED:
                return DATASET, self._shape(view[address + 24 : address + 24 + size])
        typed = False
        for kind, flags, place, size in self._messages(address):
            if kind == _SPACE:
                if flags & _SHARED:
                    raise Unusual("a shared dataspace")
                return DATASET, self._shape(view[place : place + size])
            if kind in {_TABLE, _LINK_INFO, _LINK}:
                return GROUP, ""
            typed = typed or kind == _DTYPE
        if not typed:
            raise Unusual("an object of another kind")
        return TYPE, ""

    def _shape(self, message: bytes) -> str:
        """The shape that a dataspace says; many datasets have the same."""
        known = self._shapes.get(message)
        if known is None:
            known = self._shapes[message] = _shape_words(message)
        return known

    # -- groups ------------------------------------------------------------------------------------

    def members(self, address: int) -> list[Member]:
        """What a group holds, in the order of names."""
        found: list[Member] = []
        for kind, flags, place, size in self._messages(address):
            if flags & _SHARED and kind in {_TABLE, _LINK_INFO, _LINK}:
                raise Unusual("shared links")
            if kind == _TABLE:
                tree, heap = _two(self._view, place)
                return list(self._in_table(tree, heap))
            if kind == _LINK_INFO:
                bits = self._view[place + 1]
                heap, tree = _two(self._view, place + 2 + (8 if bits & 1 else 0))
                if heap != _UNDEFINED:
                    found.extend(self._in_heap(heap, tree))
            elif kind == _LINK:
                found.append(self._link(place, size))
        found.sort(key=lambda member: member[0])
        return found

    def _in_table(self, tree: int, heap: int) -> Iterator[Member]:
        """The members of a group with a symbol table."""
        view = self._view
        if view[heap : heap + 4] != b"HEAP":
            raise Unusual("a damaged heap")
        names = _one(view, heap + 24)[0]
        find = view.find
        for number, node in enumerate(self._nodes(tree, 0)):
            if number > _MOST_NODES or view[node : node + 4] != b"SNOD":
                raise Unusual("a damaged group")
            for place in range(node + 8, node + 8 + 40 * _short(view, node + 6)[0], 40):
                start, address, cached, link = _entry(view, place)
                start += names
                name = view[start : find(b"\0", start)]
                if cached == 2:
                    link += names
                    yield name, None, (LINK, b"", view[link : find(b"\0", link)])
                else:
                    yield name, address, None

    def _nodes(self, tree: int, depth: int) -> Iterator[int]:
        """The symbol nodes below a B-tree of version 1, in order."""
        view = self._view
        if view[tree : tree + 5] != b"TREE\0" or depth > 10:
            raise Unusual("a damaged group")
        count = _short(view, tree + 6)[0]
        children = struct.unpack_from(f"<{2 * count}Q", view, tree + 24)[1::2] if count else ()
        if view[tree + 5] == 0:
            yield from children
            return
        for child in children:
            yield from self._nodes(child, depth + 1)

    def _link(self, place: int, size: int) -> Member:
        """A link message."""
        view = self._view
        if view[place] != 1:
            raise Unusual("another link message")
        flags, end = view[place + 1], place + size
        place += 2
        kind = 0
        if flags & 8:
            kind = view[place]
            place += 1
        place += (8 if flags & 4 else 0) + (1 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(view[place : place + width], "little")
        place += width
        name = view[place : place + length]
        place += length
        if place > end:
            raise Unusual("a damaged link")
        if kind == 0:
            return name, _one(view, place)[0], None
        value = view[place + 2 : place + 2 + _short(view, place)[0]]
        if kind == 1:
            return name, None, (LINK, b"", value)
        if kind == 64:
            file, path = value[1:].split(b"\0")[:2]
            return name, None, (EXTERNAL, file, path)
        raise Unusual("a link of a program's own")

    def _in_heap(self, heap: int, tree: int) -> Iterator[Member]:
        """The members of a group whose links are in a fractal heap."""
        found = _Heap(self._view, heap, self._check)
        for record in _records(self._view, tree, self._check):
            yield self._link(*found.place(record[4:]))


def _shape_words(message: bytes) -> str:
    version, rank, flags = message[:3]
    if version == 1:
        start = 8
    elif version == 2:
        if message[3] == 2:
            return "NULL"
        start = 4
    else:
        raise Unusual("another dataspace")
    if not rank:
        return "SCALAR"
    lengths = struct.unpack_from(f"<{rank}Q", message, start)
    if not flags & 1:
        return ", ".join(map(str, lengths))
    most = struct.unpack_from(f"<{rank}Q", message, start + 8 * rank)
    if any(n > m for n, m in zip(lengths, most, strict=True)):
        raise Unusual("a damaged dataspace")
    pairs = zip(lengths, most, strict=True)
    return ", ".join(
        str(n) if n == m else f"{n}/{'Inf' if m == _UNDEFINED else m}" for n, m in pairs
    )


class _Heap:
    """A fractal heap: objects in blocks, each row of them twice as large as the one before."""

    def __init__(self, view: Any, address: int, check: _Checked) -> None:
        if view[address : address + 5] != b"FRHP\0" or _short(view, address + 7)[0]:
            raise Unusual("a damaged or filtered heap")
        check(address, 142)
        self._view = view
        self._check = check
        #: Whether blocks have checksums, and which have been compared.
        self._has_checksums = bool(view[address + 9] & 2)
        self._compared: set[int] = set()
        place = address + 110
        self._width = _short(view, place)[0]
        self._start, largest = _two(view, place + 2)
        bits = _short(view, place + 18)[0]
        root = _one(view, place + 22)[0]
        rows = _short(view, place + 30)[0]
        if not self._start or not self._width:
            raise Unusual("a damaged heap")
        self._offset_bytes = -(-bits // 8)
        self._direct_rows = largest.bit_length() - self._start.bit_length() + 2
        #: Where blocks begin in the heap, their sizes, and where they are in the file.
        self._blocks: list[tuple[int, int, int]] = []
        if rows:
            self._add(root, rows, 0, 0)
        else:
            self._blocks.append((0, largest, root))
        self._last = self._blocks[0]

    def _add(self, address: int, rows: int, offset: int, depth: int) -> None:
        """Note the blocks below an indirect one."""
        view = self._view
        if view[address : address + 4] != b"FHIB" or depth > 20 or rows > 64 or self._width > 256:
            raise Unusual("a damaged heap")
        place = address + 13 + self._offset_bytes
        self._check(address, place - address + 8 * rows * self._width)
        for row in range(rows):
            size = self._start << max(row - 1, 0)
            for _column in range(self._width):
                child = _one(view, place)[0]
                place += 8
                if len(self._blocks) > _MOST_NODES:
                    raise Unusual("a damaged heap")
                if child != _UNDEFINED and row < self._direct_rows:
                    self._blocks.append((offset, size, child))
                elif child != _UNDEFINED:
                    below = size.bit_length() - (self._start * self._width).bit_length() + 1
                    self._add(child, below, offset, depth + 1)
                offset += size

    def place(self, identity: bytes) -> tuple[int, int]:
        """Where an object is in the file, and its size."""
        if identity[0] & 0x30:
            raise Unusual("an object that is not in a block")
        split = 1 + self._offset_bytes
        offset = int.from_bytes(identity[1:split], "little")
        first, size, address = self._last
        if not first <= offset < first + size:
            for block in self._blocks:
                if block[0] <= offset < block[0] + block[1]:
                    self._last = first, size, address = block
                    break
            else:
                raise Unusual("a damaged heap")
        if self._has_checksums and address not in self._compared:
            self._check(address, size, hole=13 + self._offset_bytes)
            self._compared.add(address)
        return address + offset - first, int.from_bytes(identity[split:], "little")


def _records(view: Any, address: int, check: _Checked) -> Iterator[bytes]:
    """The records of a B-tree of version 2 that names links by their hash."""
    if view[address : address + 6] != b"BTHD\0\x05":
        raise Unusual("a damaged index")
    check(address, 34)
    node, size, depth = struct.unpack_from("<IHH", view, address + 6)
    root, count = struct.unpack_from("<QH", view, address + 16)
    if not size or root == _UNDEFINED:
        return
    if depth > 10:
        raise Unusual("a damaged index")
    # How many records fit into a node of each level, and how wide numbers of records are.
    fits = [(node - 10) // size]
    sums = [fits[0]]
    widths = [_bytes_for(fits[0])]
    for level in range(1, depth + 1):
        pointer = 8 + widths[0] + (_bytes_for(sums[level - 1]) if level > 1 else 0)
        fits.append((node - 10 - pointer) // (size + pointer))
        sums.append((fits[level] + 1) * sums[level - 1] + fits[level])
    stack = [(root, count, depth)]
    nodes = 0
    while stack:
        at, count, level = stack.pop()
        nodes += 1
        if nodes > _MOST_NODES or view[at : at + 4] != (b"BTIN" if level else b"BTLF"):
            raise Unusual("a damaged index")
        place = at + 6
        total = _bytes_for(sums[level - 1]) if level > 1 else 0
        pointers = (count + 1) * (8 + widths[0] + total) if level else 0
        check(at, 6 + count * size + pointers)
        for _record in range(count):
            yield view[place : place + size]
            place += size
        if level:
            for _child in range(count + 1):
                below = int.from_bytes(view[place + 8 : place + 8 + widths[0]], "little")
                stack.append((_one(view, place)[0], below, level - 1))
                place += 8 + widths[0] + total


def _bytes_for(number: int) -> int:
    """How wide a number is stored that is at most `number`."""
    return (max(number, 1).bit_length() - 1) // 8 + 1
