/* Runs a module that counts (branches.py), the same way each time, and writes its counts:
 * count.mjs MODULE.wasm COUNTS ARGUMENT... */
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [module, output, ...args] = process.argv.slice(2);
const nothing = openSync('/dev/null', 'r+');
const wasi = new WASI({
  version: 'preview1', args, env: { PYTHONHASHSEED: '0' }, returnOnExit: true,
  stdin: nothing, stdout: nothing, stderr: nothing,
});
let instance;
let now = 0n;
const calls = {
  ...wasi.wasiImport,
  random_get(at, size) {
    new Uint8Array(instance.exports.memory.buffer, at, size).fill(7);
    return 0;
  },
  clock_time_get(clock, precision, at) {
    now += 1000n;
    new DataView(instance.exports.memory.buffer).setBigUint64(at, now, true);
    return 0;
  },
};
({ instance } = await WebAssembly.instantiate(readFileSync(module), { wasi_snapshot_preview1: calls }));
process.exitCode = wasi.start(instance);
const { memory, counts } = instance.exports;
const at = memory.buffer.byteLength;
memory.grow(64); /* room for a million */
counts(at);
writeFileSync(output, new Uint32Array(memory.buffer, at).join('\n') + '\n');
