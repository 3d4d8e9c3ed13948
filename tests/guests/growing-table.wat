;; Fills a table that grows for ever.
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (elem declare func $filler)
  (func $filler)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (loop $again
      (drop (table.grow $t (ref.func $filler) (i32.const 65536)))
      (br $again))
    unreachable)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
