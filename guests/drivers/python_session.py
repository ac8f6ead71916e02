"""The driver of a session: `python -c DRIVER FD [PRELOAD...]`, inside a guest.

A notebook's kernel, of which each turn is a fork. A request is read from descriptor FD to its
end, the reply is written there, and the next read says that the turn ended well: the host then
keeps this process. One that ends badly it drops, for that from which it was forked, so nothing
here undoes anything.

A frame, both ways: the length of a header (4 bytes, little-endian), the header (a JSON object),
and a blob to the end. Requests: {"op": "run", "count": N} and source; {"op": "info"};
{"op": "save"}; {"op": "restore"} and a state that "save" gave. The last two run code of turns,
which may end the process. With "without": [{"name": NAME}...] they leave that out; and write,
before the reply, frames {"at": NAME} with no blob, so that the last one tells what did it.

Turns may redefine anything: what is used here is bound before the first of them.
"""
import builtins
__builtins__ = dict(vars(builtins))  # A turn's changes to builtins do not reach the functions below.
import __future__
import ast, codecs, gc, json.encoder, linecache, opcode, pickle, sys, types
from abc import ABCMeta
from ast import AnnAssign, Assign, Expr, Expression, PyCF_ONLY_AST
from collections import deque
from gc import get_objects
from importlib import import_module
from io import BufferedReader, BytesIO, FileIO, IOBase, TextIOBase, TextIOWrapper
from itertools import islice
from os import read, write
from sys import getprofile, gettrace, modules, setprofile, settrace
from time import monotonic
from traceback import TracebackException, clear_frames
from types import FunctionType, ModuleType
from weakref import ref

FD = int(sys.argv[1])
VERSION = sys.version_info[:3]
FORMAT = 1     # of a saved state
TEXT = 65536   # characters of a value or a traceback
MANY = 1000    # names in a reply; turns whose source is kept
SEARCH = 10    # seconds for finding out what cannot be saved
EXTRAS = 'attributes of functions and classes'
FUTURE = __future__.annotations.compiler_flag
STORES = opcode.opmap['STORE_NAME'], opcode.opmap['STORE_GLOBAL']
WIDER = opcode.opmap['EXTENDED_ARG']
DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
           getattr(ast, 'TypeAlias', ast.ClassDef))
OURS = '<turn ', '<restored '
FUNCTIONS = FunctionType, types.BuiltinFunctionType, types.MethodType
BRACKETS = {list: '[]', tuple: '()', dict: '{}', set: '{}', frozenset: '{}', deque: '[]'}
REASONS = {types.GeneratorType: 'a generator cannot be saved',
           types.AsyncGeneratorType: 'a generator cannot be saved',
           types.CoroutineType: 'a coroutine cannot be saved',
           IOBase: 'it is an open file',
           ModuleType: 'it is a module that no import gives'}

cache = linecache.cache
# Of json what is in C: it does not look for what a turn may have changed.
encode = json.encoder.c_make_encoder(
    None, None, json.encoder.encode_basestring, None, ':', ',', False, False, True)
decode = json.JSONDecoder().scan_once
noting = False
reserve = bytearray(2 * TEXT)  # let go when memory is short, to tell of it
streams = [sys.stdout, sys.stderr]
inputs = [None]
paths = sys.path[:]
# For text inside JSON, where a backslash is written as two.
codecs.register_error('session', lambda error: (
    ''.join(f'\\\\u{ord(each):04x}' for each in error.object[error.start:error.end]), error.end))


ProtocolError = type('ProtocolError', (Exception,), {})
StateError = type('StateError', (Exception,), {})
NOWHERE = type('Nowhere', (TextIOBase,), {'write': lambda self, data: len(data)})()


def receive():
    pieces = []
    try:
        while piece := read(FD, 65536):
            pieces.append(piece)
        return b''.join(pieces)
    except MemoryError:
        pieces.clear()
        while read(FD, 4096):
            pass


def send(*parts):
    for part in map(memoryview, parts):
        while part:
            part = part[write(FD, part):]


def pack(header):
    text = ''.join(encode(header, 0)).encode('utf-8', 'session')
    return len(text).to_bytes(4, 'little') + text


def note(name):
    if noting:
        send(pack({'at': name}))
    return name


def unpack(data, start=0):
    """A frame's header, and where its blob starts."""
    if data is None:
        raise MemoryError('there is no room for this request')
    end = start + 4 + int.from_bytes(data[start:start + 4], 'little')
    if len(data) < end or len(data) < start + 4:
        raise ProtocolError('the frame is shorter than it says')
    try:
        header = decode(data[start + 4:end].decode(), 0)[0]
    except (ValueError, RecursionError, StopIteration):
        raise ProtocolError('the header is not JSON') from None
    if type(header) is not dict:
        raise ProtocolError('the header is not a JSON object')
    return header, end


def attempt(do, *arguments):
    """The error of a call."""
    try:
        do(*arguments)
    except BaseException as error:
        return error.with_traceback(None)


def cut(text, limit):
    """A text that is too long keeps its head and its tail."""
    over, half = len(text) - limit, limit // 2
    return f'{text[:half]}\n... {over} characters left out ...\n{text[-half:]}' if over > 0 else text


def plain(function, value):
    """A text that the user's code may make, and so a real str, and no error."""
    try:
        return ''.join((function(value),))
    except BaseException as error:
        return f'<{type(error).__name__}>'


def kind(cls):
    """A class's name as tracebacks have it."""
    module, name = cls.__module__, cls.__qualname__
    return name if module in ('builtins', '__main__') else f'{module}.{name}'


def reason(error):
    return cut(f'{plain(kind, type(error))}: {plain(str, error)}', 500)


def describe(error):
    """An error for a reply; its traceback has only lines that the user wrote."""
    if isinstance(error, MemoryError):
        reserve.clear()
        clear_frames(error.__traceback__)
    name, message = plain(kind, type(error)), cut(plain(str, error), TEXT // 8)
    if isinstance(error, SystemExit) and error.code is None:
        message = ''
    try:
        if isinstance(error, SyntaxError) and error.text is None:
            error.text = linecache.getline(error.filename, error.lineno) or None
        trace = TracebackException(type(error), error, error.__traceback__,
                                   lookup_lines=False, compact=True)
        parts = [trace]
        for part in parts:
            part.stack[:] = [at for at in part.stack if at.filename.startswith(OURS)]
            parts += filter(None, (part.__cause__, part.__context__, *(part.exceptions or ())))
        text = cut(''.join(trace.format()), TEXT)
    except BaseException:  # There is no memory, or a turn took away what this needs.
        text = f'{name}: {message}\n'
    return {'type': name, 'message': message, 'traceback': text}


def short(value, level=3):
    """A repr of 200 characters, at a cost that does not grow with a container's length."""
    cls = type(value)
    base = next((base for base in BRACKETS if issubclass(cls, base)), None)
    if base:
        count, items = base.__len__(value), base.__iter__(value)
        items = islice(dict.items(value) if base is dict else items, 6 if level else 0)
        items = [f'{short(item[0], 0)}: {short(item[1], level - 1)}' if base is dict
                 else short(item, level - 1) for item in items]
        items += ['...'] * (count > len(items))
        text = ', '.join(items) + ',' * (cls is tuple and count == 1)
        if count or cls in (list, tuple, dict):
            text = BRACKETS[base][0] + text + BRACKETS[base][1]
        if cls not in (list, tuple, dict) and not (cls is set and count):
            text = cls.__name__ + (text if base is tuple else f'({text})')
    elif issubclass(cls, (str, bytes, bytearray)):
        text = repr(value[:200])
    elif cls is int and value.bit_length() > 1000:
        text = f'<int of {value.bit_length()} bits>'
    elif (cls.__module__ in ('builtins', 'collections', 'array') and hasattr(cls, '__len__')
          and len(value) > 20):
        text = f'<{cls.__name__} of {len(value)} items>'
    else:
        text = plain(repr, value)
    return text if len(text) <= 200 else f'{text[:140]}...{text[-57:]}'


def statements(body):
    """A module's own, those within its ifs, tries and withs too."""
    for node in body:
        yield node
        if not isinstance(node, DEFINES):
            for part in 'body', 'handlers', 'cases', 'orelse', 'finalbody':
                yield from statements(getattr(node, part, ()))


def segment(node, lines):
    """A statement's source, decorators included."""
    first = min([node.lineno] + [each.lineno for each in getattr(node, 'decorator_list', ())])
    part = lines[first - 1:node.end_lineno]
    if not hasattr(node, 'body'):
        part[-1] = part[-1].encode()[:node.end_col_offset].decode()
    before = part[0].encode()[:node.col_offset].decode()
    if before.strip():  # something else, and a ';' or ':'
        part[0] = part[0][len(before):]
    elif before:
        part.insert(0, 'if 1:\n')
    return ''.join(part)


def stored(code):
    """The names that a module's code binds."""
    wide = 0
    for operation, argument in zip(*[iter(code.co_code)] * 2):
        argument |= wide
        wide = argument << 8 if operation == WIDER else 0
        if operation in STORES:
            yield code.co_names[argument]


def refreshed(stream, fd, errors):
    """A stream, made anew if a turn has closed it."""
    try:
        if not stream.closed:
            if not stream.line_buffering:
                stream.reconfigure(line_buffering=True)
            return stream
    except (AttributeError, ValueError):
        pass
    try:
        return open(fd, 'w', 1, 'utf-8', errors, closefd=False)
    except OSError:
        return None


class Input(FileIO):
    """Standard input, which is another file in each turn."""
    read_ahead = False

    def readinto(self, buffer):
        self.read_ahead = True
        return FileIO.readinto(self, buffer)


def unread(stream):
    """A stream that has nothing of an earlier turn's: made anew only if it might have."""
    try:
        if not stream.closed and not stream.buffer.raw.read_ahead:
            return stream
    except (AttributeError, ValueError):
        pass
    try:
        stream = TextIOWrapper(BufferedReader(Input(0, closefd=False)), 'utf-8', 'surrogateescape')
    except OSError:
        return None
    stream.mode = 'r'
    return stream


def reseed():
    """What was seeded before this process was forked is seeded anew."""
    for name in {'random', 'numpy.random'} & modules.keys():
        modules[name].seed()
    for name, state in ('tempfile', '_name_sequence'), ('uuid', '_node'):
        if name in modules:
            setattr(modules[name], state, None)


class Keeper(pickle.Pickler):
    """Pickles modules, and what turns defined, by name."""

    def reducer_override(self, value):
        if issubclass(type(value), ModuleType) and modules.get(value.__name__) is value:
            return import_module, (value.__name__,)
        name = self.known.get(id(value))
        return name if name and getattr(value, '__module__', None) == '__main__' else NotImplemented


class Finder(Keeper):
    """Looks through a value for one that was not restored."""

    def persistent_id(self, value):
        if id(value) in self.failures:
            self.found.append(self.failures[id(value)][1])
            raise LookupError


class Reader(pickle.Unpickler):
    def find_class(self, module, name):
        self.need(module, name)
        return super().find_class(module, name)


Lost = type('Lost', (), {})  # in the place of a value that could not be made


class Forgiving(pickle._Unpickler):
    """Goes on after errors, and notes what they broke. It is slow, for it is not in C."""
    dispatch = dict(pickle._Unpickler.dispatch)
    numb = False  # Makes nothing.

    def check(self):
        if self.numb:
            raise StateError('it is left out')

    def lose(self, value, error):
        self.failures.setdefault(id(value), (value, error.with_traceback(None)))

    def find_class(self, module, name):
        try:
            self.check()
            self.need(module, name)
            return super().find_class(module, name)
        except BaseException as error:
            lost = Lost()
            self.lose(lost, error)
            return lost


def forgive(code, operands):
    """Of an instruction that makes a value of operands, or that changes the one before its own."""
    load = Forgiving.dispatch[code[0]]

    def forgiving(self):
        top = len(self.stack) - operands
        maker = self.stack[top] if operands else None
        try:
            if operands:
                self.check()
            load(self)
        except BaseException as error:
            if operands:
                error = self.failures.get(id(maker), (maker, error))[1]
                self.stack[top:] = [Lost()]
            self.lose(self.stack[-1], error)
    Forgiving.dispatch[code[0]] = forgiving


for code in 'BUILD', 'APPEND', 'APPENDS', 'SETITEM', 'SETITEMS', 'ADDITEMS':
    forgive(getattr(pickle, code), 0)
for code, operands in ('REDUCE', 2), ('NEWOBJ', 2), ('NEWOBJ_EX', 3):
    forgive(getattr(pickle, code), operands)


def dump(values, file, make=Keeper, **settings):
    """One pickle after the other, with one memo: what values share stays shared."""
    pickler = make(file, 5)
    vars(pickler).update(settings)
    for value in values:
        pickler.dump(value)


def broken(value, reader):
    """The error that left a part of a value unmade."""
    found = []
    if reader.failures:
        attempt(lambda: dump([value], NOWHERE, Finder, known={}, failures=reader.failures, found=found))
    return found[0] if found else None


def changes(value, known):
    """What a function or class has that its source may not give again."""
    if type(value) is FunctionType:
        found = {'__defaults__': value.__defaults__, '__kwdefaults__': value.__kwdefaults__}
        found = {**{name: each for name, each in found.items() if each}, **vars(value)}
    elif type(value) in (type, ABCMeta):
        found = {name: each for name, each in vars(value).items() if name[:2] != '__'
                 and (id(each) in known or not hasattr(type(each), '__get__'))}
    else:
        return {}
    return {name: each for name, each in found.items()
            if attempt(lambda: dump([each], NOWHERE, known=known)) is None}


def why(value, error):
    if type(value) is FunctionType:
        return 'it is a closure' if value.__closure__ else "this function's source is not known"
    return next((text for cls, text in REASONS.items() if issubclass(type(value), cls)), reason(error))


def left_out(header):
    global noting
    noting = 'without' in header
    return {each['name'] for each in header.get('without', ())}


def listed(lost):
    return [{'name': name, 'reason': text} for name, text in sorted(lost.items())]


class Session:
    def __init__(self):
        self.main = ModuleType('__main__')
        self.main.__builtins__ = builtins
        self.names = vars(self.main)
        self.seeded = False
        self.flags = 0     # of `from __future__ import`: it holds for later turns
        self.defined = {}  # name: its source, flags, and a weak reference to what they made
        self.sources = {}  # names in linecache, in order
        self.sweep = 2 * MANY

    def enter(self):
        """What a request finds, whatever the last turn did."""
        if not self.seeded:
            self.seeded = True
            reseed()
        self.names.update(__name__='__main__', __builtins__=builtins)
        self.names.pop('__warningregistry__', None)  # It knows lines, and they are others now.
        modules['__main__'] = self.main
        # A turn that failed with stdout replaced would leave the next ones mute.
        sys.stdout = sys.__stdout__ = streams[0] = refreshed(streams[0], 1, 'surrogateescape')
        sys.stderr = sys.__stderr__ = streams[1] = refreshed(streams[1], 2, 'backslashreplace')
        sys.stdin = sys.__stdin__ = inputs[0] = unread(inputs[0])

    def remember(self, file, source):
        """Lets linecache have a source: the last ones, and those of which a function is there."""
        if len(self.sources) >= self.sweep:
            used = {each.__code__.co_filename for each in get_objects() if type(each) is FunctionType}
            for old in list(self.sources)[:-MANY]:
                if old not in used:
                    del self.sources[old]
                    cache.pop(old, None)
            self.defined = self.alive()
            self.sweep = len(self.sources) + MANY
        self.sources.pop(file, None)
        self.sources[file] = None
        cache[file] = len(source), None, [line + '\n' for line in source.split('\n')], file

    def alive(self):
        return {name: entry for name, entry in self.defined.items()
                if name in self.names and self.names[name] is entry[2]()}

    def run(self, header, data, start):
        if type(header.get('count')) is not int:
            raise ProtocolError('a run needs a count')
        try:
            source = data[start:].decode().replace('\r\n', '\n').replace('\r', '\n')
        except UnicodeDecodeError:
            raise ProtocolError('the source is not UTF-8') from None
        names, file, reply, codes = self.names, f'<turn {header["count"]}>', {'op': 'run'}, []
        # Addresses only: holding the values would keep alive what the turn deletes.
        before = dict(zip(names, map(id, names.values())))
        try:
            self.remember(file, source)
            tree = compile(source, file, 'exec', PyCF_ONLY_AST | self.flags, True)
            body, last = tree.body, None
            if body and type(body[-1]) is Expr:
                last = Expression(body.pop().value)
            code = compile(tree, file, 'exec', self.flags, True)
            self.flags |= code.co_flags & FUTURE
            codes = [code]
            if last:
                last = compile(last, file, 'eval', self.flags, True)
                codes.append(last)
            value = None
            try:
                if body:
                    exec(code, names)
                if last:
                    value = eval(last, names)
            finally:
                if gettrace() or getprofile():  # They would follow the driver from here.
                    settrace(None)
                    setprofile(None)
            if value is not None:
                reply['value'] = cut(''.join((repr(value),)), TEXT)
                reply['value_type'] = plain(kind, type(value))
                names['_'] = value
        except BaseException as error:
            reply['error'] = describe(error)
        changed = {name for name, value in names.items()
                   if type(name) is str and before.get(name) != id(value)}
        if codes:
            attempt(self.define, body, file, changed)
        if 'error' not in reply:  # A new value may be at the address of the old one.
            changed.update(name for code in codes for name in stored(code) if name in names)
        changed = sorted(name for name in changed if name[:1] != '_')
        reply['names'] = changed[:MANY]
        if len(changed) > MANY:
            reply['names_left_out'] = len(changed) - MANY
        return reply, b''

    def define(self, body, file, changed):
        """Notes the source of functions and classes, as they are saved by it."""
        for node in statements(body):
            if isinstance(node, DEFINES):
                name = getattr(node.name, 'id', node.name)
            elif isinstance(node, (Assign, AnnAssign)):
                name = getattr(node.targets[0] if type(node) is Assign else node.target, 'id', None)
            else:
                continue
            value = self.names.get(name)
            if getattr(node, 'decorator_list', None):
                made = name in changed
            elif type(value) is FunctionType:
                code = value.__code__
                made = (code.co_filename == file and not value.__closure__
                        and node.lineno <= code.co_firstlineno <= node.end_lineno)
            else:  # a class, by namedtuple() too, or a TypeVar
                cls = type(value)
                made = (name in changed and (issubclass(cls, type) or cls.__module__ == 'typing')
                        and (value.__module__, value.__name__) == ('__main__', name))
            if made:
                try:
                    entry = segment(node, cache[file][2]), self.flags, ref(value)
                except TypeError:
                    continue
                self.defined.pop(name, None)  # The order is that of the last definitions.
                self.defined[name] = entry

    def info(self, *_):
        found = {'variables': [], 'imports': [], 'functions': [], 'classes': []}
        left = 0
        for name in sorted(name for name in self.names if type(name) is str and name[:1] != '_'):
            value, entry = self.names[name], name
            cls = type(value)
            if issubclass(cls, ModuleType):
                group, entry = found['imports'], {'name': name, 'module': plain(str, value.__name__)}
            elif issubclass(cls, type):
                group = found['classes']
            elif issubclass(cls, FUNCTIONS) or name in self.defined and callable(value):
                group = found['functions']
            else:
                group, entry = found['variables'], {'name': name, 'type': plain(kind, cls)}
            if len(group) >= MANY:
                left += 1
                continue
            if group is found['variables']:
                entry['repr'] = plain(short, value)
            group.append(entry)
        return {'op': 'info', **found, **({'left_out': left} if left else {})}, b''

    def save(self, header, *_):
        names, lost, imports, values, without = self.names, {}, {}, [], left_out(header)
        defined = {name: entry for name, entry in self.alive().items() if name not in without}
        known = {id(names[name]): name for name in defined}
        for name, value in list(names.items()):
            if (type(name) is not str or name in defined or name in without
                    or name[:2] == '__' == name[-2:]):
                continue
            if issubclass(type(value), ModuleType) and modules.get(value.__name__) is value:
                imports[name] = value.__name__
            else:
                values.append(name)
        changed = {} if EXTRAS in without else {
            name: changes(names[note(name)], known) for name in defined}

        def parts():
            for name in values:
                yield names[note(name)]
            note(EXTRAS)
            yield changed

        def pickled():
            file = BytesIO()
            dump(parts(), file, known=known)
            return file

        try:
            file = pickled()
        except BaseException:
            until = monotonic() + SEARCH
            for name in values[:]:
                if monotonic() > until:
                    error = TimeoutError('there was no time to find out whether it can be saved')
                else:
                    error = attempt(lambda: dump([names[note(name)]], NOWHERE, known=known))
                if error is not None:
                    values.remove(name)
                    lost[name] = why(names[name], error)
            file = pickled()
        packages = tuple({module.partition('.')[0] + '.' for module in imports.values()})
        state = {'format': FORMAT, 'python': VERSION, 'flags': self.flags,
                 'imports': imports, 'values': values,
                 'definitions': [[name, *entry[:2]] for name, entry in defined.items()],
                 # `import a.b` binds a, and is to load a.b.
                 'modules': [name for name in modules if name.startswith(packages)],
                 'paths': [path for path in getattr(sys, 'path', ()) if type(path) is str and path not in paths]}
        failed = self.trial(state, file)
        if failed:
            lost.update({name: why(names[name], error) if name in values else reason(error)
                         for name, error in failed.items()})
            state['definitions'] = [entry for entry in state['definitions'] if entry[0] not in failed]
            values[:] = [name for name in values if name not in failed]
            for name in failed:
                imports.pop(name, None)
                changed.pop(name, None)
            file = pickled()
        kept = sorted([*imports, *values, *(entry[0] for entry in state['definitions'])])
        return {'op': 'save', 'kept': kept, 'lost': listed(lost)}, pack(state), file.getvalue()

    def trial(self, state, file):
        """What a new session would not get. Definitions run once more here, so all is quiet."""
        output, errors = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = NOWHERE
        try:
            file.seek(0)
            lost = Session().load(state, file, trial=True)[1]
            if not any(isinstance(error, MemoryError) for error in lost.values()):
                return lost
        except MemoryError:
            pass
        finally:
            sys.stdout, sys.stderr, modules['__main__'] = output, errors, self.main
        return {}  # Two sessions are too much for the memory; one may not be.

    def restore(self, header, data, start):
        try:
            state, start = unpack(data, start)
        except ProtocolError as error:
            raise StateError(f'this is not a saved state: {error}') from None
        if state.get('format') != FORMAT:
            raise StateError(f'a state has format {FORMAT}, not {state.get("format")!r:.50}')
        file = BytesIO(data)
        file.seek(start)
        kept, lost = self.load(state, file, left_out(header))
        lost = {name: reason(error) for name, error in lost.items()}
        return {'op': 'restore', 'kept': kept, 'lost': listed(lost)}, b''

    def load(self, state, file, without=(), trial=False):
        """Imports, definitions, values: what is there then, and errors of what is not."""
        names, lost, values, at = self.names, {}, state['values'], None
        waiting = {name: (source, flags & FUTURE) for name, source, flags in state['definitions']
                   if name not in without}
        wanted = [*state['imports'], *waiting, *values]
        modules['__main__'] = self.main
        self.flags |= state['flags'] & FUTURE
        path = getattr(sys, 'path', [])
        path[:0] = [each for each in state['paths'] if each not in path]

        def bind(name, module):
            names[name] = import_module(module)

        def define(name):
            source, flags = waiting[note(name)]
            file = f'<restored {name}>'
            self.remember(file, source)
            exec(compile(source, file, 'exec', flags, True), names)
            self.defined[name] = source, flags, ref(names[name])
            del waiting[name]

        def define_all():
            count = None
            while count != len(waiting):
                count = len(waiting)
                lost.update({name: attempt(define, name) for name in list(waiting)})

        def need(module, name):
            name = name.partition('.')[0]
            if module == '__main__' and name in waiting:  # It needed values that are there by now.
                lost[name] = attempt(define, name)
                note(at)
                if name in waiting:
                    raise StateError(f'it needs {name}, which is lost')

        for name, module in state['imports'].items():
            if name not in without:
                lost[name] = attempt(bind, note(name), module)
        for module in state['modules']:
            if module not in without:
                attempt(import_module, note(module))
        define_all()
        begin = file.tell()
        for make in (Forgiving,) if without else (Reader, Forgiving):
            file.seek(begin)
            reader, loaded, changed, failure = make(file), 0, {}, None
            vars(reader).update(need=need, failures={})
            for name in values:
                names.pop(name, None)
            try:
                for name in values:
                    at, reader.numb = note(name), name in without
                    value = reader.load()
                    loaded += 1
                    lost[name] = broken(value, reader)
                    if lost[name] is None:
                        names[name] = value
                at, reader.numb = note(EXTRAS), EXTRAS in without
                changed = {} if reader.numb else reader.load()
                break
            except BaseException as error:
                failure = error.with_traceback(None)
                if trial and isinstance(error, MemoryError):
                    break
        lost.update(dict.fromkeys(values[loaded:], failure))
        define_all()
        for name in changed.keys() & names.keys():
            for attribute, value in changed[name].items():
                error = broken(value, reader) or attempt(setattr, names[name], attribute, value)
                lost[f'{name}.{attribute}'] = error
        lost = {name: error for name, error in lost.items()
                if error is not None and name.partition('.')[0] not in without}
        return sorted(name for name in wanted if name not in lost and name not in without), lost


OPERATIONS = {each.__name__: each for each in (Session.run, Session.info, Session.save, Session.restore)}
NO_REPLY = pack({'error': {'type': 'DriverError', 'message': 'no reply could be made', 'traceback': ''}})


def handle(session, data):
    op = None
    try:
        header, start = unpack(data)
        op = header.get('op')
        if type(op) is not str or op not in OPERATIONS:
            raise ProtocolError(f'there is no such operation: {op!r:.50}')
        session.enter()
        header, *blob = OPERATIONS[op](session, header, data, start)
        reply = pack(header), *blob
    except BaseException as error:
        try:
            named = {'op': op} if type(op) is str and op in OPERATIONS else {}
            reply = pack({**named, 'error': describe(error)}),
        except BaseException:
            reply = NO_REPLY,
    for stream in getattr(sys, 'stdout', None), getattr(sys, 'stderr', None), *streams:
        attempt(lambda: stream.flush())
    if not reserve:
        attempt(lambda: reserve.extend(bytes(2 * TEXT)))
    return reply


def warm():
    """Does everything once: what is made at first use is there before the turns are forked."""
    session = Session()
    session.seeded = True
    for source in (b'import sys\ndef f(a=[1]):\n    return a\nclass C: pass\nx = f(), C(), sys\nx',
                   b'x += 1', b'y = unknown', b'1 +', b'(yield)'):
        handle(session, pack({'op': 'run', 'count': 0}) + source)
    handle(session, pack({'op': 'info'}))
    state = handle(session, pack({'op': 'save'}))[1:]
    handle(session, pack({'op': 'restore'}) + b''.join(state))
    for file in session.sources:
        cache.pop(file, None)


for code in sys.argv[2:]:
    exec(code, {'__name__': '__preload__'})
sys.argv[:] = ['']
warm()
session = Session()
modules['__main__'] = session.main
# No later collection touches, and so copies, what is here already.
gc.collect()
gc.freeze()
warm()  # once more, as what is taken from here on is in pages of its own: let them be there
while True:
    send(*handle(session, receive()))
