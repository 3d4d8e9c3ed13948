;; Wishes a hundred removals, each of an image whose name is the same 10 MB of text: little for the plugin, a
;; gigabyte for whoever copies it.
(module
  (memory (export "memory") 170)
  ;; The answer: a list of 100 at 4096.
  (data (i32.const 16) "\00\00\00\00\00\10\00\00\64\00\00\00")
  (func (export "holystone:node/cleaner@0.1.0#validate") (param i32 i32) (result i32) (i32.const 0))
  (func (export "holystone:node/cleaner@0.1.0#plan") (param i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.const 4096))
    (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 10485760))
    (loop $next
      (i32.store offset=4 (local.get $place) (i32.const 65536))
      (i32.store offset=8 (local.get $place) (i32.const 10485760))
      (local.set $place (i32.add (local.get $place) (i32.const 64)))
      (br_if $next (i32.lt_u (local.get $place) (i32.const 10496))))
    (i32.const 16))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
