;; Reads up to 64 bytes of its input, and writes them with how often it has started.
(module
 (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
 (memory (export "memory") 1) (global $starts (mut i32) (i32.const 48))
 (func (export "_start")
  (global.set $starts (i32.add (global.get $starts) (i32.const 1)))
  (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 64))
  (drop (call $r (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.store8 (i32.add (i32.const 100) (i32.load (i32.const 8))) (global.get $starts))
  (i32.store (i32.const 4) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
  (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
