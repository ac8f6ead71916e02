"""The driver inside a session's QuickJS, fed its frames.

`REPLAY` runs the driver as the host would, but for the forks: it gives it requests for what it
reads from its descriptor, one after the other, and keeps what it writes.
"""
import json
import subprocess

import pytest
from conftest import BRIG, ROOT
from session_frames import INFO, SAVE, parse, restore, run, turns

DRIVER = ROOT / "guests" / "drivers" / "quickjs_session.js"

REPLAY = r"""
(({Uint8Array, Math, std, os, scriptArgs}) => {
const FD = 99;
let current = null, reading = null, count = 0;

/** A request to its end; the read after it is the next one's. */
function read(fd, buffer, at, size) {
  if (reading === null) {
    if (current) {
      const file = std.open(`/play/reply-${count++}`, 'w');
      file.write(current.buffer, 0, current.length);
      file.close();
    }
    const file = std.open(`/play/request-${count}`, 'r');
    if (!file) std.exit(0);
    current = new Uint8Array(0);
    reading = new Uint8Array(file.readAsArrayBuffer());
    file.close();
  }
  const piece = reading.subarray(0, size);
  new Uint8Array(buffer, at).set(piece);
  reading = piece.length ? reading.subarray(piece.length) : null;
  return piece.length;
}

/** A part, as a pipe may take. */
function write(fd, buffer, at, size) {
  if (!current.length) {
    std.out.puts('\x1e');  // What a turn printed is before this if it was flushed.
    std.out.flush();
  }
  const piece = new Uint8Array(buffer, at, Math.min(size, 70000)), all = new Uint8Array(current.length + piece.length);
  all.set(current);
  all.set(piece, current.length);
  current = all;
  return piece.length;
}

globalThis.os = {...os, read, write};
globalThis.scriptArgs = [`${FD}`, ...scriptArgs.slice(1)];
std.evalScript(std.loadFile('/play/driver.js'));
})(globalThis);
"""


def frame(request):
    header = json.dumps(request["header"]).encode() if "header" in request else b""
    return (len(header).to_bytes(4, "little") + header if header else b"") + request["blob"]


@pytest.fixture
def play(brig, tmp_path):
    if b"quickjs" not in subprocess.run([BRIG, "guest", "list"], capture_output=True).stdout:
        pytest.skip("quickjs is not installed")

    def replies(*requests, stdin=b"", preload=()):
        """The replies of one process to these requests."""
        (tmp_path / "driver.js").write_bytes(DRIVER.read_bytes())
        (tmp_path / "replay.js").write_text(REPLAY)
        for old in tmp_path.glob("request-*"):
            old.unlink()
        for count, request in enumerate(requests):
            (tmp_path / f"request-{count}").write_bytes(frame(request))
        done = brig("js", "--fuel", 0, "--timeout", 60, "--dir-rw", f"{tmp_path}::/play",
                    tmp_path / "replay.js", *preload, stdin=stdin)
        *outputs, rest = done.stdout.decode("utf-8", "replace").split("\x1e")
        assert len(outputs) == len(requests) and not rest, done
        return [parse((tmp_path / f"reply-{count}").read_bytes(), output) for count, output in enumerate(outputs)]

    return replies


def values(replies):
    return [reply.error["traceback"] if reply.error else reply.value for reply in replies]


def test_a_turn_shows_its_last_expression(play):
    none, last, again, awaited, empty, declared = play(*turns(
        "undefined", "let x = 20\nx + 1", "_", "await new Promise(done => os.setTimeout(() => done('late'), 2))", "",
        "function f() {}"))
    assert none.header == {"op": "run", "names": []} == empty.header
    assert last.header == {"op": "run", "names": ["x"], "value": "21", "value_type": "number"}
    assert again.value == "21" and awaited.value == "'late'" and declared.names == ["f"]


@pytest.mark.parametrize("expression, shown, kind", [
    ("'it\\'s \"a\"\\n'", r'''"it's \"a\"\n"''', "string"), ("'\"'", "'\"'", "string"), ("-0", "-0", "number"),
    ("10n", "10n", "bigint"), ("null", "null", "null"), ("Symbol('s')", "Symbol(s)", "symbol"),
    ("[1, [2, [3, [4, [5]]]]]", "[ 1, [ 2, [ 3, [Array] ] ] ]", "Array"), ("[]", "[]", "Array"),
    ("({a: 1, 'b c': {d: undefined}})", "{ a: 1, 'b c': { d: undefined } }", "Object"),
    ("({get a() { return std.exit(1) }})", "{ a: [Getter] }", "Object"),
    ("Object.create(null)", "[Object: null prototype] {}", "Object"),
    ("class A { x = 1 }; new A", "A { x: 1 }", "A"), ("(class B {})", "[class B]", "function"),
    ("() => 1", "[Function: (anonymous)]", "function"), ("Math.sin", "[Function: sin]", "function"),
    ("new Map([['a', new Set([1])]])", "Map(1) { 'a' => Set(1) { 1 } }", "Map"),
    ("new Uint8Array(2)", "Uint8Array(2) [ 0, 0 ]", "Uint8Array"), ("/a/g", "/a/g", "RegExp"),
    ("new Date(0)", "1970-01-01T00:00:00.000Z", "Date"), ("new TypeError('t')", "[TypeError: t]", "TypeError"),
    ("let o = {}; o.o = o; o", "{ o: [Circular] }", "Object"), ("Promise.resolve(1), 2", "2", "number"),
    ("Array(1000).fill(1)", "[ " + "1, " * 100 + "... ]", "Array"),
])
def test_a_value_is_shown_in_one_line(play, expression, shown, kind):
    reply, = play(run(expression))
    assert (reply.value, reply.value_type) == (shown, kind)


def test_what_is_declared_stays_and_may_be_declared_again(play):
    replies = play(*turns(
        "const a = 1; let b = 2, {c, d: [e]} = {c: 3, d: [4]}\nclass F { static x = 5 } class G extends F {}",
        "const a = 10; let b = 20\nclass F { static x = 50 }\n[a, b, c, e, F.x, G.x]",
        "let late = unknown()", "let late = 1; late",
        "let fs = []; for (let i = 0; i < 2; i++) { const j = i; fs.push(() => i + j) } fs.map(f => f())",
        "{ let a = 5; class F {} } [a, F.x]", "var let_ = {let: 1, const: 2, class: 3}; let_.let + let_.const + let_.class",
        "const re = x => /[/'\"`{]let/.test(x)\nconst t = `${a}{${`}`} let`, div = a / b / 2\nlet end; [t, div]",
        "let s = 'const z = 1', u = a /* let */ // const\nlet v = class {}, w = class Named {}; [s, u, v.name, w.name]",
        "if (a) /let {/.test('')\nlet /* it */ after = 1\nlabel: for (const q of [1]) { continue label }\nafter"))
    assert values(replies) == [
        None, "[ 10, 20, 3, 4, 50, 5 ]", replies[2].error["traceback"], "1", "[ 0, 2 ]", "[ 10, 50 ]", "6",
        "[ '10{} let', 0.25 ]", "[ 'const z = 1', 10, 'v', 'Named' ]", "1"]
    assert replies[2].error["type"] == "ReferenceError" and replies[0].names == ["F", "G", "a", "b", "c", "e"]
    # Those that stay lexical have no name.
    assert [reply.names for reply in replies[7:]] == [["div", "end", "re", "t"], ["s", "u", "v", "w"], ["after"]]


def test_names_are_those_bound_in_the_turn(play):
    replies = play(*turns(
        "let b = [1], a = 1, _c = 2, keep = []", "b = [...b]", "keep.push(1); a = '1'", "var made = 5; null.x; keep = 7",
        "for (let i = 0; i < 1500; i++) globalThis['v' + String(i).padStart(4, 0)] = i", "print = 5", "keep"))
    assert [reply.names for reply in replies[:4]] == [["a", "b", "keep"], ["b"], ["a"], ["made"]]
    assert replies[4].names == [f"v{i:04}" for i in range(1000)] and replies[4].names_left_out == 500
    assert replies[5].names == ["print"] and replies[6].value == "[ 1 ]"


def test_an_error_has_the_users_lines_only(play):
    inner, syntax, thrown, chained, late, hostile, after = play(*turns(
        "function f(a) {\n  throw new TypeError(a)\n}\nlet x = 1\nf('a')", "let y = 1\nlet z = = 2", "throw {a: 1}",
        "throw new RangeError('r', {cause: new Error('inner')})", "async function g() { await 1; throw new Error('l') }\nawait g()",
        "class E extends Error { get message() { throw 1 } }\nthrow new E", "x"))
    assert inner.error["type"] == "TypeError" and inner.names == ["f", "x"]
    assert inner.error["traceback"].splitlines() == [
        "TypeError: a", "    at f (<turn>:2:13)", "    at <eval> (<turn>:5:1)"]
    assert syntax.error["type"] == "SyntaxError" and "<turn>:2" in syntax.error["traceback"] and syntax.names == []
    assert thrown.error == {"type": "Object", "message": "{ a: 1 }", "traceback": "Uncaught { a: 1 }\n"}
    assert "RangeError: r\n" in chained.error["traceback"] and "\ncaused by Error: inner\n" in chained.error["traceback"]
    assert "at g (<turn>:1" in late.error["traceback"] and hostile.error["message"] and after.value == "1"


def test_memory_that_ends_is_an_error_and_a_turn_may_make_room(play):
    large, small, full, room, after = play(*turns(
        "let x = []; for (;;) x.push(new Uint8Array(1e7))", "x = null; for (;;) x = [x]", "let y = 1", "x = null",
        "Array(1e6).fill(y).length"))
    assert large.error["message"] == "out of memory" and small.error  # perhaps null: there is no room for one
    assert full.error is None and room.error is None and after.value == "1000000"


def test_long_texts_keep_their_ends_and_say_what_is_left_out(play):
    value, message = play(*turns("'<' + 'a'.repeat(100000) + '>'", "throw new Error('m'.repeat(100000) + 'end')"))
    assert value.value.startswith("'<aaa") and len(value.value) < 65700
    assert "characters left out" in message.error["message"] and message.error["message"].endswith("end")
    assert len(message.error["message"]) < 8300 and len(message.error["traceback"]) < 65700


def test_text_of_any_kind_arrives(play):
    value, lone, error, name = play(*turns(
        "'é\u2028\U0001f40d\\0'", "'\\ud800'", "throw Error('\\udcff')", "let ñandú = '日本'; ñandú"))
    assert value.value == "'é\u2028\U0001f40d\\u0000'" and lone.value == "'\\ud800'"
    assert error.error["message"] == "\\udcff" and (name.names, name.value) == (["ñandú"], "'日本'")


def test_output_is_out_before_the_reply_and_promises_are_kept(play):
    replies = play(*turns(
        "print('a'); console.log('b'); std.out.puts('c')",
        "let p = Promise.resolve(); for (let i = 0; i < 50; i++) p = p.then(() => 1)\np.then(() => print('d')); print('e')",
        "os.setTimeout(() => print('timer'), 1); 5", "await new Promise(done => os.setTimeout(done, 20))"))
    assert [reply.output for reply in replies] == ["a\nb\nc", "e\nd\n", replies[2].output, replies[3].output]
    assert replies[2].output + replies[3].output == "timer\n"


def test_stdin_has_nothing_of_the_last_turn(play):
    first, second = play(*turns("std.in.getline()", "std.in.readAsString()"), stdin=b"one\ntwo")
    assert first.value == "'one'" and second.value == "''"


def test_the_preload_is_not_of_the_session(play):
    found, info, save = play(run("[typeof twice, twice(2), scriptArgs.length]"), INFO, SAVE,
                             preload=["globalThis.twice = n => 2 * n"])
    assert found.value == "[ 'function', 4, 0 ]" and info.functions == [] and save.kept == ["_"]


def test_info_is_bounded(play):
    *_, trap, info = play(*turns(
        "function f() {} const g = () => 1; class A {}; let n = 5, text = 'x'.repeat(1e6), big = Array(1e6).fill(1)",
        "let bad = {}; Object.defineProperty(bad, 'x', {get() { throw 1 }, enumerable: true}); let _hidden = 1",
        "let trap = new Proxy({}, {ownKeys() { throw new TypeError('no') }}), undef = (() => undefined)()"), INFO)
    assert trap.error is None and trap.names == ["trap", "undef"]
    assert info.functions == ["f", "g"] and info.classes == ["A"] and info.imports == []
    shown = {each["name"]: (each["type"], each["repr"]) for each in info.variables}
    assert shown["n"] == ("number", "5") and shown["big"] == ("Array", "[ 1, 1, 1, 1, 1, 1, ... ]")
    assert shown["bad"][1] == "{ x: [Getter] }" and shown["trap"][1] == "<TypeError>"
    assert shown["undef"] == ("undefined", "undefined") and "_hidden" not in shown
    assert all(len(each[1]) < 260 for each in shown.values())
    _, many = play(run("for (let i = 0; i < 1500; i++) globalThis['v' + i] = i"), INFO)
    assert len(many.variables) == 1000 and many.left_out == 500


@pytest.mark.parametrize("request_", [
    b"", b"\x01", b'\x50\0\0\0{"op": "info"}', b"\xff\xff\xff\xff{}", b"\x02\0\0\0[]", b"\x02\0\0\0{}", b"\x02\0\0\0{]",
    b"\x02\0\0\0\xff\xff", b'\x0f\0\0\0{"op": "other"}', b'\x0c\0\0\0{"op": [1]} ', b'\x19\0\0\0{"op": "hasOwnProperty" }',
    b'\x0d\0\0\0{"op": "run"}', b'\x19\0\0\0{"op":"run","count":"one"}', b'\x16\0\0\0{"op":"run","count":1}\xff'], ids=lambda data: repr(data[:30]))
def test_a_request_that_is_none_gets_a_protocol_error(play, request_):
    wrong, right = play({"blob": request_}, run("1"))
    assert wrong.error["type"] == "ProtocolError" and wrong.error["message"] and right.value == "1"


SABOTAGE = [
    "JSON.stringify = JSON.parse = null; JSON = null", "Object.keys = Object.defineProperty = null; Object = null",
    "os.read = os.write = os.setTimeout = os.now = null; std.evalScript = null; os = std = null",
    "Promise.prototype.then = null; Promise = Map = Set = Uint8Array = Error = TypeError = null",
    "String = Number = Symbol = Reflect = Math = Function = null", "print = console = scriptArgs = null",
    "decodeURIComponent = encodeURIComponent = escape = unescape = null",
    "Object.defineProperty(globalThis, 'trap', {get() { throw 1 }, enumerable: true})",
    "for (const key of Object.getOwnPropertyNames(globalThis)) if (key !== 'globalThis') delete globalThis[key]",
]


@pytest.mark.parametrize("number", range(len(SABOTAGE)))
def test_a_turn_that_breaks_what_javascript_has_does_not_break_the_next_ones(play, number):
    broken, works, fails, info, save, again = play(
        run(SABOTAGE[number]), run("let b = 20\nb + 1", 2), run("function f() { null.x }\nf()", 3), INFO, SAVE, run("b", 5))
    assert works.value == "21" and works.names == ["b"] and "<turn>:1" in fails.error["traceback"]
    assert "b" in [each["name"] for each in info.variables] and {"b", "f"} <= set(save.kept) and again.value == "20"


SET_UP = turns(
    "const shared = [1, , 3]; shared.extra = 'e'\nlet pair = {a: shared, b: shared, self: null}; pair.self = pair",
    "class Base { static count = 0; static make() { return new this } constructor() { Base.count++ } }\n"
    "class Child extends Base { x = 1; get two() { return 2 } }",
    "let one = Child.make(); one.me = one; Base.log = [one]\nclass Stack extends Array { top() { return this.at(-1) } }\n"
    "let stack = Stack.from([1, 2])",
    "const square = x => x * x, add = function (a, b) { return a + b }; async function later() { return await 5 }\n"
    "function* count() { yield 1 }\nconst tools = {add, twice(x) { return 2 * x }, deep: {f: x => square(x)}, list: [() => 7]}",
    "let map = new Map([[pair, 'p'], ['k', new Set([NaN, -0, 1n])]]), date = new Date(5), re = /a\\/b/gi; re.lastIndex = 2",
    "let odd = [undefined, null, NaN, -0, Infinity, -Infinity, 12345678901234567890n, '\\ud800é', Symbol.for('s')]",
    "let bytes = new Uint8Array([1, 2, 255]), floats = new Float64Array([1.5, NaN]), part = bytes.subarray(1),\n"
    "  view = new DataView(bytes.buffer, 1), big = new BigUint64Array([1n])",
    "let error = new RangeError('r', {cause: 'c'}), bare = Object.create(null); bare.x = 1; const frozen = Object.freeze({x: [1]})",
    "const {sin} = Math, M = Math, log = console.log; function Old() {} Old.prototype.hi = function () { return 'hi' }",
    "let old = new Old, _private = 4, hidden = Object.defineProperty({}, 'h', {value: 1}), invalid = new Date(NaN)",
    "var Late, First; class Second extends Base {}", "First = class First extends Second {}; Late = class Late extends First {}", "5")
CHECK = """
const checks = {
  shared: pair.a === pair.b && pair.a === shared && pair.self === pair && !(1 in shared) && shared.length === 3 && shared.extra === 'e',
  classes: one instanceof Child && one instanceof Base && one.me === one && one.two === 2 && one.x === 1,
  statics: Base.count === 1 && Base.log[0] === one && Child.make() instanceof Child && Child.name === 'Child',
  stack: stack instanceof Stack && stack.top() === 2 && stack.length === 2 && Array.isArray(stack),
  functions: square(3) === 9 && square.name === 'square' && add(1, 2) === 3 && count().next().value === 1 && await later() === 5,
  tools: tools.add === add && tools.twice(4) === 8 && tools.deep.f(3) === 9 && tools.list[0]() === 7,
  maps: map.get(pair) === 'p' && map.get('k').has(NaN) && map.get('k').has(1n) && map.get('k').size === 3,
  times: date.getTime() === 5 && isNaN(invalid) && re.source === 'a\\\\/b' && re.flags === 'gi' && re.lastIndex === 2,
  odd: odd.length === 9 && odd[0] === undefined && '0' in odd && Object.is(odd[3], -0) && odd[6] === 12345678901234567890n
    && odd[7] === '\\ud800é' && odd[8] === Symbol.for('s') && odd[5] === -Infinity,
  bytes: bytes[2] === 255 && part.buffer === bytes.buffer && part[0] === 2 && view.getUint8(1) === 255 && floats[0] === 1.5
    && isNaN(floats[1]) && big[0] === 1n,
  error: error instanceof RangeError && error.message === 'r' && error.cause === 'c' && Object.keys(error).length === 0,
  plain: Object.getPrototypeOf(bare) === null && bare.x === 1 && Object.isFrozen(frozen) && frozen.x[0] === 1,
  natives: sin === Math.sin && M === Math && log === console.log && old.hi() === 'hi' && old.constructor === Old,
  order: new Late instanceof First && new First instanceof Second,
  rest: _private === 4 && hidden.h === 1 && Object.keys(hidden).length === 0 && _ === 5,
}
Object.keys(checks).filter(name => !checks[name])
"""


def test_a_state_comes_back_in_a_new_process_and_once_more(play):
    *made, before, save = play(*SET_UP, run("undefined"), SAVE)
    assert [reply.error for reply in made] == [None] * len(made) and save.lost == [] and save.output == ""
    back, again, check, redeclared = play(restore(save.blob), SAVE, run(CHECK), run("let one = 1; class Base {}"))
    assert back.lost == [] and back.kept == save.kept == again.kept and again.lost == []
    assert check.error is None and check.value == "[]" and redeclared.error is None
    back, check = play(restore(again.blob), run(CHECK))
    assert back.lost == [] and check.value == "[]"


def test_what_cannot_be_saved_is_named_with_a_reason(play):
    *_, save = play(*turns(
        "let good = [1], promise = Promise.resolve(1), weak = new WeakMap, symbol = Symbol('s'), file = std.out",
        "function outer(n) { return () => n }\nconst closure = outer(3), curry = a => b => a + b, add3 = curry(3)",
        "let holder = {good, inner: [promise]}, bound = outer.bind(null), gen = (function* () {})()",
        "class Secret { #x = 1 }\nlet secret = new Secret, accessor = {get x() { return 1 }}",
        "let within; { class Inner {} within = new Inner }\nlet keyed = {[Symbol('k')]: 1}",
        "const far = () => [x => x][0]\nlet inner = far(), made = new Function('return 1')"), SAVE)
    assert save.why.keys() == {"promise", "weak", "symbol", "closure", "add3", "holder", "bound", "gen", "secret",
                               "accessor", "within", "_", "keyed", "inner", "made"}
    assert save.why["promise"] == save.why["holder"] == "a Promise cannot be saved"
    assert "one around it" in save.why["closure"] and "private fields" in save.why["secret"]
    assert "Inner" in save.why["within"] and "accessor x" in save.why["accessor"]
    back, check = play(restore(save.blob), run("[good, curry(1)(2), outer(4)(), file === std.out, typeof promise]"))
    assert back.lost == [] and back.kept == save.kept and check.value == "[ [ 1 ], 3, 4, true, 'undefined' ]"


def test_a_definition_that_cannot_run_twice_costs_only_those_that_need_it(play):
    *_, save = play(*turns(
        "globalThis.once = 1; const take = () => { if (!once) throw new Error('twice'); once = 0 }",
        "class C { static x = take() }\nlet c = new C, good = {a: 1}, uses = [c, good]"), SAVE)
    assert save.lost == []
    back, check = play(restore(save.blob), run("[good.a, typeof C, typeof c]"))
    assert back.why.keys() == {"C", "c", "uses"} and "twice" in back.why["uses"]
    assert check.value == "[ 1, 'undefined', 'undefined' ]"


def test_a_state_that_is_none_is_an_error_and_the_session_goes_on(play):
    _, save = play(run("let a = [1], b = [a], f = () => a"), SAVE)
    size = 4 + int.from_bytes(save.blob[:4], "little")
    header = json.loads(save.blob[4:size])
    assert header["format"] == 1

    def changed(**fields):
        text = json.dumps({**header, **fields}).encode()
        return len(text).to_bytes(4, "little") + text + save.blob[size:]

    nodes = header["nodes"]
    *wrong, evil, after = play(
        *map(restore, (b"", b"garbage", changed(format=2), changed(values=5), changed(nodes=[5]), changed(nodes=None),
                       changed(values=[["a", [99]]]), changed(nodes=[{"kind": "Array", "props": [["0", [77]]]}]))),
        restore(changed(values=[["a", [0]], ["f", [1]]], nodes=[nodes[0], {"kind": "function", "data": ["f", "(std.exit"]}])),
        run("a"))
    for reply in wrong:
        assert reply.op == "restore" and (reply.error or reply.lost is not None)
    assert {reply.error["type"] for reply in wrong[:3]} == {"StateError"}
    assert evil.kept == ["a"] and "SyntaxError" in evil.why["f"] and after.value == "[ 1 ]"


def test_nothing_grows_with_the_number_of_turns(play):
    turn = "const x = [1, 2]; class C { f() {} }; let g = () => x; g()"
    replies = play(*[run(turn, count) for count in range(300)], run("Object.getOwnPropertyNames(globalThis).length"),
                   *[run(turn, count) for count in range(300)], run("Object.getOwnPropertyNames(globalThis).length"))
    assert replies[300].value == replies[-1].value


def test_much_is_saved_and_comes_back(play):
    *_, save = play(*turns(
        "let deep = null; for (let i = 0; i < 20000; i++) deep = {deep}", "let many = Array.from({length: 20000}, (_, i) => ({i}))",
        "let bytes = new Uint8Array(5e6).fill(7)"), SAVE)
    assert save.lost == []
    back, check = play(restore(save.blob), run(
        "let depth = 0; for (let at = deep; at; at = at.deep) depth++\n[depth, many[19999].i, bytes.length, bytes[4999999]]"))
    assert back.lost == [] and check.value == "[ 20000, 19999, 5000000, 7 ]"
