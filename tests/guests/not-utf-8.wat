;; Answers that it cannot decide, in bytes that are no text.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "\01\00\00\00\20\00\00\00\02\00\00\00")
  (data (i32.const 32) "\ff\fe")
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32) (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
