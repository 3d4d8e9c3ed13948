;; Finds ten million problems in its config.
(module
  (memory (export "memory") 2500)
  (data (i32.const 16) "\01\00\00\00\00\10\00\00\80\96\98\00")
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 16))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32) (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
