;; Fills four memories by turns, none of which is large by itself.
(module
  (memory (export "memory") 1)
  (memory $b 1)
  (memory $c 1)
  (memory $d 1)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (loop $again
      (memory.fill $b (i32.const 0) (i32.const 1) (i32.mul (memory.size $b) (i32.const 65536)))
      (memory.fill $c (i32.const 0) (i32.const 1) (i32.mul (memory.size $c) (i32.const 65536)))
      (memory.fill $d (i32.const 0) (i32.const 1) (i32.mul (memory.size $d) (i32.const 65536)))
      (drop (memory.grow $b (i32.const 16)))
      (drop (memory.grow $c (i32.const 16)))
      (drop (memory.grow $d (i32.const 16)))
      (br $again))
    unreachable)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
