#!/usr/bin/env python3
"""Has an engine lay what a WebAssembly module seldom runs apart from what it often runs, by
how often each place was come to in a run of it:

    branches.py count MODULE.wasm COUNTING.wasm       a module that counts, for that run
    branches.py mark MODULE.wasm COUNTS MARKED.wasm   the module, with rare places marked

A place is the begin of a function, a loop or a branch of an `if`, or what follows the end of a
block or a `br_if` that is not taken. COUNTING.wasm exports `counts`, which stores the count of
each place at an address, as 32-bit numbers; COUNTS has them as decimal ones, a line each.

A marked place begins with a branch around nothing, of which the section
metadata.code.branch_hint says that it is unlikely: what that leads to is the place."""
import sys

BLOCK, LOOP, IF, ELSE, END, BR_IF = 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0D
TYPES, IMPORTS, FUNCTIONS, GLOBALS, EXPORTS, CODE = 1, 2, 3, 6, 7, 10

# Rare is a place that fewer than one of so many calls of its function come to.
RARE = 64
# block; i32.const 0; br_if 0; end
MARK = b'\x02\x40\x41\x00\x0D\x00\x0B'
BRANCH = MARK.index(BR_IF)

# How many LEB128 numbers follow an opcode; places() has the others.
NUMBERS = {**dict.fromkeys([*range(0x02, 0x05), 0x0C, 0x0D, 0x10, *range(0x20, 0x27),
                            *range(0x3F, 0x43), 0xD0, 0xD2], 1),
           **dict.fromkeys([0x11, *range(0x28, 0x3F)], 2)}
NUMBERS = [NUMBERS.get(opcode, 0) for opcode in range(256)]
BR_TABLE, SELECT, F32_CONST, F64_CONST, BULK = 0x0E, 0x1C, 0x43, 0x44, 0xFC
BULK_NUMBERS = [0] * 8 + [2, 1, 2, 1, 2, 1, 2, 1, 1, 1]
KNOWN = {*range(0x12), 0x1A, 0x1B, 0x1C, *range(0x20, 0x27), *range(0x28, 0xC5), 0xD0, 0xD1, 0xD2, BULK}


def leb(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sized(content):
    return number(len(content)) + content


def vector(items):
    return number(len(items)) + b''.join(items)


def sections(module):
    at = 8
    while at < len(module):
        size, begin = leb(module, at + 1)
        yield module[at], begin, begin + size
        at = begin + size


def length(module, wanted):
    """Of a section's vector."""
    return next((leb(module, begin)[0] for kind, begin, _ in sections(module) if kind == wanted), 0)


def imported_functions(module):
    for kind, begin, _ in sections(module):
        if kind != IMPORTS:
            continue
        count, at = leb(module, begin)
        for _ in range(count):
            for _ in 'module', 'name':
                size, at = leb(module, at)
                at += size
            if module[at] != 0:
                raise SystemExit('branches.py: only functions may be imported')
            at = leb(module, at + 1)[1]
        return count
    return 0


def bodies(module):
    """Where the body of each function begins, its first instruction, and where it ends."""
    begin = next(begin for kind, begin, _ in sections(module) if kind == CODE)
    count, at = leb(module, begin)
    for _ in range(count):
        size, body = leb(module, at)
        groups, at = leb(module, body)
        for _ in range(groups):
            at = leb(module, at)[1] + 1  # a type is one byte
        yield body, at, body + size
        at = body + size


def places(code, at, end):
    """Of a function's instructions, in order."""
    yield at
    depth = 0
    while at < end:
        opcode = code[at]
        at += 1
        numbers = NUMBERS[opcode]
        if opcode not in KNOWN:
            raise SystemExit(f'branches.py: the instruction {opcode:#x} is not known')
        if opcode in (BR_TABLE, SELECT):
            numbers, at = leb(code, at)
            numbers += opcode == BR_TABLE
        elif opcode in (F32_CONST, F64_CONST):
            at += 4 if opcode == F32_CONST else 8
        elif opcode == BULK:
            operation, at = leb(code, at)
            numbers = BULK_NUMBERS[operation]
        for _ in range(numbers):
            while code[at] >= 0x80:
                at += 1
            at += 1
        depth += (opcode in (BLOCK, LOOP, IF)) - (opcode == END)
        if opcode in (LOOP, IF, ELSE, END, BR_IF) and depth >= 0:
            yield at


def rebuilt(module, changed):
    """With some sections' contents replaced; what is None is new, and before the code."""
    out = [module[:8]]
    for kind, begin, end in sections(module):
        if kind == CODE and None in changed:
            out += [b'\0', sized(changed[None])]
        out += [bytes([kind]), sized(changed.get(kind, module[begin:end]))]
    return b''.join(out)


def longer(module, wanted, count, more):
    """A section's vector with more items."""
    for kind, begin, end in sections(module):
        if kind == wanted:
            had, at = leb(module, begin)
            return number(had + count) + module[at:end] + more
    raise SystemExit(f'branches.py: the module has no section {wanted}')


def count(module):
    first, code, store = length(module, GLOBALS), [], [b'\0']
    counters = 0
    for body, begin, end in bodies(module):
        out, done = [], body
        for at in places(module, begin, end):
            counter = number(first + counters)
            # global.get; i32.const 1; i32.add; global.set
            out += [module[done:at], b'\x23', counter, b'\x41\x01\x6A\x24', counter]
            # local.get 0; global.get; i32.store
            store += [b'\x20\x00\x23', counter, b'\x36\x02', number(4 * counters)]
            counters += 1
            done = at
        code.append(sized(b''.join([*out, module[done:end]])))
    code.append(sized(b''.join([*store, b'\x0B'])))
    functions = imported_functions(module) + length(module, FUNCTIONS)
    return rebuilt(module, {
        TYPES: longer(module, TYPES, 1, b'\x60\x01\x7F\x00'),  # of one i32
        FUNCTIONS: longer(module, FUNCTIONS, 1, number(length(module, TYPES))),
        GLOBALS: longer(module, GLOBALS, counters, b'\x7F\x01\x41\x00\x0B' * counters),
        EXPORTS: longer(module, EXPORTS, 1, sized(b'counts') + b'\0' + number(functions)),
        CODE: vector(code)})


def mark(module, counts):
    """A function that is never called is left as it is."""
    functions, code, hints = imported_functions(module), [], []
    counts = iter(counts)
    for function, (body, begin, end) in enumerate(bodies(module)):
        out, done, size, marks, calls = [], body, 0, [], None
        for at in places(module, begin, end):
            came = next(counts)
            calls = came if calls is None else calls
            if came * RARE >= calls:
                continue
            size += at - done
            marks.append(number(size + BRANCH) + b'\1\0')
            out += [module[done:at], MARK]
            size += len(MARK)
            done = at
        code.append(sized(b''.join([*out, module[done:end]])))
        if marks:
            hints.append(number(functions + function) + vector(marks))
    return rebuilt(module, {None: sized(b'metadata.code.branch_hint') + vector(hints),
                            CODE: vector(code)})


def main():
    what, source, *rest = sys.argv[1:]
    with open(source, 'rb') as file:
        module = file.read()
    if what == 'count':
        result = count(module)
    else:
        with open(rest[0]) as file:
            result = mark(module, map(int, file))
    with open(rest[-1], 'wb') as file:
        file.write(result)


if __name__ == '__main__':
    main()
