;; Logs a message of 100 MB.
(module
  (import "holystone:node/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1600)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (call $log (i32.const 1) (i32.const 4096) (i32.const 104000000))
    (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
