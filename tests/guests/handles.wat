;; Asks for handles and never gives one back.
(module
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (loop $again
      (drop (call $subscribe (i64.const 1)))
      (br $again))
    unreachable)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
