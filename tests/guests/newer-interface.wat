;; Speaks a version of the interface that is yet to come.
(component
  (import "holystone:node/images@0.2.0" (instance)))
