;; Fills 62 MiB of memory, and hands over one removal with 330 000 attributes of two letters each: what takes most
;; memory in the host for the least that is copied.
(module
  (memory (export "memory") 1000)
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (local $place i32)
    (memory.fill (i32.const 16) (i32.const 0x78) (i32.const 65535984))
    ;; The answer: a list of one removal at 64, whose attributes lie at 4096.
    (i64.store (i32.const 16) (i64.const 0x4000000000))
    (i32.store (i32.const 24) (i32.const 1))
    ;; No matches, notices or attributes of the answer itself.
    (memory.fill (i32.const 28) (i32.const 0) (i32.const 24))
    (memory.fill (i32.const 64) (i32.const 0) (i32.const 64))
    (i32.store (i32.const 120) (i32.const 4096))
    (i32.store (i32.const 124) (i32.const 330000))
    (local.set $place (i32.const 4096))
    (loop $next
      (i32.store (local.get $place) (i32.const 8000000))
      (i32.store offset=4 (local.get $place) (i32.const 1))
      (i32.store offset=8 (local.get $place) (i32.const 8000000))
      (i32.store offset=12 (local.get $place) (i32.const 1))
      (local.set $place (i32.add (local.get $place) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $place) (i32.const 5284096))))
    (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
