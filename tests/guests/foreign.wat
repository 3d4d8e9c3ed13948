;; Wants to run a command on the host.
(module
  (import "evil:host/exec@1.0.0" "exec" (func $exec (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (call $exec (i32.const 16) (i32.const 0))
    (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
