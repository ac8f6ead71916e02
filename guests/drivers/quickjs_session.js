// The driver of a session: `qjs --std -e DRIVER FD [PRELOAD...]`, inside a guest.
//
// Its frames, and what a turn that ends well means, are those of python_session.py.
//
// A turn is a script whose top-level let, const and class are made var, so that a later turn
// may declare them anew, as people who try things do. All that turns declare are therefore
// properties of the global object. It may await; timers run while a turn waits.
//
// A saved state is a graph: each object is a node, which names others by number, and functions
// and classes are their source. Of a function that may see variables of one around it the source
// is not enough, so only those are kept that stand in a turn's source outside of any other.
//
// What is used here is bound before the first turn, as far as that is cheap: a turn that
// breaks the prototypes of strings and arrays breaks its own session only.
(async globalThis => {
const {
  std, os, Array, ArrayBuffer, BigInt, DataView, Date, Error, Function, JSON, Map, Math, Number,
  Object, Promise, Reflect, RegExp, Set, String, Symbol, SyntaxError, Uint8Array, WeakSet,
  decodeURIComponent, encodeURIComponent, escape, isNaN, scriptArgs, unescape,
} = globalThis;
const {evalScript} = std, {read, write, now, setTimeout} = os, {random} = Math;
const {getPrototypeOf, getOwnPropertyDescriptor, setPrototypeOf} = Object;
const {ownKeys} = Reflect, {parse, stringify} = JSON;

const FD = Number(scriptArgs[0]);
const FORMAT = 1;     // of a saved state
const TEXT = 65536;   // characters of a value or a traceback
let reserve;          // let go when memory is short, to tell of it
const MANY = 1000;    // names in a reply; objects looked at for functions after a turn

const failure = name => class extends Error { static name = name; name = name; };
const ProtocolError = failure('ProtocolError'), StateError = failure('StateError');

// ---- frames

function receive() {
  const pieces = [];
  for (;;) {
    const piece = new Uint8Array(65536), count = read(FD, piece.buffer, 0, piece.length);
    if (count <= 0) break;
    pieces.push(piece.subarray(0, count));
  }
  return joined(pieces);
}

function joined(pieces) {
  const all = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function send(bytes) {
  for (let at = 0; at < bytes.length;) {
    const count = write(FD, bytes.buffer, at, bytes.length - at);
    if (count < 0) std.exit(1);
    at += count;
  }
}

/** Of UTF-8; there is no TextDecoder. */
function decoded(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return decodeURIComponent(escape(text));
}

function encoded(text) {
  const narrow = unescape(encodeURIComponent(text)), bytes = new Uint8Array(narrow.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = narrow.charCodeAt(at);
  return bytes;
}

function pack(json, ...blobs) {
  const text = encoded(json), length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length, true);
  return joined([length, text, ...blobs]);
}

/** Half of a pair of surrogates is no text: it is shown as it is written in source. */
const readable = header => stringify(header).replace(/(?<!\\)((?:\\\\)*)\\u(d[89a-f])/g, '$1\\\\u$2');

/** A frame's header and its blob. */
function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const end = data.length < 4 ? Infinity : 4 + view.getUint32(0, true);
  if (end > data.length) throw new ProtocolError('the frame is shorter than it says');
  let header;
  try {
    header = parse(decoded(data.subarray(4, end)));
  } catch {
    throw new ProtocolError('the header is not JSON');
  }
  if (kind(header) !== 'Object') throw new ProtocolError('the header is not a JSON object');
  return [header, data.subarray(end)];
}

// ---- values as text

/** A text that is too long keeps its head and its tail. */
function cut(text, limit) {
  const over = text.length - limit, half = limit / 2;
  if (over <= 0) return text;
  return `${text.slice(0, half)}\n... ${over} characters left out ...\n${text.slice(-half)}`;
}

/** What a value is: its constructor's name, or its typeof. */
function kind(value) {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  try {
    return String(getPrototypeOf(value).constructor.name) || 'Object';
  } catch {
    return 'Object';
  }
}

function quoted(text) {
  const inner = stringify(text);
  return text.includes("'") ? inner : `'${inner.slice(1, -1).replaceAll('\\"', '"')}'`;
}

const textOf = Function.prototype.toString;
const source = value => Reflect.apply(textOf, value, []);
const isClass = value => source(value).startsWith('class');

/** One line, as Node's. `room` is how many things it may have, and how deep. */
function show(value, room, outer = []) {
  switch (typeof value) {
  case 'string':
    return quoted(value.length > room.text ? `${value.slice(0, room.text)}...` : value);
  case 'bigint': return `${value}n`;
  case 'function':
    return `[${isClass(value) ? 'class ' : 'Function: '}${value.name || '(anonymous)'}]`;
  case 'object': break;
  default: return Object.is(value, -0) ? '-0' : String(value);
  }
  if (value === null) return 'null';
  if (outer.includes(value)) return '[Circular]';
  const name = kind(value);
  if (value instanceof Date) return isNaN(value) ? 'Invalid Date' : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Error) return `[${value.name}: ${value.message}]`;
  if (outer.length > room.depth) return `[${name}]`;

  const parts = [], inner = each => show(each, room, [...outer, value]);
  const listed = Array.isArray(value) || ArrayBuffer.isView(value) && 'length' in value;
  const sized = value instanceof Map || value instanceof Set;
  const add = (values, text) => {
    for (const each of values) {
      if (parts.length === room.items || room.left-- <= 0) return parts.push('...');
      parts.push(text(each));
    }
  };
  if (listed) add(Array.prototype.values.call(value), inner);
  if (value instanceof Map) add(value, ([key, each]) => `${inner(key)} => ${inner(each)}`);
  if (value instanceof Set) add(value, inner);
  if (!listed) add(Object.keys(value), key => {
    const {get, set, value: each} = getOwnPropertyDescriptor(value, key) ?? {};
    const label = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? key : quoted(key);
    return `${label}: ${get || set ? '[Getter]' : inner(each)}`;
  });
  const plain = listed ? name === 'Array' : name === 'Object' && getPrototypeOf(value);
  const count = listed ? `(${value.length})` : sized ? `(${value.size})` : '';
  const label = getPrototypeOf(value) ? name : '[Object: null prototype]';
  const [open, close] = listed ? '[]' : '{}';
  const content = parts.length ? ` ${parts.join(', ')} ` : '';
  return (plain ? '' : `${label}${count} `) + open + content + close;
}

const whole = value => cut(show(value, {depth: 2, items: 100, left: 1000, text: TEXT}), TEXT);

function brief(value) {
  try {
    return cut(show(value, {depth: 2, items: 6, left: 30, text: 150}), 200);
  } catch (error) {
    return `<${kind(error)}>`;
  }
}

/** An error for a reply; its traceback has only lines that the user wrote. */
function describe(error) {
  try {
    if (!(error instanceof Error)) {
      const text = whole(error);
      return {type: kind(error), message: cut(text, TEXT / 8), traceback: `Uncaught ${text}\n`};
    }
    let trace = '';
    for (let each = error, left = 10; each instanceof Error && left--; each = each.cause) {
      const stack = String(each.stack ?? '').replaceAll('<evalScript>', '<turn>').trimEnd();
      trace += `${trace && 'caused by '}${each.name}: ${each.message}\n${stack && `${stack}\n`}`;
    }
    const message = cut(String(error.message), TEXT / 8);
    return {type: String(error.name), message, traceback: cut(trace, TEXT)};
  } catch {
    return {type: 'Error', message: 'the error cannot be shown', traceback: ''};
  }
}

// ---- a turn's source

const BLANK = /(?:\s|\/\/.*|\/\*[^]*?\*\/)/.source;
const NAME = /[\p{ID_Start}$_][\p{ID_Continue}$]*/.source;
const STRING = /'(?:\\[^]|[^'\\])*'|"(?:\\[^]|[^"\\])*"/.source;
const SIGN = /=>|\?\.|\.\.\.|\+\+|--|[^]/.source;
const TOKEN = new RegExp(`(?<blank>${BLANK}+)|${STRING}|(?<word>[\\p{ID_Continue}$#]+)|${SIGN}`, 'yu');
const TEMPLATE = /[`}](?:\\[^]|\$(?!\{)|[^\\`$])*(?:`|\$\{|$)/y;
const REGEXP = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/\w*/y;
const LET = new RegExp(`let${BLANK}*(?:${NAME}|[[{])`, 'yu');
const CLASS = new RegExp(`class${BLANK}+(${NAME})`, 'yu');
// After these words a value begins; where none has ended: after these a statement, or a block.
const BEFORE_VALUE = new Set(['return', 'typeof', 'instanceof', 'in', 'of', 'new', 'delete', 'void',
  'throw', 'case', 'do', 'else', 'yield', 'await', 'extends', 'default']);
const BEFORE_STATEMENT = new Set(['', ';', '{', '}']);
const BEFORE_BLOCK = new Set([...BEFORE_STATEMENT, ')', '=>', 'else', 'do']);

/** Tells tokens apart, and does not parse: whether a slash divides and a brace opens a block is
 * known by the token before, as to editors. */
class Scanner {
  result = '';          // the source as it is run
  places = new Set();   // where functions may stand that see no variables but global ones
  frames = [];          // the brackets around
  frame = {open: true}; // the innermost: no function is around, what closes it, ...
  before = '';          // the last token
  valued = false;       // an expression may have ended with it
  newline = false;      // a line did, since
  at = 0;

  constructor(source) {
    this.source = source;
    while (this.at < source.length) this.step();
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.source);
  }

  enter(close, open, literal) {
    this.frames.push(this.frame);
    open &&= this.frame.open && !this.frame.arrow;
    this.frame = {close, open, literal, before: this.before};
    this.valued = false;
  }

  step() {
    const {source, at, frame} = this;
    const inTemplate = source[at] === '`' || source[at] === '}' && frame.close === '`';
    let found = inTemplate ? this.match(TEMPLATE) : this.match(TOKEN);
    if (found.groups?.blank) {
      this.newline ||= found[0].includes('\n');
      this.result += found[0];
      this.at += found[0].length;
      return;
    }
    const starts = this.valued ? this.newline : BEFORE_STATEMENT.has(this.before);
    if (starts || this.before === ',') frame.arrow = false;
    if (frame.open && !frame.arrow) this.places.add(at);
    if (found[0] === '/' && !this.valued) found = this.match(REGEXP) ?? found;
    const token = found[0], word = found.groups?.word;
    this.result += word && !this.frames.length && this.declaration(word, starts) || token;
    if (inTemplate) this.template(token);
    else this.token(token, word);
    this.at += token.length;
    this.before = token;
    this.newline = false;
  }

  /** What stands for a top-level declaration's first word. */
  declaration(word, starts) {
    if (this.before === '.' || this.before === '?.') return;
    if (word === 'const') return 'var  ';
    if (word === 'let' && this.match(LET)) return 'var';
    const name = word === 'class' && starts && this.match(CLASS);
    this.inClass = !!name || this.inClass;
    return name && `var ${name[1]}=class`;
  }

  template(token) {
    if (token[0] === '}') this.frame = this.frames.pop();
    this.valued = !token.endsWith('${');
    if (!this.valued) this.enter('`', false);
  }

  token(token, word) {
    if (token === '{') {
      const literal = !this.valued && !BEFORE_BLOCK.has(this.before);
      this.enter('}', literal, literal);
    } else if (token === '(' || token === '[') {
      this.enter(token === '(' ? ')' : ']', true, true);
    } else if (token === this.frame.close) {
      this.leave(token);
    } else if (token === '=>') {
      this.frame.arrow = true;
      this.valued = false;
    } else if (token !== '++' && token !== '--') {
      const isName = word && (this.before === '.' || !BEFORE_VALUE.has(word));
      this.valued = !!isName || /^(?:["']|\/.)/.test(token);
    }
  }

  leave(token) {
    const {before, literal} = this.frame;
    this.frame = this.frames.pop();
    this.valued = token === ')' ? !/^(?:if|while|for|with)$/.test(before) : literal;
    if (token === '}' && this.inClass && !this.frames.length) {
      this.result += ';';  // It is an expression now.
      this.inClass = false;
    }
  }
}

const COMPILE = {async: true, compile_only: true, backtrace_barrier: true};
const compile = source => evalScript(source, COMPILE);

/** A script that can be run, and the places of its functions. */
function prepare(source) {
  if (!/\b(?:let|const|class|function)\b|=>|\)\s*\{/.test(source)) return [compile(source)];
  let places;
  try {
    const scanner = new Scanner(source);
    places = scanner.places;
    return [compile(scanner.result), places];
  } catch {
    return [compile(source), places];  // for its own error, or it is too large to scan
  }
}

// ---- what a session has

const ours = new WeakSet();  // functions that are their source
const given = new Map();     // global names that are not the session's: their values
const natives = new Map();   // what the interpreter has: where

const global = name => getOwnPropertyDescriptor(globalThis, name)?.value;

function names() {
  return ownKeys(globalThis).filter(name =>
    typeof name === 'string' && !(given.has(name) && Object.is(given.get(name), global(name))));
}

function learn() {
  for (const name of ownKeys(globalThis)) given.set(name, global(name));
  natives.set(globalThis, []);
  const add = (value, path) => {
    if (Object(value) !== value || natives.has(value)) return;
    natives.set(value, path);
    for (const key of path.length < 3 ? ownKeys(value) : [])
      if (typeof key === 'string') add(getOwnPropertyDescriptor(value, key).value, [...path, key]);
  };
  for (const [name, value] of given) add(value, [name]);
}

/** Finds the functions that a turn made of its own source. */
function note(text, places) {
  const seen = new Set(names().map(global));
  const look = value => {
    if (Array.isArray(value) && value.length > MANY || ArrayBuffer.isView(value)) return;
    if (typeof value === 'function' && !ours.has(value)) {
      const own = source(value);
      for (let at = text.indexOf(own); at >= 0; at = text.indexOf(own, at + 1))
        if (places.has(at)) ours.add(value);
    }
    for (const key of ownKeys(value))
      if (seen.size < MANY) seen.add(getOwnPropertyDescriptor(value, key).value);
  };
  for (const value of seen) {
    if (Object(value) !== value || natives.has(value)) continue;
    try {
      look(value);
    } catch {}  // a proxy
  }
}

// ---- saved states

/** The built-in classes whose objects can be saved, by their prototypes. */
const KINDS = new Map([[null, 'null']]), MAKERS = {__proto__: null};
for (const name of (
  'Object Array Map Set Date RegExp Error EvalError RangeError ReferenceError SyntaxError ' +
  'TypeError URIError ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array ' +
  'Uint16Array Int32Array Uint32Array BigInt64Array BigUint64Array Float32Array Float64Array').split(' ')) {
  MAKERS[name] = globalThis[name];
  KINDS.set(MAKERS[name].prototype, name);
}
const {entries} = Map.prototype, {values} = Set.prototype;

/** The built-in class of an object, and its own one. */
function classOf(object) {
  let proto = getPrototypeOf(object), own;
  while (!KINDS.has(proto)) {
    const maker = getOwnPropertyDescriptor(proto, 'constructor')?.value;
    if (typeof maker !== 'function' || maker.prototype !== proto || natives.has(maker))
      throw new StateError(`a ${kind(object)} cannot be saved`);
    if (!ours.has(maker)) throw new StateError(`its class ${maker.name} cannot be saved`);
    if (/#[\p{ID_Start}$_]/u.test(source(maker)))
      throw new StateError(`its class ${maker.name} has private fields`);
    own ??= maker;
    proto = getPrototypeOf(proto);
  }
  return [KINDS.get(proto), own];
}

/** The graph of what is reached from values: `code` gives what stands for one in JSON. */
class Graph {
  nodes = [];
  lost = new Map();  // a node's number: why
  numbers = new Map();
  objects = [];
  bytes = [];
  size = 0;

  code(value) {
    switch (typeof value) {
    case 'undefined': return {u: 1};
    case 'bigint': return {b: String(value)};
    case 'number': return Object.is(parse(stringify(value)), value) ? value : {n: show(value)};
    case 'symbol':
      if (Symbol.keyFor(value) === undefined) throw new StateError('a symbol cannot be saved');
      return {s: Symbol.keyFor(value)};
    }
    if (Object(value) !== value) return value;
    if (!this.numbers.has(value)) {
      this.numbers.set(value, this.objects.length);
      this.objects.push(value);
    }
    return [this.numbers.get(value)];
  }

  /** All that `code` was asked for, and what that leads to. */
  fill() {
    for (let number = this.nodes.length; number < this.objects.length; number++) {
      try {
        this.nodes[number] = this.node(this.objects[number]);
      } catch (error) {
        this.nodes[number] = null;
        this.lost.set(number, why(error));
      }
    }
  }

  node(object) {
    if (natives.has(object)) return {kind: 'native', data: natives.get(object)};
    if (typeof object === 'function') return this.functionNode(object);
    const [kind, own] = classOf(object), node = {kind};
    if (own) node.own = this.code(own);
    if (Object.isFrozen(object)) node.frozen = 1;
    if (ArrayBuffer.isView(object)) {
      node.items = [this.code(object.buffer)];
      node.data = [object.byteOffset, object.length ?? object.byteLength];
      return node;
    }
    if (kind === 'Array') node.data = object.length;
    if (kind === 'Date') node.data = object.getTime();
    if (kind === 'RegExp') node.data = [object.source, object.flags];
    if (kind === 'Map') node.items = [...entries.call(object)].flat().map(each => this.code(each));
    if (kind === 'Set') node.items = [...values.call(object)].map(each => this.code(each));
    if (kind === 'ArrayBuffer') node.data = this.buffer(object);
    node.props = this.props(object, key => kind !== 'Array' || key !== 'length');
    return node;
  }

  buffer(object) {
    const start = this.size;
    this.bytes.push(new Uint8Array(object));
    this.size += object.byteLength;
    return [start, this.size];
  }

  functionNode(value) {
    if (!ours.has(value)) throw new StateError('a function may use variables of one around it');
    const node = {kind: 'function', data: [value.name, source(value)]};
    // What the source gives is hidden; this is what was added.
    const isAdded = object => key => getOwnPropertyDescriptor(object, key).enumerable;
    node.props = this.props(value, isAdded(value));
    if (value.prototype) node.methods = this.props(value.prototype, isAdded(value.prototype));
    return node;
  }

  props(object, wanted) {
    return ownKeys(object).filter(wanted).map(key => this.property(object, key));
  }

  /** [its name, its value, 1 if it is hidden] */
  property(object, key) {
    const {value, enumerable, get, set} = getOwnPropertyDescriptor(object, key);
    if (typeof key === 'symbol') throw new StateError('a symbol names a property');
    if (get || set) throw new StateError(`the accessor ${key} cannot be saved`);
    return enumerable ? [key, this.code(value)] : [key, this.code(value), 1];
  }
}

/** The numbers of those that a node needs. */
function needs({own, items = [], props = [], methods = []}) {
  const codes = [own, ...items, ...props.map(each => each[1]), ...methods.map(each => each[1])];
  return codes.filter(Array.isArray).map(code => code[0]);
}

/** What needs something lost is lost too. */
function spread(nodes, lost) {
  const users = nodes.map(() => []);
  nodes.forEach((node, number) => node && needs(node).forEach(each => users[each].push(number)));
  for (const [number, reason] of lost)  // and those that are added on the way
    for (const user of users[number])
      if (!lost.has(user)) lost.set(user, reason);
}

const listed = lost =>
  [...lost].sort().map(([name, reason]) => ({name, reason: cut(String(reason), 500)}));
const why = error => (error instanceof StateError ? '' : `${kind(error)}: `) + error?.message;

function save() {
  const graph = new Graph(), found = [], lost = new Map();
  for (const name of names()) {
    try {
      found.push(graph.property(globalThis, name));
    } catch (error) {
      lost.set(name, why(error));
    }
  }
  graph.fill();
  spread(graph.nodes, graph.lost);
  const kept = found.filter(([name, code]) => {
    const reason = Array.isArray(code) && graph.lost.get(code[0]);
    if (reason) lost.set(name, reason);
    return !reason;
  });
  const nodes = graph.nodes.map((node, number) => graph.lost.has(number) ? null : node);
  return [{op: 'save', kept: kept.map(each => each[0]).sort(), lost: listed(lost)},
    pack(stringify({format: FORMAT, values: kept, nodes}), ...graph.bytes)];
}

/** The function again, by its name and source. */
function define([name, text]) {
  let made;
  try {
    made = evalScript(`({${stringify(name)}: ${text}})`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    made = evalScript(`({${text}})`);  // a method
  }
  const value = made[name];
  if (typeof value !== 'function') throw new StateError('it is no function');
  ours.add(value);
  return value;
}

const LOOSE = {writable: true, configurable: true};

class Reader {
  objects = [];
  lost = new Map();

  constructor({values, nodes}, bytes) {
    this.values = values;
    this.nodes = nodes;
    this.bytes = bytes;
  }

  value(code) {
    if (Array.isArray(code)) return this.objects[code[0]];
    if (Object(code) !== code) return code;
    if ('n' in code) return Number(code.n);
    if ('b' in code) return BigInt(code.b);
    return 's' in code ? Symbol.for(code.s) : undefined;
  }

  each(wanted, act) {
    this.nodes.forEach((node, number) => {
      if (!node || this.lost.has(number) || !wanted(node)) return;
      try {
        act(node, number);
      } catch (error) {
        this.lost.set(number, why(error));
      }
    });
  }

  /** An object that has nothing yet; functions come later, and views once there are buffers. */
  make({kind, data, items}) {
    if (kind === 'null') return Object.create(null);
    if (kind === 'native') return data.reduce((at, key) => at[key], globalThis);
    if (kind === 'RegExp') return new RegExp(...data);
    if (kind === 'ArrayBuffer') return this.bytes.slice(...data).buffer;
    const Maker = MAKERS[kind];
    if (!Maker) throw new StateError(`there is no ${kind}`);
    if (kind === 'Array' || kind === 'Date') return new Maker(data ?? NaN);
    return data ? new Maker(this.value(items[0]), ...data) : new Maker();
  }

  fill({kind, own, data, items = [], props = [], methods = []}, object) {
    for (let at = 0; kind === 'Map' && at < items.length; at += 2)
      object.set(this.value(items[at]), this.value(items[at + 1]));
    if (kind === 'Set') items.forEach(each => object.add(this.value(each)));
    if (own) setPrototypeOf(object, this.value(own).prototype);
    this.add(props, object);
    this.add(methods, object.prototype);
  }

  add(props, object) {
    for (const [key, code, hidden] of props) {
      const value = this.value(code);
      if (Object.hasOwn(object, key)) object[key] = value;
      else Object.defineProperty(object, key, {value, enumerable: !hidden, ...LOOSE});
    }
  }

  bind(wanted) {
    for (const [name, code] of this.values)
      if (!Array.isArray(code) || wanted(code[0])) globalThis[name] = this.value(code);
  }

  /** Classes need those that they extend, which are there once they were defined. */
  define() {
    let waiting = this.nodes.length + 1, tries;
    do {
      tries = waiting;
      waiting = 0;
      this.nodes.forEach((node, number) => {
        if (node?.kind !== 'function' || number in this.objects) return;
        try {
          this.objects[number] = define(node.data);
          this.lost.delete(number);
          this.bind(each => each === number);
        } catch (error) {
          this.lost.set(number, why(error));
          waiting++;
        }
      });
    } while (waiting && waiting < tries);
  }

  read() {
    const isView = ({kind, items}) => kind.endsWith('Array') && items || kind === 'DataView';
    const make = (node, number) => this.objects[number] = this.make(node);
    this.each(node => node.kind !== 'function' && !isView(node), make);
    this.each(isView, make);
    this.bind(number => number in this.objects);
    this.define();
    spread(this.nodes, this.lost);
    const filled = node => node.kind !== 'native';
    this.each(filled, (node, number) => this.fill(node, this.objects[number]));
    this.each(node => node.frozen, (node, number) => Object.freeze(this.objects[number]));
    spread(this.nodes, this.lost);
  }
}

function restore(header, blob) {
  let state, bytes;
  try {
    [state, bytes] = unpack(blob);
  } catch (error) {
    throw new StateError(`this is not a saved state: ${error.message}`);
  }
  if (state.format !== FORMAT)
    throw new StateError(`a state has format ${FORMAT}, not ${brief(state.format)}`);
  const reader = new Reader(state, bytes), kept = [], lost = new Map();
  reader.read();
  for (const [name, code] of state.values) {
    const reason = Array.isArray(code) && reader.lost.get(code[0]);
    if (!reason) {
      kept.push(name);
    } else {
      lost.set(name, reason);
      delete globalThis[name];
    }
  }
  return [{op: 'restore', kept: kept.sort(), lost: listed(lost)}];
}

// ---- turns

function info() {
  const reply = {op: 'info', variables: [], imports: [], functions: [], classes: []};
  let left = 0;
  for (const name of names().filter(each => each[0] !== '_').sort()) {
    const value = global(name), type = kind(value);
    const group = type !== 'function' ? 'variables' : isClass(value) ? 'classes' : 'functions';
    if (reply[group].length >= MANY) left++;
    else reply[group].push(group === 'variables' ? {name, type, repr: brief(value)} : name);
  }
  if (left) reply.left_out = left;
  return [reply];
}

async function run({count}, blob) {
  if (!Number.isInteger(count)) throw new ProtocolError('a run needs a count');
  let text, places;
  try {
    text = decoded(blob);
  } catch {
    throw new ProtocolError('the source is not UTF-8');
  }
  const before = new Map(names().map(name => [name, global(name)])), reply = {op: 'run'};
  try {
    const [script, found] = prepare(text);
    places = found;
    const {value} = await evalScript(script, {eval_function: true});
    if (value !== undefined) {
      reply.value = whole(value);
      reply.value_type = kind(value);
      globalThis._ = value;
    }
  } catch (error) {
    reserve = null;
    reply.error = describe(error);
  }
  await new Promise(done => setTimeout(done, 0));  // What it has promised to do at once is done.
  if (places) note(text, places);
  const changed = names().filter(name => name[0] !== '_' &&
    !(before.has(name) && Object.is(before.get(name), global(name)))).sort();
  reply.names = changed.slice(0, MANY);
  if (changed.length > MANY) reply.names_left_out = changed.length - MANY;
  return [reply];
}

const OPERATIONS = {__proto__: null, run, info, save, restore};

async function handle(data) {
  let op;
  try {
    const [header, blob] = unpack(data);
    if (typeof header.op !== 'string' || !(header.op in OPERATIONS))
      throw new ProtocolError(`there is no such operation: ${brief(header.op)}`);
    op = header.op;
    const [reply, ...blobs] = await OPERATIONS[op](header, blob);
    return pack(readable(reply), ...blobs);
  } catch (error) {
    reserve = null;
    return pack(readable({op, error: describe(error)}));
  }
}

/** The memory is full if there is none: a turn may make room. */
function refill() {
  try {
    reserve ??= new Uint8Array(16 * TEXT);
  } catch {}
}

/** Nothing of this turn's input and output is left for the next. */
function finish() {
  std.out.flush();
  std.err.flush();
  std.in.readAsArrayBuffer();
  std.in.clearerr();
}

const preloads = scriptArgs.slice(1);
globalThis.scriptArgs = [];
for (const code of preloads) evalScript(code);
learn();
refill();
for (let first = true;; first = false) {
  const data = receive();
  // A process that was forked goes on with the random numbers of the one it was forked from.
  for (let count = first ? now() % 20011 : 0; count--;) random();
  const reply = await handle(data);
  finish();
  refill();
  send(reply);
}
})(globalThis);
