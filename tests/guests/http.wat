;; Wants to speak HTTP.
(module
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32) (call $handle (i32.const 1)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
