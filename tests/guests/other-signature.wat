;; Exports what a plugin must, by name, with another signature.
(component
  (core module $guest (func (export "plan") (result i32) (i32.const 1)))
  (core instance $guest (instantiate $guest))
  (func $plan (result u32) (canon lift (core func $guest "plan")))
  (instance $cleaner (export "validate" (func $plan)) (export "plan" (func $plan)))
  (export "holystone:node/cleaner@0.1.0" (instance $cleaner)))
