"""Freezes the standard library: freeze.py OUTPUT_DIR LIB_DIR [MODULE.py ...]

Writes stdlib.bin, the marshaled code of every module, and stdlib.inc, the table of it
for main.c. Run by the native build of the same CPython, as code is its version's own.

Each module's source is there too, compressed, for tracebacks and inspect: as the only
constant of an empty code object, for frozen things are code. `FrozenImporter` reads it
(patches/frozen-source.patch).
"""
import marshal
import pathlib
import re
import sys
import zlib

# Where the modules say that they are. It need not exist.
PLACE = 'usr/lib/python3.13'

# What cannot work: no display, no terminal, no processes, no loading of libraries.
LEFT_OUT = re.compile(r'''(test | idlelib | tkinter | turtle | turtledemo | curses | ctypes
    | ensurepip | venv | __phello__ | lib-dynload)\b | .*/test(s)?/ | .*__pycache__''', re.X)


def modules(library, extra):
    files = {path.relative_to(library).as_posix(): path for path in library.rglob('*.py')}
    files.update((path.name, path) for path in extra)
    for relative, path in sorted(files.items()):
        if LEFT_OUT.match(relative):
            continue
        name = relative.removesuffix('.py').replace('/', '.')
        package = name.endswith('.__init__')
        yield name.removesuffix('.__init__'), package, f'/{PLACE}/{relative}', path.read_bytes()


def main(output, library, *extra):
    output = pathlib.Path(output)
    empty = compile('', '', 'exec')
    entries = []
    for name, package, filename, source in modules(pathlib.Path(library), map(pathlib.Path, extra)):
        code = compile(source, filename, 'exec', dont_inherit=True, optimize=0)
        entries.append((name, package, code))
        packed = zlib.compress(source, 9)
        entries.append((f'{name}:source', False, empty.replace(co_consts=(packed,))))
    entries.sort(key=lambda entry: entry[0].endswith(':source'))
    offset = 0
    with open(output / 'stdlib.bin', 'wb') as data, open(output / 'stdlib.inc', 'w') as table:
        for name, package, code in entries:
            frozen = marshal.dumps(code)
            data.write(frozen)
            table.write(f'{{"{name}", stdlib + {offset}, {len(frozen)}, {package:d}}},\n')
            offset += len(frozen)


main(*sys.argv[1:])
