;; Fills 62 MiB of memory, and hands over as large a plan as a host takes: 50 000 removals, 16 MiB with their texts.
(module
  (memory (export "memory") 1000)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (local $place i32)
    (memory.fill (i32.const 16) (i32.const 0x78) (i32.const 65535984))
    ;; The answer: a list at 4096.
    (i64.store (i32.const 16) (i64.const 0x100000000000))
    (i32.store (i32.const 24) (i32.const 50000))
    ;; No matches, notices or attributes of the answer itself.
    (memory.fill (i32.const 28) (i32.const 0) (i32.const 24))
    (local.set $place (i32.const 4096))
    (loop $next
      (memory.fill (local.get $place) (i32.const 0) (i32.const 64))
      ;; A name of 100 bytes and a reason of 90, from anywhere behind the list.
      (i32.store offset=4 (local.get $place) (i32.const 8000000))
      (i32.store offset=8 (local.get $place) (i32.const 100))
      (i32.store offset=28 (local.get $place) (i32.const 8000000))
      (i32.store offset=32 (local.get $place) (i32.const 90))
      (local.set $place (i32.add (local.get $place) (i32.const 64)))
      (br_if $next (i32.lt_u (local.get $place) (i32.const 3204096))))
    (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
